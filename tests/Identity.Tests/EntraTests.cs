using Azure.Core;
using Microsoft.Extensions.Time.Testing;
using Microsoft.IdentityModel.Tokens;

namespace ShardCloud.Identity.Tests;

public sealed class EntraTests : IDisposable
{
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(56));
    private readonly FakeEntra _entra = new();
    private readonly HttpClient _http;
    private readonly TokenValidator _validator;

    public EntraTests()
    {
        _http = new HttpClient(_entra);
        _validator = new TokenValidator(_entra.Options, _http, _time);
    }

    public void Dispose() => _http.Dispose();

    [Theory]
    [InlineData(Roles.Member, new[] { "member" })]
    [InlineData(Roles.Orchestrator, new[] { "orchestrator" })]
    [InlineData(Roles.Operator, new[] { "observer", "operator" })]
    [InlineData(Roles.Observer, new[] { "somebody.elses", "observer" })]
    public async Task Token_WithAppRoles_HasTheStrongestOfOurs(string expected, string[] given) =>
        Assert.Equal(("11111111-2222-3333-4444-555555555555", expected), await NamedAsync(_entra.Token(_time.GetUtcNow(), null, given)));

    [Fact]
    public async Task Token_OfAPerson_NamesHowTheySignedIn() =>
        Assert.Equal(("olga@example.com", Roles.Operator), await NamedAsync(_entra.Token(_time.GetUtcNow(), token => token.Subject.AddClaim(new("preferred_username", "olga@example.com")), Roles.Operator)));

    [Fact]
    public async Task Token_OfVersion1_IsTakenByTheRegistrationsUri() => Assert.NotNull(await _validator.ValidateAsync(_entra.Token(_time.GetUtcNow(), token =>
    {
        token.Issuer = $"https://sts.windows.net/{_entra.Options.TenantId}/";
        token.Audience = $"api://{_entra.Options.ClientId}";
    }, Roles.Member)));

    [Theory]
    [InlineData("expired")]
    [InlineData("future")]
    [InlineData("without an end")]
    [InlineData("wrong audience")]
    [InlineData("wrong issuer")]
    [InlineData("other tenant")]
    [InlineData("unsigned")]
    [InlineData("key that nobody published")]
    [InlineData("secret made of the public key")]
    [InlineData("no role")]
    [InlineData("role of somebody else")]
    [InlineData("tampered")]
    public async Task Token_ThatIsNotForUs_IsRefused(string how)
    {
        var now = _time.GetUtcNow();
        Assert.NotNull(await _validator.ValidateAsync(_entra.Token(now, null, Roles.Operator)));
        if (how == "key that nobody published") _entra.Rotate(publishes: false);

        var token = how switch
        {
            "expired" => _entra.Token(now.AddHours(-2), null, Roles.Operator),
            "future" => _entra.Token(now.AddMinutes(5), null, Roles.Operator),
            "without an end" => _entra.Token(now, token => token.Expires = null, Roles.Operator),
            "wrong audience" => _entra.Token(now, token => token.Audience = "https://management.azure.com/", Roles.Operator),
            "wrong issuer" => _entra.Token(now, token => token.Issuer = "shardcloud-local", Roles.Operator),
            "other tenant" => _entra.Token(now, token => token.Issuer = $"https://login.microsoftonline.com/{Guid.Empty}/v2.0", Roles.Operator),
            "unsigned" => _entra.Token(now, token => token.SigningCredentials = null, Roles.Operator),
            "secret made of the public key" => _entra.Token(now, token => token.SigningCredentials = new SigningCredentials(_entra.PublicKeyAsSecret(), SecurityAlgorithms.HmacSha256), Roles.Operator),
            "no role" => _entra.Token(now),
            "role of somebody else" => _entra.Token(now, null, "Operator.All"),
            "tampered" => Tampered(_entra.Token(now, null, Roles.Observer)),
            _ => _entra.Token(now, null, Roles.Operator),
        };

        Assert.Null(await _validator.ValidateAsync(token));
    }

    [Fact]
    public async Task Keys_OfAnIssuerThatIsAway_AreKept()
    {
        Assert.NotNull(await _validator.ValidateAsync(_entra.Token(_time.GetUtcNow(), null, Roles.Member)));
        var asked = _entra.Asked;
        _entra.IsAway = true;

        _time.Advance(TimeSpan.FromMinutes(10));

        Assert.NotNull(await _validator.ValidateAsync(_entra.Token(_time.GetUtcNow(), null, Roles.Member)));
        Assert.Equal(asked, _entra.Asked);
    }

    [Fact]
    public async Task Keys_ThatRotate_AreFetchedAgain()
    {
        Assert.NotNull(await _validator.ValidateAsync(_entra.Token(_time.GetUtcNow(), null, Roles.Member)));
        _entra.Rotate();
        var token = _entra.Token(_time.GetUtcNow(), null, Roles.Member);

        while (await _validator.ValidateAsync(token) is null) // They are fetched beside the validation that missed them.
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    [Fact]
    public async Task Source_AsksOnceUntilFiveMinutesBeforeTheEnd_ForItsRegistration()
    {
        var credential = new Credential(_time);
        using var source = new EntraTokenSource(credential, $"api://{_entra.Options.ClientId}", _time);

        var many = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => source.GetTokenAsync(Audiences.Members).AsTask()));
        _time.Advance(TimeSpan.FromMinutes(54));
        var later = await source.GetTokenAsync(Audiences.Management);
        _time.Advance(TimeSpan.FromMinutes(2));
        var renewed = await source.GetTokenAsync(Audiences.Members);

        Assert.All(many, token => Assert.Equal("token 1", token));
        Assert.Equal(("token 1", "token 2"), (later, renewed));
        Assert.Equal($"api://{_entra.Options.ClientId}/.default", credential.Scope);
    }

    [Fact]
    public async Task Source_IssuerIsAway_ServesTheHeldTokenToItsEnd_AndAsksEveryTenSeconds()
    {
        var credential = new Credential(_time);
        using var source = new EntraTokenSource(credential, $"api://{_entra.Options.ClientId}", _time);
        await source.GetTokenAsync(Audiences.Members);
        credential.IsAway = true;
        _time.Advance(TimeSpan.FromMinutes(56));

        Assert.Equal("token 1", await source.GetTokenAsync(Audiences.Members));
        Assert.Equal("token 1", await source.GetTokenAsync(Audiences.Members));
        Assert.Equal(2, credential.Asked);
        _time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal("token 1", await source.GetTokenAsync(Audiences.Members));
        Assert.Equal(3, credential.Asked);

        _time.Advance(TimeSpan.FromMinutes(5));
        await Assert.ThrowsAsync<InvalidOperationException>(() => source.GetTokenAsync(Audiences.Members).AsTask());
    }

    [Theory]
    [InlineData("", "", false, "KeyFile is missing")]
    [InlineData("key", "", true, "are both set")]
    [InlineData("", "tenant", true, "TenantId is not a GUID")]
    [InlineData("key", "", false, null)]
    public void Options_ThatContradict_SayHow(string keyFile, string tenant, bool entra, string? fault)
    {
        var options = new AuthOptions { KeyFile = keyFile, Entra = entra ? new EntraOptions { TenantId = tenant } : null };

        Assert.True(fault is null ? options.Fault() is null : options.Fault()!.Contains(fault, StringComparison.Ordinal), options.Fault());
    }

    private async Task<(string, string)> NamedAsync(string token) => await _validator.ValidateAsync(token) is { } caller ? (caller.Subject, caller.Role) : ("", "");

    private static string Tampered(string token)
    {
        var parts = token.Split('.');
        var payload = Base64UrlEncoder.Decode(parts[1]).Replace("observer", "operator", StringComparison.Ordinal);
        return $"{parts[0]}.{Base64UrlEncoder.Encode(payload)}.{parts[2]}";
    }

    private sealed class Credential(TimeProvider time) : TokenCredential
    {
        public bool IsAway { get; set; }
        public int Asked { get; private set; }
        public string? Scope { get; private set; }

        public override AccessToken GetToken(TokenRequestContext request, CancellationToken cancellationToken)
        {
            (Asked, Scope) = (Asked + 1, Assert.Single(request.Scopes));
            return IsAway ? throw new InvalidOperationException("away") : new AccessToken($"token {Asked}", time.GetUtcNow().AddHours(1));
        }

        public override ValueTask<AccessToken> GetTokenAsync(TokenRequestContext request, CancellationToken cancellationToken) => new(GetToken(request, cancellationToken));
    }
}
