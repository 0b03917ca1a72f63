using System.Collections.Concurrent;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Protocols;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;
using Microsoft.IdentityModel.Tokens;

namespace ShardCloud.Identity;

/// <summary>Who sent a request, as its token says.</summary>
/// <param name="Subject">Incarnation id or person; with Entra the signed-in name of a person, else the object id of an identity.</param>
/// <param name="Role">One of <see cref="Roles"/>.</param>
/// <param name="Expires">When the token ends.</param>
public sealed record Caller(string Subject, string Role, DateTimeOffset Expires);

/// <summary>Validates tokens of one audience: signature, issuer, audience, times, role. One path for every listener and for both kinds of issuer. Thread-safe.</summary>
/// <remarks>A token seen before costs a dictionary look-up: up to <see cref="CacheEntriesMax"/> validated tokens are remembered until they expire.</remarks>
public sealed class TokenValidator
{
    /// <summary>Validated tokens remembered at most; past it the memory is cleared, which costs one validation each.</summary>
    public const int CacheEntriesMax = 1_024;

    /// <summary>Clock difference between issuer and validator that is forgiven.</summary>
    public static readonly TimeSpan ClockSkew = TimeSpan.FromSeconds(30);

    /// <summary>The strongest first: a token may carry several app roles, and a caller has one.</summary>
    private static readonly string[] Strongest = [Roles.Orchestrator, Roles.Member, Roles.Operator, Roles.Observer];

    private readonly TimeProvider _time;
    private readonly JsonWebTokenHandler _handler = new() { MapInboundClaims = false };
    private readonly TokenValidationParameters _parameters;
    private readonly ConcurrentDictionary<string, Caller> _seen = new(StringComparer.Ordinal);

    /// <summary>Validates tokens of the local key.</summary>
    public TokenValidator(LocalKey key, string audience, TimeProvider? time = null)
        : this(new TokenValidationParameters { ValidIssuer = TokenIssuer.LocalIssuer, ValidAudience = audience, IssuerSigningKey = key.Key, ValidAlgorithms = [SecurityAlgorithms.HmacSha256] }, time)
    {
    }

    /// <summary>Validates tokens of Entra. Its signing keys are fetched at the first token and again when one is signed by an unknown key, at most every five minutes; they are kept while Entra cannot be reached.</summary>
    /// <param name="options">Tenant and registration.</param>
    /// <param name="metadata">Client that the keys are fetched with.</param>
    /// <param name="time">Clock.</param>
    public TokenValidator(EntraOptions options, HttpClient metadata, TimeProvider? time = null)
        : this(new TokenValidationParameters
        {
            ValidIssuers = [options.Issuer, options.IssuerOfVersion1],
            ValidAudiences = [options.AudienceOrDefault, options.ClientId],
            ValidAlgorithms = [SecurityAlgorithms.RsaSha256],
            ConfigurationManager = new ConfigurationManager<OpenIdConnectConfiguration>(options.Metadata, new OpenIdConnectConfigurationRetriever(), new HttpDocumentRetriever(metadata)),
        }, time)
    {
    }

    private TokenValidator(TokenValidationParameters parameters, TimeProvider? time)
    {
        _time = time ?? TimeProvider.System;
        _parameters = parameters;
        parameters.RequireExpirationTime = parameters.RequireSignedTokens = true;
        parameters.LifetimeValidator = (notBefore, expires, _, _) => IsTimely(notBefore, expires);
    }

    /// <summary>The caller, or null when the token is missing, malformed, unsigned, expired, not yet valid, or for somebody else.</summary>
    public async ValueTask<Caller?> ValidateAsync(string? token)
    {
        if (string.IsNullOrEmpty(token) || token.Length > 8_192) return null;
        if (_seen.TryGetValue(token, out var seen))
        {
            if (_time.GetUtcNow() < seen.Expires + ClockSkew) return seen;
            _seen.TryRemove(token, out _);
            return null;
        }

        var result = await _handler.ValidateTokenAsync(token, _parameters);
        if (!result.IsValid || result.SecurityToken is not JsonWebToken jwt) return null;
        if (SubjectOf(jwt) is not { Length: > 0 } subject || RoleOf(jwt) is not { } role) return null;

        var caller = new Caller(subject, role, new DateTimeOffset(DateTime.SpecifyKind(jwt.ValidTo, DateTimeKind.Utc)));
        if (_seen.Count >= CacheEntriesMax) _seen.Clear();
        _seen[token] = caller;
        return caller;
    }

    /// <summary>A local token has <c>role</c>, one of Entra the app roles that were assigned, <c>roles</c>; without one of ours it is a stranger's.</summary>
    private static string? RoleOf(JsonWebToken jwt)
    {
        var given = jwt.Claims.Where(claim => claim.Type is "role" or "roles").Select(claim => claim.Value).ToHashSet(StringComparer.Ordinal);
        return Strongest.FirstOrDefault(given.Contains);
    }

    /// <summary>People by the name that they signed in with, so that records can be read; identities by their object id.</summary>
    private static string? SubjectOf(JsonWebToken jwt) =>
        jwt.TryGetPayloadValue<string>("preferred_username", out var person) || jwt.TryGetPayloadValue("upn", out person) || jwt.TryGetPayloadValue("oid", out person) ? person : jwt.Subject;

    private bool IsTimely(DateTime? notBefore, DateTime? expires)
    {
        var now = _time.GetUtcNow().UtcDateTime;
        return expires is { } end && now < end + ClockSkew && (notBefore is not { } start || now >= start - ClockSkew);
    }
}
