using System.Text;
using Confluent.Kafka;
using ShardCloud.LocalCloud.EventHubs;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>SASL PLAIN with a connection string, as Event Hubs and its emulator ask for it.</summary>
public sealed class AuthenticationTests : IDisposable
{
    private const string User = "$ConnectionString";

    private readonly KeyFile _key = new();

    public void Dispose() => _key.Dispose();

    [Fact]
    public async Task Client_WithTheConnectionString_WritesAndReads_AlsoAfterARestart()
    {
        await using var hubs = await StartAsync();
        using var producer = hubs.Producer(hubs.Authenticate);
        var partition = new TopicPartition(HubFixture.Hub, 0);
        await producer.ProduceAsync(partition, new() { Value = [1] }).WaitAsync(HubFixture.Deadline);

        await hubs.RestartAsync(options => options with { Key = _key.Shared });
        await producer.ProduceAsync(partition, new() { Value = [2] }).WaitAsync(HubFixture.Deadline);
        using var consumer = hubs.Consumer(offset: 0, change: hubs.Authenticate);

        Assert.Equal([1, 2], HubFixture.Take(consumer, 2).Select(message => message.Message.Value[0]));
    }

    [Fact]
    public async Task Client_WithAnotherKey_IsTold()
    {
        await using var hubs = await StartAsync();
        using var other = new KeyFile();
        var told = new TaskCompletionSource<Error>(TaskCreationOptions.RunContinuationsAsynchronously);
        var config = new ProducerConfig { BootstrapServers = hubs.Broker.BootstrapServers };
        hubs.Authenticate(config);
        config.SaslPassword = other.Shared.ConnectionString(hubs.Broker.Port);
        using var producer = new ProducerBuilder<byte[]?, byte[]>(config).SetLogHandler((_, _) => { })
            .SetErrorHandler((_, error) =>
            {
                if (error.Code == ErrorCode.Local_Authentication) told.TrySetResult(error);
            }).Build();

        Assert.Contains("The key is not this namespace's", (await told.Task.WaitAsync(HubFixture.Deadline)).Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task Wire_HandshakeOfEachVersion_LetsIn(short version)
    {
        await using var hubs = await StartAsync();
        using var wire = new WireClient(hubs.Broker.Port);

        Assert.Equal(0, await HandshakeAsync(wire, version, "PLAIN"));
        if (version == 1)
        {
            Assert.Equal(0, await AuthenticateAsync(wire, Plain(User, hubs.Broker.ConnectionString!)));
        }
        else
        {
            var response = Plain(User, hubs.Broker.ConnectionString!);
            await wire.Stream.WriteAsync(new WireClient.Request().Int32(response.Length).Raw(response).Bytes);
            var frame = new byte[4];
            await wire.Stream.ReadExactlyAsync(frame);
            Assert.Equal(new byte[4], frame);
        }

        Assert.Equal((0, 0L), await wire.ProduceAsync(Batches.Of(10)));
    }

    [Fact]
    public async Task Wire_AnythingElseBeforeTheKey_ClosesThatConnectionOnly()
    {
        await using var hubs = await StartAsync();
        var good = hubs.Broker.ConnectionString!;
        (string What, byte[] Response)[] responses =
        [
            ("nothing", []), ("no parts", "x"u8.ToArray()), ("not UTF-8", [0, 0xFF, 0, 0xFE]), ("another user", Plain("root", good)), ("no password", Plain(User, "")),
            ("a part of the key", Plain(User, good.Replace("=;Use", ";Use", StringComparison.Ordinal))),
            ("another policy", Plain(User, good.Replace("RootManage", "Send", StringComparison.Ordinal))), ("four parts", [.. Plain(User, good), 0]),
        ];
        (string What, Func<WireClient, Task> Does)[] attempts =
        [
            ("metadata", wire => wire.SendAsync(3, 1, request => request.Int32(-1))),
            ("produce", wire => wire.SendAsync(0, 3, request => request.Text(null).Int16(-1).Int32(0).Int32(0))),
            ("key without handshake", wire => wire.SendAsync(36, 0, request => request.Int32(3).Raw([0, 0, 0]))),
            ("a frame too long", wire => wire.Stream.WriteAsync(new WireClient.Request().Int32(16 * 1024 + 1).Bytes).AsTask()),
            ("unknown mechanism", async wire => Assert.Equal(33, await HandshakeAsync(wire, 1, "SCRAM-SHA-256"))),
            ("two handshakes", async wire =>
            {
                await HandshakeAsync(wire, 1, "PLAIN");
                await wire.SendAsync(17, 1, request => request.Text("PLAIN"));
            }),
            ("metadata between", async wire =>
            {
                await HandshakeAsync(wire, 1, "PLAIN");
                await wire.SendAsync(3, 1, request => request.Int32(-1));
            }),
            ("a bare response that is none", async wire =>
            {
                await HandshakeAsync(wire, 0, "PLAIN");
                await wire.Stream.WriteAsync(new WireClient.Request().Int32(0).Bytes);
            }),
            .. responses.Select(pair => (pair.What, new Func<WireClient, Task>(async wire =>
            {
                await HandshakeAsync(wire, 1, "PLAIN");
                Assert.Equal(58, await AuthenticateAsync(wire, pair.Response));
            }))),
        ];
        foreach (var (what, does) in attempts)
        {
            using var bad = new WireClient(hubs.Broker.Port);
            await does(bad);
            Assert.True(await bad.IsClosedAsync(), what);
        }

        using var wire = new WireClient(hubs.Broker.Port);
        await HandshakeAsync(wire, 1, "PLAIN");
        await AuthenticateAsync(wire, Plain(User, good));
        Assert.Equal((0, 0L), await wire.ProduceAsync(Batches.Of(10)));
    }

    [Fact]
    public async Task Wire_RandomDamageToTheWayIn_NobodyElseIsLetInAndTheBrokerGoesOn()
    {
        await using var hubs = await StartAsync();
        var random = new Random(5);
        var produce = new WireClient.Request().Int16(0).Int16(3).Int32(3).Text("w").Text(null).Int16(-1).Int32(0).Int32(1).Text(HubFixture.Hub).Int32(1).Int32(0).Int32(71).Raw(Batches.Of(10)[..71]).Bytes;
        for (var round = 0; round < 200; round++)
        {
            var handshake = new WireClient.Request().Int16(17).Int16((short)random.Next(2)).Int32(1).Text("w").Text("PLAIN").Bytes;
            var response = Plain(User, "Endpoint=sb://x;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=AAAA");
            var authenticate = new WireClient.Request().Int16(36).Int16(0).Int32(2).Text("w").Int32(response.Length).Raw(response).Bytes;
            foreach (var body in (byte[][])[handshake, authenticate])
                for (var flips = random.Next(3); flips > 0; flips--) body[random.Next(body.Length)] = (byte)random.Next(256);
            using var bad = new WireClient(hubs.Broker.Port);
            await bad.Stream.WriteAsync((byte[])[.. Frame(handshake), .. Frame(authenticate), .. Frame(produce)]);
        }

        using var wire = new WireClient(hubs.Broker.Port);
        await HandshakeAsync(wire, 1, "PLAIN");
        await AuthenticateAsync(wire, Plain(User, hubs.Broker.ConnectionString!));
        Assert.Equal((0, 0L), await wire.ProduceAsync(Batches.Of(10))); // offset 0: no attempt got that far

        static byte[] Frame(byte[] body) => new WireClient.Request().Int32(body.Length).Raw(body).Bytes;
    }

    [Fact]
    public void Key_IsNotPrintedByAccident()
    {
        var secret = _key.Shared.ConnectionString(1).Split("SharedAccessKey=")[1].Split(';')[0];

        Assert.Equal(44, secret.Length);
        Assert.DoesNotContain(secret, $"{_key.Shared} {new LocalEventHubsOptions { DataFolder = "x", Key = _key.Shared }}", StringComparison.Ordinal);
    }

    private Task<HubFixture> StartAsync() => HubFixture.StartAsync(options => options with { Key = _key.Shared });

    private static byte[] Plain(string user, string password) => Encoding.UTF8.GetBytes($"\0{user}\0{password}");

    private static async Task<short> HandshakeAsync(WireClient wire, short version, string mechanism) =>
        (await wire.AskAsync(17, version, request => request.Text(mechanism))).Int16();

    private static async Task<short> AuthenticateAsync(WireClient wire, byte[] response) =>
        (await wire.AskAsync(36, 1, request => request.Int32(response.Length).Raw(response))).Int16();
}
