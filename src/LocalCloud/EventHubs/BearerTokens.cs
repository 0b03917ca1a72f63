using System.Text;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace ShardCloud.LocalCloud.EventHubs;

/// <summary>Tokens that clients may present instead of the key, as Event Hubs takes those of Entra: SASL OAUTHBEARER (RFC 7628). Thread-safe.</summary>
/// <remarks>Checked: signature (RS256), issuer, audience, times, without any allowance for clocks: a test that wants a short session gets one. Roles are not looked at.</remarks>
/// <param name="issuer">Who must have issued them.</param>
/// <param name="audience">Whom they must be for: in Azure <c>https://NAMESPACE.servicebus.windows.net</c>.</param>
/// <param name="keys">Public keys of the issuer.</param>
public sealed class BearerTokens(string issuer, string audience, params IEnumerable<SecurityKey> keys)
{
    private readonly JsonWebTokenHandler _handler = new() { MapInboundClaims = false };

    private readonly TokenValidationParameters _rules = new()
    {
        ValidIssuer = issuer,
        ValidAudience = audience,
        IssuerSigningKeys = [.. keys],
        ValidAlgorithms = [SecurityAlgorithms.RsaSha256],
        RequireExpirationTime = true,
        RequireSignedTokens = true,
        ValidateLifetime = false, // By the broker's own clock, below.
    };

    /// <summary>Who a client's first message says it is; null where the message or its token is not good.</summary>
    internal Holder? Read(ReadOnlySpan<byte> message, DateTimeOffset now)
    {
        if (TokenOf(message) is not { } token) return null;
        var result = _handler.ValidateTokenAsync(token, _rules).GetAwaiter().GetResult(); // The keys are here: there is nothing to wait for.
        if (!result.IsValid || result.SecurityToken is not JsonWebToken { Subject.Length: > 0 } jwt) return null;
        var (begins, ends) = (new DateTimeOffset(jwt.ValidFrom, TimeSpan.Zero), new DateTimeOffset(jwt.ValidTo, TimeSpan.Zero));
        return now >= begins && now < ends ? new Holder(jwt.Subject, ends) : null;
    }

    // RFC 7628, 3.1: the GS2 header, then pairs of key and value, each ended by a byte 1, and one more at the end.
    private static string? TokenOf(ReadOnlySpan<byte> message)
    {
        var parts = Encoding.UTF8.GetString(message).Split('\u0001');
        const string Scheme = "auth=Bearer ";
        return parts is ["n,,", .. var pairs, "", ""] && pairs.FirstOrDefault(pair => pair.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)) is { } found ? found[Scheme.Length..].Trim() : null;
    }

    /// <summary>Whose token it is, and until when.</summary>
    internal sealed record Holder(string Subject, DateTimeOffset Ends);
}
