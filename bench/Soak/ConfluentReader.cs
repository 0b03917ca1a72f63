using Confluent.Kafka;

namespace ShardCloud.Bench.Soak;

/// <summary>Reads and digests all partitions with librdkafka.</summary>
internal sealed class ConfluentReader(Broker broker, Digest[] digests)
{
    /// <summary>Reads until every partition has as many records as <paramref name="ends"/> says once it is known.</summary>
    /// <exception cref="InvalidOperationException">A record is missing, comes twice, or an error came instead.</exception>
    public Task RunAsync(Task<long[]> ends, CancellationToken cancellationToken) => Task.Factory.StartNew(
        () => Run(ends, cancellationToken), cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private void Run(Task<long[]> ends, CancellationToken cancellationToken)
    {
        using var consumer = Open(broker);
        consumer.Assign(digests.Select((_, partition) => new TopicPartitionOffset(Settings.Hub, partition, 0)));
        while (!ends.IsCompletedSuccessfully || !digests.Select(digest => digest.Count).SequenceEqual(ends.Result))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (consumer.Consume(TimeSpan.FromMilliseconds(200)) is not { } read) continue;
            var digest = digests[read.Partition.Value];
            if (read.Offset.Value != digest.Count) throw new InvalidOperationException($"Partition {read.Partition.Value}: offset {digest.Count} was due, {read.Offset.Value} came.");
            digest.Add(read.Message.Key, read.Message.Value, read.Message.Headers);
        }
        consumer.Close();
    }

    public static IConsumer<byte[]?, byte[]> Open(Broker broker) => new ConsumerBuilder<byte[]?, byte[]>(broker.Configure(new ConsumerConfig
    {
        GroupId = "none",
        EnableAutoCommit = false,
        AutoOffsetReset = AutoOffsetReset.Error,
        FetchWaitMaxMs = 100,
        FetchMinBytes = 16 * 1024,
        QueuedMaxMessagesKbytes = 16 * 1024,
        ReconnectBackoffMaxMs = 500,
    })).SetLogHandler((_, _) => { }).Build();
}
