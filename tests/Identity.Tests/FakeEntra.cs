using System.Net;
using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace ShardCloud.Identity.Tests;

/// <summary>A tenant's issuer: metadata (OpenID Connect Discovery 1.0) and keys (RFC 7517) over HTTP, and tokens as Entra makes them.</summary>
internal sealed class FakeEntra : HttpMessageHandler
{
    private readonly List<RsaSecurityKey> _published = [];
    private RsaSecurityKey _key = NewKey();

    public FakeEntra() => _published.Add(_key);

    public EntraOptions Options { get; } = new() { TenantId = "7d4b2a52-6f0e-4a38-9a0b-1c2d3e4f5a6b", ClientId = "0e2f1d3c-4b5a-4697-8879-6a5b4c3d2e1f" };

    public bool IsAway { get; set; }

    public int Asked { get; private set; }

    /// <summary>Signs with a new key from now on.</summary>
    public void Rotate(bool publishes = true)
    {
        _key = NewKey();
        if (publishes) _published.Add(_key);
    }

    public string Token(DateTimeOffset now, Action<SecurityTokenDescriptor>? change = null, params string[] roles)
    {
        var claims = new List<Claim> { new("oid", "11111111-2222-3333-4444-555555555555"), new("sub", "pairwise"), new("tid", Options.TenantId) };
        claims.AddRange(roles.Select(role => new Claim("roles", role)));
        var descriptor = new SecurityTokenDescriptor
        {
            Issuer = $"https://login.microsoftonline.com/{Options.TenantId}/v2.0",
            Audience = Options.ClientId,
            Subject = new ClaimsIdentity(claims),
            IssuedAt = now.UtcDateTime,
            NotBefore = now.UtcDateTime,
            Expires = now.AddHours(1).UtcDateTime,
            SigningCredentials = new SigningCredentials(_key, SecurityAlgorithms.RsaSha256),
        };
        change?.Invoke(descriptor);
        return new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(descriptor);
    }

    /// <summary>The modulus of the public key: what a forger has who signs with a secret that everybody knows.</summary>
    public SymmetricSecurityKey PublicKeyAsSecret() => new(_key.Rsa.ExportParameters(false).Modulus!) { KeyId = _key.KeyId };

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (IsAway) throw new HttpRequestException("the issuer is away");
        Asked++;
        var path = request.RequestUri!.AbsolutePath;
        var body = path == $"/{Options.TenantId}/v2.0/.well-known/openid-configuration"
            ? JsonSerializer.Serialize(new { issuer = $"https://login.microsoftonline.com/{Options.TenantId}/v2.0", jwks_uri = "https://login.microsoftonline.com/keys" })
            : path == "/keys" ? JsonSerializer.Serialize(new { keys = _published.Select(Published) })
            : throw new InvalidOperationException($"Nobody asks for {path}.");
        return Task.FromResult(new HttpResponseMessage(HttpStatusCode.OK) { Content = new StringContent(body, Encoding.UTF8, "application/json") });
    }

    private static object Published(RsaSecurityKey key)
    {
        var parts = key.Rsa.ExportParameters(false);
        return new { kty = "RSA", use = "sig", kid = key.KeyId, n = Base64UrlEncoder.Encode(parts.Modulus), e = Base64UrlEncoder.Encode(parts.Exponent) };
    }

    private static RsaSecurityKey NewKey() => new(RSA.Create(2_048)) { KeyId = Guid.NewGuid().ToString("N") };
}
