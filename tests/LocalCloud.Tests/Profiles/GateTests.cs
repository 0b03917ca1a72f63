using Azure;
using Azure.Data.Tables;
using Azure.Storage.Blobs;
using Confluent.Kafka;
using ShardCloud.LocalCloud.Azurite;
using ShardCloud.LocalCloud.Profiles;
using ShardCloud.LocalCloud.Tests.EventHubs;

namespace ShardCloud.LocalCloud.Tests.Profiles;

/// <summary>The gates, with the product's own clients going through them.</summary>
public sealed class GateTests
{
    private static readonly CloudProfile Quick = new() { Log = new(1, 3), Tables = new(1, 3), Blobs = new(1, 3), ThrottledOneIn = 0, StalledOneIn = 0 };

    [Fact]
    public async Task Storage_ThroughItsGates_SignedCallsOfEveryKindWork()
    {
        await using var azurite = await AzuriteProcess.StartAsync(new AzuriteOptions());
        await using var gates = await StorageGates.StartAsync(azurite, Quick, TestContext.Current.CancellationToken);
        var table = new TableClient(gates.ConnectionString, "members");
        await table.CreateAsync(TestContext.Current.CancellationToken);
        var rows = Enumerable.Range(0, 20).Select(number => new TableEntity("a b'c%d", $"slots:{number}~é") { ["Text"] = new string('x', 1000) }).ToList();
        await table.SubmitTransactionAsync(rows.Select(row => new TableTransactionAction(TableTransactionActionType.Add, row)), TestContext.Current.CancellationToken);
        var container = new BlobContainerClient(gates.ConnectionString, "snapshots");
        await container.CreateAsync(cancellationToken: TestContext.Current.CancellationToken);
        var bytes = Enumerable.Range(0, 300_000).Select(index => (byte)index).ToArray();
        await container.UploadBlobAsync("a/b c/1.bin", BinaryData.FromBytes(bytes), TestContext.Current.CancellationToken);

        var one = await table.GetEntityAsync<TableEntity>("a b'c%d", "slots:7~é", cancellationToken: TestContext.Current.CancellationToken);
        var all = await table.QueryAsync<TableEntity>(row => row.PartitionKey == "a b'c%d", maxPerPage: 7, cancellationToken: TestContext.Current.CancellationToken).CountAsync(TestContext.Current.CancellationToken);
        var read = await container.GetBlobClient("a/b c/1.bin").DownloadContentAsync(TestContext.Current.CancellationToken);

        Assert.Equal(("slots:7~é", 20), (one.Value.RowKey, all));
        Assert.Equal(bytes, read.Value.Content.ToArray());
    }

    [Fact]
    public async Task Storage_Busy_IsRefusedAsAzureDoes()
    {
        await using var azurite = await AzuriteProcess.StartAsync(new AzuriteOptions());
        await using var gates = await StorageGates.StartAsync(azurite, Quick with { ThrottledOneIn = 1 }, TestContext.Current.CancellationToken);
        var table = new TableClient(gates.ConnectionString, "members", new TableClientOptions { Retry = { MaxRetries = 0 } });

        var busy = await Assert.ThrowsAsync<RequestFailedException>(() => table.CreateAsync(TestContext.Current.CancellationToken));

        Assert.Equal((503, "ServerBusy"), (busy.Status, busy.ErrorCode));
    }

    [Fact]
    public async Task Log_ThroughItsGate_EveryMessageOnceAndInOrder()
    {
        await using var gate = new LogGate(Quick);
        await using var hubs = await HubFixture.StartAsync(options => options with { AdvertisedPort = gate.Port });
        gate.Open(hubs.Broker.Port);
        using var producer = hubs.Producer();

        var sent = Enumerable.Range(0, 2_000).Select(index => producer.ProduceAsync(
            new TopicPartition(HubFixture.Hub, 0), new Message<byte[]?, byte[]> { Value = BitConverter.GetBytes(index) })).ToList();
        await Task.WhenAll(sent).WaitAsync(HubFixture.Deadline);
        using var consumer = hubs.Consumer(offset: 0);

        Assert.Equal(Enumerable.Range(0, 2_000), HubFixture.Take(consumer, 2_000).Select(message => BitConverter.ToInt32(message.Message.Value)));
        Assert.Equal($"127.0.0.1:{gate.Port}", hubs.Broker.BootstrapServers);
    }

    /// <summary>Method: what goes through the cut gate is compared with what goes past it, so no time has to pass to know that it is held.</summary>
    [Fact]
    public async Task Log_ThroughACutGate_NothingPassesUntilItIsMended()
    {
        await using var hubs = await HubFixture.StartAsync(options => options);
        await using var gate = new CutGate(hubs.Broker.Port, namesAddress: true);
        using var past = hubs.Producer();
        using var through = new ProducerBuilder<byte[]?, byte[]>(new ProducerConfig { BootstrapServers = $"127.0.0.1:{gate.Port}", LingerMs = 0 }).Build();
        await SendAsync(through, 1);

        gate.Cut();
        var held = SendAsync(through, 3);
        await SendAsync(past, 2);
        Assert.False(held.IsCompleted); // The client would get past the gate if the broker's own address had reached it.
        gate.Mend();
        await held;

        using var consumer = hubs.Consumer(offset: 0);
        Assert.Equal([1, 2, 3], HubFixture.Take(consumer, 3).Select(message => BitConverter.ToInt32(message.Message.Value)));
    }

    private static Task SendAsync(IProducer<byte[]?, byte[]> producer, int number) =>
        producer.ProduceAsync(new TopicPartition(HubFixture.Hub, 0), new Message<byte[]?, byte[]> { Value = BitConverter.GetBytes(number) }).WaitAsync(HubFixture.Deadline);
}
