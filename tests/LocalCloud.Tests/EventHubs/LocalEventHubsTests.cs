using System.Text;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using ShardCloud.LocalCloud.EventHubs;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>The broker as the product's own client sees it.</summary>
public sealed class LocalEventHubsTests
{
    [Fact]
    public async Task RoundTrip_IdempotentProducer_EveryMessageOnceAndInOrder()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var producer = hubs.Producer();
        const int Count = 5_000;

        var sent = Enumerable.Range(0, Count).Select(index => producer.ProduceAsync(
            new TopicPartition(HubFixture.Hub, 0),
            new Message<byte[]?, byte[]> { Value = BitConverter.GetBytes(index), Headers = [new Header("n", [(byte)index])] })).ToList();
        await Task.WhenAll(sent).WaitAsync(HubFixture.Deadline);
        using var consumer = hubs.Consumer(offset: 0);
        var received = HubFixture.Take(consumer, Count);

        Assert.Equal(Enumerable.Range(0, Count), received.Select(message => BitConverter.ToInt32(message.Message.Value)));
        Assert.Equal(Enumerable.Range(0, Count).Select(index => (long)index), received.Select(message => message.Offset.Value));
        Assert.All(received, message => Assert.Equal((byte)message.Offset.Value, message.Message.Headers[0].GetValueBytes()[0]));
    }

    [Theory]
    [InlineData(Acks.All)]
    [InlineData(Acks.Leader)]
    [InlineData(Acks.None)]
    public async Task Acks_EachKind_MessageIsStored(Acks acks)
    {
        await using var hubs = await HubFixture.StartAsync();
        using var producer = hubs.Producer(config => (config.Acks, config.EnableIdempotence) = (acks, false));

        await producer.ProduceAsync(new TopicPartition(HubFixture.Hub, 1), new() { Value = "a"u8.ToArray() }).WaitAsync(HubFixture.Deadline);
        using var consumer = hubs.Consumer(offset: 0, partition: 1);

        Assert.Equal("a", Encoding.UTF8.GetString(HubFixture.Take(consumer, 1)[0].Message.Value));
    }

    [Fact]
    public async Task Restart_ProducerAndConsumerStayOpen_NothingIsLostOrRepeated()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var producer = hubs.Producer();
        using var consumer = hubs.Consumer(offset: 0);
        var partition = new TopicPartition(HubFixture.Hub, 0);
        await producer.ProduceAsync(partition, new() { Value = [0] }).WaitAsync(HubFixture.Deadline);

        await hubs.RestartAsync();
        for (byte index = 1; index < 50; index++) await producer.ProduceAsync(partition, new() { Value = [index] }).WaitAsync(HubFixture.Deadline);

        Assert.Equal(Enumerable.Range(0, 50), HubFixture.Take(consumer, 50).Select(message => (int)message.Message.Value[0]));
        Assert.Equal(50, consumer.QueryWatermarkOffsets(partition, HubFixture.Deadline).High.Value);
    }

    [Fact]
    public async Task Publication_OverTheTierLimit_IsRefusedAndTheNextOneIsNot()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var producer = hubs.Producer(config => config.EnableIdempotence = false);
        var partition = new TopicPartition(HubFixture.Hub, 0);

        var error = await Assert.ThrowsAnyAsync<ProduceException<byte[]?, byte[]>>(
            () => producer.ProduceAsync(partition, new() { Value = new byte[1_020_000] }).WaitAsync(HubFixture.Deadline));
        var next = await producer.ProduceAsync(partition, new() { Value = new byte[990_000] }).WaitAsync(HubFixture.Deadline);

        Assert.Equal(ErrorCode.MsgSizeTooLarge, error.Error.Code);
        Assert.Equal(0, next.Offset.Value);
    }

    [Fact]
    public async Task Consumer_OffsetBeforeTheBeginning_IsToldInsteadOfJumping()
    {
        await using var hubs = await HubFixture.StartAsync(options => options with { SegmentBytes = 4_000, RetentionBytes = 8_000 });
        using var producer = hubs.Producer();
        for (var index = 0; index < 10; index++)
            await producer.ProduceAsync(new TopicPartition(HubFixture.Hub, 0), new() { Value = new byte[3_000] }).WaitAsync(HubFixture.Deadline);
        hubs.Broker.ApplyRetention();
        using var consumer = hubs.Consumer(offset: 0);

        var error = Assert.Throws<ConsumeException>(() => HubFixture.Take(consumer, 1));

        Assert.Equal(ErrorCode.Local_AutoOffsetReset, error.Error.Code);
    }

    [Fact]
    public async Task ClusterId_TellsARecreatedHub_AndSurvivesARestartAndANewHub()
    {
        await using var hubs = await HubFixture.StartAsync();
        var (first, identity) = (await ClusterIdAsync(hubs), hubs.Broker.LogIdentities[HubFixture.Hub]);

        await hubs.RestartAsync(options => options with { Hubs = new Dictionary<string, int>(options.Hubs) { ["control"] = 1 } });
        var afterRestart = await ClusterIdAsync(hubs);
        Assert.Equal(identity, hubs.Broker.LogIdentities[HubFixture.Hub]);
        await hubs.RestartAsync(meanwhile: () => Directory.Delete(hubs.HubFolder, recursive: true));
        var afterRecreation = await ClusterIdAsync(hubs);

        Assert.Equal(first, afterRestart);
        Assert.NotEqual(first, afterRecreation);
        Assert.NotEqual(identity, hubs.Broker.LogIdentities[HubFixture.Hub]);
    }

    [Fact]
    public async Task Start_FolderInUseOrOtherPartitionCount_IsRefusedWithACode()
    {
        await using var hubs = await HubFixture.StartAsync();

        var inUse = await Assert.ThrowsAsync<ShardCloudException>(() => LocalEventHubs.StartAsync(hubs.Options));
        var count = await Assert.ThrowsAsync<ShardCloudException>(() => hubs.RestartAsync(
            options => options with { Hubs = new Dictionary<string, int> { [HubFixture.Hub] = 4 } }));

        Assert.Equal(ErrorCodes.DataInUse, inUse.Code);
        Assert.Equal(ErrorCodes.LogReplaced, count.Code);
    }

    [Fact]
    public async Task OffsetsForTimes_FindsTheFirstRecordAtOrAfter()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var wire = new WireClient(hubs.Broker.Port);
        foreach (var timestamp in (long[])[1_000, 2_000, 3_000]) await wire.ProduceAsync(Batches.Of(valueBytes: 10, count: 3, timestamp: timestamp));
        using var consumer = hubs.Consumer(offset: 0);

        long At(long timestamp) => consumer.OffsetsForTimes(
            [new TopicPartitionTimestamp(HubFixture.Hub, 0, new Timestamp(timestamp, TimestampType.CreateTime))], HubFixture.Deadline)[0].Offset.Value;

        Assert.Equal(0, At(500));
        Assert.Equal(3, At(1_021)); // the batch of 1,000 ends at 1,020
        Assert.Equal(4, At(2_001));
        Assert.Equal(8, At(3_020));
        Assert.Equal(Offset.End.Value, At(4_000));
    }

    private static async Task<string> ClusterIdAsync(HubFixture hubs)
    {
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = hubs.Broker.BootstrapServers }).SetLogHandler((_, _) => { }).Build();
        return (await admin.DescribeClusterAsync(new DescribeClusterOptions { RequestTimeout = HubFixture.Deadline }).WaitAsync(HubFixture.Deadline)).ClusterId;
    }
}
