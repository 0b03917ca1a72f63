using System.Text;
using ShardCloud.LocalCloud.EventHubs.Protocol;

namespace ShardCloud.LocalCloud.EventHubs.Requests;

/// <summary>One connection's way in: handshake for PLAIN or OAUTHBEARER, then one response with the key or a token, then anything. One refusal ends the connection.</summary>
/// <remarks>
/// PLAIN: after a handshake of version 0 the response comes as bare bytes in a frame, and an empty frame is the consent; after version 1 it comes in requests of its own. OAUTHBEARER (KIP-255, RFC 7628) needs version 1; a token
/// that is not good is answered with what is wrong, the client's next message with the refusal. The session ends with the token, which the answer says; a client that came by token may show a new one on the same connection
/// before (KIP-368), for the same subject. Until it is in, a frame has at most <see cref="FrameBytesMax"/> and the connection <see cref="Patience"/>.
/// </remarks>
internal sealed class Authentication(SharedAccessKey? key, BearerTokens? tokens, TimeProvider time)
{
    public const int FrameBytesMax = 16 * 1024;

    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private const string Plain = "PLAIN", Bearer = "OAUTHBEARER", NotGood = """{"status":"invalid_token"}""";

    private readonly string[] _offered = [.. key is null ? (string[])[] : [Plain], .. tokens is null ? (string[])[] : [Bearer]];

    private Stage _stage = key is null && tokens is null ? Stage.Done : Stage.Handshake;
    private string _mechanism = "";
    private BearerTokens.Holder? _holder;

    private enum Stage
    {
        Handshake,
        Response,
        BareResponse,
        TokenNotGood,
        Done,
        Refused,
    }

    public bool IsDone => _stage == Stage.Done;

    public bool IsRefused => _stage == Stage.Refused;

    public bool WantsBareResponse => _stage == Stage.BareResponse;

    /// <summary>Whether this request may come now. What may not ends the connection.</summary>
    public bool Allows(ApiKey request) => request switch
    {
        ApiKey.ApiVersions => true,
        ApiKey.SaslHandshake => _stage == Stage.Handshake || (IsDone && _holder is not null),
        ApiKey.SaslAuthenticate => _stage is Stage.Response or Stage.TokenNotGood,
        _ => IsDone && (_holder is null || time.GetUtcNow() < _holder.Ends),
    };

    /// <summary>SaslHandshake, versions 0 and 1.</summary>
    public void Handshake(ref RequestReader request, short version, ResponseWriter answer)
    {
        var asked = request.String();
        var known = _offered.Contains(asked, StringComparer.Ordinal) && (asked != Bearer || version > 0) && (_holder is null || asked == _mechanism);
        _mechanism = asked;
        _stage = !known ? Stage.Refused : version == 0 ? Stage.BareResponse : Stage.Response;
        answer.Error(known ? KafkaError.None : KafkaError.UnsupportedSaslMechanism);
        answer.Int32(_offered.Length);
        foreach (var mechanism in _offered) answer.String(mechanism);
    }

    /// <summary>SaslAuthenticate, versions 0 and 1.</summary>
    public void Authenticate(ref RequestReader request, short version, ResponseWriter answer)
    {
        var response = request.Bytes();
        if (_mechanism == Bearer) AuthenticateBearer(response, version, answer);
        else Say(answer, version, Take(response) ? null : "The key is not this namespace's: check user name ($ConnectionString) and connection string.");
    }

    /// <summary>The response of a handshake of version 0.</summary>
    public bool Take(ReadOnlySpan<byte> response)
    {
        var good = key!.IsIn(response);
        _stage = good ? Stage.Done : Stage.Refused;
        return good;
    }

    private void AuthenticateBearer(ReadOnlySpan<byte> response, short version, ResponseWriter answer)
    {
        if (_stage == Stage.TokenNotGood)
        {
            _stage = Stage.Refused;
            Say(answer, version, NotGood); // As Kafka does: the client shows this one to people.
        }
        else if (tokens!.Read(response, time.GetUtcNow()) is not { } holder)
        {
            _stage = Stage.TokenNotGood;
            Say(answer, version, null, Encoding.UTF8.GetBytes(NotGood));
        }
        else if (_holder is not null && _holder.Subject != holder.Subject)
        {
            _stage = Stage.Refused;
            Say(answer, version, "The new token is for another subject than the session's.");
        }
        else
        {
            (_stage, _holder) = (Stage.Done, holder);
            Say(answer, version, null, lifetime: holder.Ends - time.GetUtcNow());
        }
    }

    private static void Say(ResponseWriter answer, short version, string? refusal, ReadOnlySpan<byte> message = default, TimeSpan lifetime = default)
    {
        answer.Error(refusal is null ? KafkaError.None : KafkaError.SaslAuthenticationFailed);
        answer.String(refusal);
        answer.Int32(message.Length);
        message.CopyTo(answer.Grow(message.Length));
        if (version >= 1) answer.Int64((long)lifetime.TotalMilliseconds); // 0: the session does not end
    }
}
