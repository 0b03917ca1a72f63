using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Time.Testing;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using ShardCloud.LocalCloud.EventHubs;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>SASL OAUTHBEARER by hand: RFC 7628, KIP-255 and, for sessions that go on, KIP-368. What the product's own client makes of it: LogTokenTests of the Replication tests.</summary>
public sealed class BearerTokensTests : IDisposable
{
    private const string Issuer = "https://sts.windows.net/tenant/", Audience = "https://rooms.servicebus.windows.net", Mechanism = "OAUTHBEARER";

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 6, 1, 12, 0, 0, TimeSpan.Zero));
    private readonly RSA _rsa = RSA.Create(2048);
    private readonly KeyFile _key = new();

    public void Dispose()
    {
        _rsa.Dispose();
        _key.Dispose();
    }

    [Fact]
    public async Task Token_LetsInUntilItEnds_AndTheAnswerSaysUntilWhen()
    {
        await using var hubs = await StartAsync();
        using var wire = new WireClient(hubs.Broker.Port);
        await HandshakeAsync(wire);

        Assert.Equal((0, "", 3_600_000L), await AuthenticateAsync(wire, Message(Token())));
        Assert.Equal((0, 0L), await wire.ProduceAsync(Batches.Of(10)));
        _time.Advance(TimeSpan.FromHours(1));

        await wire.SendAsync(3, 1, request => request.Int32(-1));
        Assert.True(await wire.IsClosedAsync());
    }

    [Fact]
    public async Task Session_GoesOnWithANewTokenOfTheSameSubject_OnTheSameConnection()
    {
        await using var hubs = await StartAsync();
        using var wire = new WireClient(hubs.Broker.Port);
        await HandshakeAsync(wire);
        await AuthenticateAsync(wire, Message(Token()));
        _time.Advance(TimeSpan.FromMinutes(50));
        await HandshakeAsync(wire);
        Assert.Equal((0, "", 3_600_000L), await AuthenticateAsync(wire, Message(Token())));
        _time.Advance(TimeSpan.FromMinutes(50)); // Past the first one's end.

        Assert.Equal((0, 0L), await wire.ProduceAsync(Batches.Of(10)));
        await HandshakeAsync(wire);
        Assert.Equal(58, (await AuthenticateAsync(wire, Message(Token(subject: "somebody else")))).Error);
        Assert.True(await wire.IsClosedAsync());
    }

    [Fact]
    public async Task Message_ThatIsNotGood_GetsTheReasonThenTheRefusal()
    {
        await using var hubs = await StartAsync();
        using var other = RSA.Create(2048);
        (string What, byte[] Message)[] messages =
        [
            ("nothing", []), ("no token", "n,,\u0001\u0001"u8.ToArray()), ("no header", Encoding.UTF8.GetBytes($"auth=Bearer {Token()}\u0001\u0001")), ("cut off", Message(Token())[..^2]), ("another scheme", Encoding.UTF8.GetBytes($"n,,\u0001auth=Basic {Token()}\u0001\u0001")),
            ("not UTF-8", [(byte)'n', 0xFF, 0xFE, 1, 1]), ("damaged", Message(Token()[..^4] + "AAAA")), ("another issuer", Message(Token(issuer: "https://sts.windows.net/other/"))), ("another audience", Message(Token(audience: "https://other.servicebus.windows.net"))),
            ("over", Message(Token(begins: -120))), ("not begun", Message(Token(begins: 1))), ("another key", Message(Token(key: other))), ("unsigned", Message($"{Token().Split('.')[0]}.{Token().Split('.')[1]}.")), ("the key's way", Encoding.UTF8.GetBytes($"\0$ConnectionString\0{hubs.Broker.ConnectionString}")),
        ];
        foreach (var (what, message) in messages)
        {
            using var wire = new WireClient(hubs.Broker.Port);
            await HandshakeAsync(wire);
            var first = await AuthenticateAsync(wire, message);
            Assert.True(first == (0, """{"status":"invalid_token"}""", 0L), $"{what}: {first}");
            Assert.Equal(58, (await AuthenticateAsync(wire, [1])).Error);
            Assert.True(await wire.IsClosedAsync(), what);
        }
    }

    [Theory]
    [InlineData("metadata after a refusal")]
    [InlineData("a handshake of version 0")]
    [InlineData("another mechanism later")]
    public async Task Wire_OutOfOrder_ClosesTheConnection(string what)
    {
        await using var hubs = await StartAsync();
        using var wire = new WireClient(hubs.Broker.Port);
        if (what == "a handshake of version 0") Assert.Equal(33, (await wire.AskAsync(17, 0, request => request.Text(Mechanism))).Int16());
        else await HandshakeAsync(wire);
        if (what == "metadata after a refusal")
        {
            await AuthenticateAsync(wire, [1]);
            await wire.SendAsync(3, 1, request => request.Int32(-1));
        }
        if (what == "another mechanism later")
        {
            await AuthenticateAsync(wire, Message(Token()));
            Assert.Equal(33, (await wire.AskAsync(17, 1, request => request.Text("PLAIN"))).Int16());
        }

        Assert.True(await wire.IsClosedAsync());
    }

    private Task<HubFixture> StartAsync() => HubFixture.StartAsync(options => options with { Key = _key.Shared, Tokens = new BearerTokens(Issuer, Audience, new RsaSecurityKey(_rsa.ExportParameters(false))) }, _time);

    private string Token(string issuer = Issuer, string audience = Audience, string subject = "member", int begins = -5, RSA? key = null) => new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(new SecurityTokenDescriptor
    {
        Issuer = issuer,
        Audience = audience,
        Subject = new ClaimsIdentity([new Claim("sub", subject)]),
        NotBefore = _time.GetUtcNow().AddMinutes(begins).UtcDateTime,
        Expires = _time.GetUtcNow().AddMinutes(begins < -60 ? 0 : 60).UtcDateTime,
        SigningCredentials = new SigningCredentials(new RsaSecurityKey(key ?? _rsa) { CryptoProviderFactory = new CryptoProviderFactory { CacheSignatureProviders = false } }, SecurityAlgorithms.RsaSha256),
    });

    private static byte[] Message(string token) => Encoding.UTF8.GetBytes($"n,,\u0001auth=Bearer {token}\u0001\u0001");

    private static async Task HandshakeAsync(WireClient wire) => Assert.Equal(0, (await wire.AskAsync(17, 1, request => request.Text(Mechanism))).Int16());

    private static async Task<(short Error, string Message, long LifetimeMs)> AuthenticateAsync(WireClient wire, byte[] message)
    {
        var answer = await wire.AskAsync(36, 1, request => request.Int32(message.Length).Raw(message));
        var error = answer.Int16();
        if (answer.Int16() is > 0 and var length) answer.Raw(length); // What a refusal says.
        return (error, Encoding.UTF8.GetString(answer.Raw(answer.Int32())), answer.Int64());
    }
}
