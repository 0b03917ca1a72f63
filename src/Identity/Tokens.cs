using System.Collections.Concurrent;
using System.Security.Claims;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace ShardCloud.Identity;

/// <summary>Who a local token is for. Entra has one registration for both, and tells them apart by role.</summary>
public static class Audiences
{
    /// <summary>The member listeners of shards and routers, and the local shard host.</summary>
    public const string Members = "shardcloud-members";

    /// <summary>The Orchestrator's management API.</summary>
    public const string Management = "shardcloud-management";
}

/// <summary>What a caller may do.</summary>
public static class Roles
{
    /// <summary>A shard incarnation or a router.</summary>
    public const string Member = "member";

    /// <summary>The Orchestrator: may steer members and shard hosts.</summary>
    public const string Orchestrator = "orchestrator";

    /// <summary>May read and change through the management API.</summary>
    public const string Operator = "operator";

    /// <summary>May read through the management API.</summary>
    public const string Observer = "observer";
}

/// <summary>Where a caller gets its tokens; the local issuer or, in Azure, a managed identity.</summary>
public interface ITokenSource
{
    /// <summary>A token for this audience that is good for at least five more minutes.</summary>
    ValueTask<string> GetTokenAsync(string audience, CancellationToken cancellationToken = default);
}

/// <summary>Issues JWTs signed with the local key (HMAC-SHA256, RFC 7519).</summary>
public sealed class TokenIssuer(LocalKey key, TimeProvider? time = null)
{
    /// <summary>Issuer claim of local tokens.</summary>
    public const string LocalIssuer = "shardcloud-local";

    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly JsonWebTokenHandler _handler = new() { SetDefaultTimesOnTokenCreation = false };
    private readonly SigningCredentials _credentials = new(key.Key, SecurityAlgorithms.HmacSha256);

    /// <summary>A signed token.</summary>
    /// <param name="subject">Who: an incarnation id, or a person's name for operators.</param>
    /// <param name="role">One of <see cref="Roles"/>.</param>
    /// <param name="audience">One of <see cref="Audiences"/>.</param>
    /// <param name="lifetime">How long it is good for; at most a day is sensible.</param>
    public string Issue(string subject, string role, string audience, TimeSpan lifetime)
    {
        var now = _time.GetUtcNow().UtcDateTime;
        return _handler.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = LocalIssuer,
            Audience = audience,
            Subject = new ClaimsIdentity([new Claim("sub", subject), new Claim("role", role)]),
            IssuedAt = now,
            NotBefore = now,
            Expires = now + lifetime,
            SigningCredentials = _credentials,
        });
    }
}

/// <summary>Tokens of one subject, made when asked for and reused until shortly before they expire.</summary>
public sealed class LocalTokenSource(TokenIssuer issuer, string subject, string role, TimeProvider? time = null) : ITokenSource
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromHours(1);
    private static readonly TimeSpan RenewBefore = TimeSpan.FromMinutes(5);

    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly ConcurrentDictionary<string, (string Token, DateTimeOffset Expires)> _tokens = new(); // One entry an audience: two at most.

    /// <inheritdoc/>
    public ValueTask<string> GetTokenAsync(string audience, CancellationToken cancellationToken = default)
    {
        var now = _time.GetUtcNow();
        if (_tokens.TryGetValue(audience, out var held) && now < held.Expires - RenewBefore) return new(held.Token);
        var token = issuer.Issue(subject, role, audience, Lifetime);
        _tokens[audience] = (token, now + Lifetime);
        return new(token);
    }
}
