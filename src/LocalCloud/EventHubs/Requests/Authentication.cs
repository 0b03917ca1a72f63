using ShardCloud.LocalCloud.EventHubs.Protocol;

namespace ShardCloud.LocalCloud.EventHubs.Requests;

/// <summary>One connection's way in: handshake for PLAIN, then one response with the key, then anything. One refusal ends the connection.</summary>
/// <remarks>
/// After a handshake of version 0 the response comes as bare bytes in a frame, and an empty frame is the consent; after version 1 it comes in
/// requests of its own. Until it is done a frame has at most <see cref="FrameBytesMax"/> and the connection <see cref="Patience"/>.
/// </remarks>
internal sealed class Authentication(SharedAccessKey? key)
{
    public const int FrameBytesMax = 16 * 1024;

    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private const string Mechanism = "PLAIN";

    private Stage _stage = key is null ? Stage.Done : Stage.Handshake;

    private enum Stage
    {
        Handshake,
        Response,
        BareResponse,
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
        ApiKey.SaslHandshake => _stage == Stage.Handshake,
        ApiKey.SaslAuthenticate => _stage == Stage.Response,
        _ => IsDone,
    };

    /// <summary>SaslHandshake, versions 0 and 1.</summary>
    public void Handshake(ref RequestReader request, short version, ResponseWriter answer)
    {
        var known = request.String() == Mechanism;
        _stage = !known ? Stage.Refused : version == 0 ? Stage.BareResponse : Stage.Response;
        answer.Error(known ? KafkaError.None : KafkaError.UnsupportedSaslMechanism);
        answer.Int32(1);
        answer.String(Mechanism);
    }

    /// <summary>SaslAuthenticate, versions 0 and 1.</summary>
    public void Authenticate(ref RequestReader request, short version, ResponseWriter answer)
    {
        var good = Take(request.Bytes());
        answer.Error(good ? KafkaError.None : KafkaError.SaslAuthenticationFailed);
        answer.String(good ? null : "The key is not this namespace's: check user name ($ConnectionString) and connection string.");
        answer.Int32(0); // nothing to send back
        if (version >= 1) answer.Int64(0); // the session does not end
    }

    /// <summary>The response of a handshake of version 0.</summary>
    public bool Take(ReadOnlySpan<byte> response)
    {
        var good = key!.IsIn(response);
        _stage = good ? Stage.Done : Stage.Refused;
        return good;
    }
}
