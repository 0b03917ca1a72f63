using System.Buffers.Binary;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>Whatever one connection sends, it loses at most itself.</summary>
public sealed class HostileClientTests
{
    [Fact]
    public async Task AnyLengthThatIsNoRequest_ClosesThatConnectionOnly()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var good = new WireClient(hubs.Broker.Port);
        foreach (var length in (int[])[int.MinValue, -1, 0, 7, 1_046_529, int.MaxValue, 0x47455420 /* GET, as a browser says */])
        {
            using var bad = new WireClient(hubs.Broker.Port);
            var prefix = new byte[4];
            BinaryPrimitives.WriteInt32BigEndian(prefix, length);
            await bad.Stream.WriteAsync(prefix);
            Assert.True(await bad.IsClosedAsync(), $"length {length}");
        }

        Assert.Equal(0, (await good.ProduceAsync(Batches.Of(10))).Error);
    }

    [Fact]
    public async Task AnUnknownRequestOrALyingArray_ClosesThatConnectionOnly()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var good = new WireClient(hubs.Broker.Port);
        (short Key, short Version, Action<WireClient.Request> Body)[] requests =
        [
            (11, 0, _ => { }), // join a group
            (1, 11, _ => { }), // a version not offered
            (0, 3, request => request.Text(null).Int16(-1).Int32(0).Int32(int.MaxValue)),
            (0, 3, request => request.Text(null).Int16(-1).Int32(0).Int32(1).Text("x").Int32(1).Int32(0).Int32(int.MaxValue)),
            (1, 4, request => request.Int32(0).Int32(0).Int32(0).Int32(0).Raw([0]).Int32(-7)),
            (3, 1, request => request.Int32(1).Int16(short.MaxValue)),
            (2, 1, _ => { }),
            (3, 1, request => request.Int32(1).Int16(3).Raw([0xFF, 0xFF, 0xFF])), // a name that is not UTF-8 would come back longer than it was
        ];
        foreach (var (key, version, body) in requests)
        {
            using var bad = new WireClient(hubs.Broker.Port);
            await bad.SendAsync(key, version, body);
            Assert.True(await bad.IsClosedAsync(), $"request {key} version {version}");
        }

        Assert.Equal(0, (await good.ProduceAsync(Batches.Of(10))).Error);
    }

    /// <summary>Method: valid requests with random bytes changed. Whatever comes of them, the log stays readable and the broker answers others.</summary>
    [Fact]
    public async Task RandomDamageToRealRequests_BrokerAndLogStayWhole()
    {
        await using var hubs = await HubFixture.StartAsync();
        var random = new Random(4);
        for (var round = 0; round < 300; round++)
        {
            var batch = Batches.Of(random.Next(200), random.Next(1, 4));
            var body = new WireClient.Request()
                .Int16(0).Int16(3).Int32(round).Text("wire").Text(null).Int16(-1).Int32(0).Int32(1).Text(HubFixture.Hub).Int32(1).Int32(0).Int32(batch.Length).Raw(batch).Bytes;
            for (var flips = random.Next(1, 6); flips > 0; flips--) body[random.Next(body.Length)] = (byte)random.Next(256);
            using var bad = new WireClient(hubs.Broker.Port);
            await bad.Stream.WriteAsync(new WireClient.Request().Int32(body.Length).Raw(body).Bytes);
        }

        using var good = new WireClient(hubs.Broker.Port);
        var (error, offset) = await good.ProduceAsync(Batches.Of(10));
        Assert.Equal(0, error);
        await hubs.RestartAsync();
        using var again = new WireClient(hubs.Broker.Port);
        Assert.InRange((await again.FetchAsync(0)).End, offset + 1, long.MaxValue);
    }

    /// <summary>A description of a hub is a hundred times as long as its name: naming it over and over must not make the broker write it as often.</summary>
    [Fact]
    public async Task Metadata_NamingAHubAgainAndAgain_IsAnsweredOnce()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var wire = new WireClient(hubs.Broker.Port);

        var answer = await wire.AskAsync(3, 1, request =>
        {
            request.Int32(10_000);
            for (var time = 0; time < 10_000; time++) request.Text(HubFixture.Hub);
        });

        Assert.Equal((1, 0), (answer.Int32(), answer.Int32()));
        _ = (answer.Text(), answer.Int32(), answer.Int16(), answer.Int32()); // host, port, rack, controller
        Assert.Equal(1, answer.Int32());
    }

    [Fact]
    public async Task OneConnectionTooMany_IsClosedAndTheOthersGoOn()
    {
        await using var hubs = await HubFixture.StartAsync(options => options with { ConnectionsMax = 2 });
        using var first = new WireClient(hubs.Broker.Port);
        using var second = new WireClient(hubs.Broker.Port);
        Assert.Equal(0, (await second.ProduceAsync(Batches.Of(10))).Error);

        using var third = new WireClient(hubs.Broker.Port);

        Assert.True(await third.IsClosedAsync());
        Assert.Equal(0, (await first.ProduceAsync(Batches.Of(10))).Error);
    }

    /// <summary>Two requests in one packet, then one request in single bytes.</summary>
    [Fact]
    public async Task Requests_JoinedOrSplitByTheNetwork_AreAnsweredInOrder()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var wire = new WireClient(hubs.Broker.Port);
        byte[] Frame(int correlation)
        {
            var body = new WireClient.Request().Int16(18).Int16(0).Int32(correlation).Text(null).Bytes;
            return new WireClient.Request().Int32(body.Length).Raw(body).Bytes;
        }

        await wire.Stream.WriteAsync((byte[])[.. Frame(1), .. Frame(2)]);
        await wire.ReceiveAsync();
        await wire.ReceiveAsync();
        foreach (var single in Frame(3)) await wire.Stream.WriteAsync((byte[])[single]);
        var answer = await wire.ReceiveAsync();

        Assert.Equal((0, 7), (answer.Int16(), answer.Int32()));
    }
}
