using System.Text;
using Microsoft.Extensions.Time.Testing;

namespace ShardCloud.Identity.Tests;

public sealed class TokenTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-identity-").FullName;
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(56));

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string KeyPath => Path.Combine(_folder, "keys", "local.key");

    private TokenIssuer Issuer() => new(LocalKey.LoadOrCreate(KeyPath), _time);

    private TokenValidator Validator(string audience = Audiences.Members) => new(LocalKey.Load(KeyPath), audience, _time);

    [Fact]
    public async Task Token_OfTheSameKeyAndAudience_NamesSubjectAndRole()
    {
        var token = Issuer().Issue("shard-1~a", Roles.Member, Audiences.Members, TimeSpan.FromHours(1));

        var caller = await Validator().ValidateAsync(token);

        Assert.Equal(("shard-1~a", Roles.Member), (caller!.Subject, caller.Role));
    }

    [Fact]
    public async Task Token_Expired_IsRefused_AlsoWhenSeenBefore()
    {
        var token = Issuer().Issue("shard-1~a", Roles.Member, Audiences.Members, TimeSpan.FromHours(1));
        var validator = Validator();
        Assert.NotNull(await validator.ValidateAsync(token));

        _time.Advance(TimeSpan.FromHours(1) + TokenValidator.ClockSkew);

        Assert.Null(await validator.ValidateAsync(token));
        Assert.Null(await Validator().ValidateAsync(token));
    }

    [Fact]
    public async Task Token_FromTheFuture_IsRefused()
    {
        var issuer = Issuer();
        _time.Advance(TimeSpan.FromMinutes(10));
        var token = issuer.Issue("a", Roles.Member, Audiences.Members, TimeSpan.FromHours(1));

        var past = new FakeTimeProvider(DateTimeOffset.UnixEpoch.AddYears(56));

        Assert.Null(await new TokenValidator(LocalKey.Load(KeyPath), Audiences.Members, past).ValidateAsync(token));
    }

    [Fact]
    public async Task Token_ForAnotherAudience_IsRefused()
    {
        var token = Issuer().Issue("a", Roles.Operator, Audiences.Management, TimeSpan.FromHours(1));

        Assert.Null(await Validator(Audiences.Members).ValidateAsync(token));
        Assert.NotNull(await Validator(Audiences.Management).ValidateAsync(token));
    }

    [Fact]
    public async Task Token_OfAnotherKey_IsRefused()
    {
        var other = LocalKey.LoadOrCreate(Path.Combine(_folder, "other.key"));
        var token = new TokenIssuer(other, _time).Issue("a", Roles.Member, Audiences.Members, TimeSpan.FromHours(1));
        _ = Issuer();

        Assert.Null(await Validator().ValidateAsync(token));
    }

    [Theory]
    [InlineData("none")]
    [InlineData("truncated")]
    [InlineData("tampered")]
    [InlineData("")]
    [InlineData("not a token")]
    public async Task Token_UnsignedOrDamaged_IsRefused(string how)
    {
        var token = Issuer().Issue("a", Roles.Member, Audiences.Members, TimeSpan.FromHours(1));
        var parts = token.Split('.');
        var bad = how switch
        {
            "none" => $"{Base64Url("""{"alg":"none","typ":"JWT"}""")}.{parts[1]}.",
            "truncated" => token[..^10],
            "tampered" => $"{parts[0]}.{Base64Url("""{"iss":"shardcloud-local","aud":"shardcloud-members","sub":"x","role":"orchestrator","exp":9999999999}""")}.{parts[2]}",
            _ => how,
        };

        Assert.Null(await Validator().ValidateAsync(bad));
    }

    [Fact]
    public void Key_ThatOthersCanRead_IsRefused()
    {
        if (OperatingSystem.IsWindows()) return; // File modes are a Unix matter.
        _ = LocalKey.LoadOrCreate(KeyPath);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(KeyPath));
        File.SetUnixFileMode(KeyPath, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);

        Assert.Equal(ErrorCodes.BadKey, Assert.Throws<ShardCloudException>(() => LocalKey.Load(KeyPath)).Code);
    }

    [Fact]
    public async Task Key_MadeByManyAtOnce_IsOneKey()
    {
        var tokens = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(() =>
            new TokenIssuer(LocalKey.LoadOrCreate(KeyPath), _time).Issue("a", Roles.Member, Audiences.Members, TimeSpan.FromHours(1)))));

        var validator = Validator();
        foreach (var token in tokens) Assert.NotNull(await validator.ValidateAsync(token));
    }

    private static string Base64Url(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text)).TrimEnd('=').Replace('+', '-').Replace('/', '_');
}
