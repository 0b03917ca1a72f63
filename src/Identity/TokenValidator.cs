using System.Collections.Concurrent;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace ShardCloud.Identity;

/// <summary>Who sent a request, as its token says.</summary>
/// <param name="Subject">Incarnation id or person.</param>
/// <param name="Role">One of <see cref="Roles"/>.</param>
/// <param name="Expires">When the token ends.</param>
public sealed record Caller(string Subject, string Role, DateTimeOffset Expires);

/// <summary>Validates tokens of one audience: signature, issuer, audience, times. One path for every listener. Thread-safe.</summary>
/// <remarks>A token seen before costs a dictionary look-up: up to <see cref="CacheEntriesMax"/> validated tokens are remembered until they expire.</remarks>
public sealed class TokenValidator
{
    /// <summary>Validated tokens remembered at most; past it the memory is cleared, which costs one validation each.</summary>
    public const int CacheEntriesMax = 1_024;

    /// <summary>Clock difference between issuer and validator that is forgiven.</summary>
    public static readonly TimeSpan ClockSkew = TimeSpan.FromSeconds(30);

    private readonly TimeProvider _time;
    private readonly JsonWebTokenHandler _handler = new() { MapInboundClaims = false };
    private readonly TokenValidationParameters _parameters;
    private readonly ConcurrentDictionary<string, Caller> _seen = new(StringComparer.Ordinal);

    /// <summary>Validates tokens of the local key.</summary>
    public TokenValidator(LocalKey key, string audience, TimeProvider? time = null)
    {
        _time = time ?? TimeProvider.System;
        _parameters = new TokenValidationParameters
        {
            ValidIssuer = TokenIssuer.LocalIssuer,
            ValidAudience = audience,
            IssuerSigningKey = key.Key,
            ValidAlgorithms = [SecurityAlgorithms.HmacSha256],
            RequireExpirationTime = true,
            RequireSignedTokens = true,
            LifetimeValidator = (notBefore, expires, _, _) => IsTimely(notBefore, expires),
        };
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
        if (!jwt.TryGetPayloadValue<string>("role", out var role) || string.IsNullOrEmpty(jwt.Subject)) return null;

        var caller = new Caller(jwt.Subject, role, new DateTimeOffset(DateTime.SpecifyKind(jwt.ValidTo, DateTimeKind.Utc)));
        if (_seen.Count >= CacheEntriesMax) _seen.Clear();
        _seen[token] = caller;
        return caller;
    }

    private bool IsTimely(DateTime? notBefore, DateTime? expires)
    {
        var now = _time.GetUtcNow().UtcDateTime;
        return expires is { } end && now < end + ClockSkew && (notBefore is not { } start || now >= start - ClockSkew);
    }
}
