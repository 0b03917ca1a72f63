using Confluent.Kafka;

namespace ShardCloud.Replication;

/// <summary>The one producer of a member: ordered, idempotent, without a message timeout (the lease is the limit). Thread-safe.</summary>
/// <remarks>A fatal error (the idempotent producer cannot go on) fails every append that is under way; the tenures concerned end (G11) and the producer is made anew.</remarks>
internal sealed class LogProducer(LogConnection connection) : IDisposable
{
    private readonly Lock _gate = new();
    private IProducer<Null, byte[]>? _producer;
    private bool _disposed;

    /// <summary>Appends a record to one Event Hub partition.</summary>
    /// <param name="hub">Hub.</param>
    /// <param name="partition">Its partition; records of one partition keep the order of the calls.</param>
    /// <param name="record">Bytes, at most <see cref="LogConnection.RecordBytesMax"/>; not changed until <paramref name="done"/>.</param>
    /// <param name="done">Called once, on the client's own thread: the offset, or null and why it failed. Must be quick and must not throw.</param>
    public void Append(string hub, int partition, byte[] record, Action<long?, string?> done)
    {
        try
        {
            Producer().Produce(new TopicPartition(hub, partition), new Message<Null, byte[]> { Value = record }, report =>
            {
                if (report.Error.IsError || report.Status != PersistenceStatus.Persisted) Failed(report.Error, done);
                else done(report.Offset.Value, null);
            });
        }
        catch (Exception error) when (error is KafkaException or ObjectDisposedException)
        {
            Failed((error as KafkaException)?.Error, done);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            _producer?.Dispose();
            _producer = null;
        }
    }

    private IProducer<Null, byte[]> Producer()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _producer ??= Build();
        }
    }

    private void Failed(Error? error, Action<long?, string?> done)
    {
        IProducer<Null, byte[]>? dead = null;
        if (error is { IsFatal: true })
        {
            lock (_gate) (dead, _producer) = (_producer, null);
        }
        done(null, error?.Reason ?? "the producer is closed");
        if (dead is not null) _ = Task.Run(dead.Dispose); // Not here: this is the dying client's own thread.
    }

    private IProducer<Null, byte[]> Build()
    {
        var builder = new ProducerBuilder<Null, byte[]>(new ProducerConfig(connection.Common())
        {
            Acks = Acks.All,
            EnableIdempotence = true,
            LingerMs = 0,                 // The coalescer gathers; the client adds no wait.
            MessageTimeoutMs = 0,
            RequestTimeoutMs = 60_000,
            CompressionType = CompressionType.None,
            QueueBufferingMaxMessages = 100_000,
            EnableDeliveryReports = true,
            DeliveryReportFields = "status",
        }).SetErrorHandler((_, _) => { }).SetLogHandler((_, _) => { }); // Every outcome comes as a delivery report.
        if (connection.RefreshToken is { } refresh) builder.SetOAuthBearerTokenRefreshHandler((client, config) => refresh(client, config));
        return builder.Build();
    }
}
