using Confluent.Kafka;

namespace ShardCloud.Replication;

/// <summary>Reads one Event Hub partition from an offset, on a thread of its own, with offsets kept by the caller: no groups, no commits.</summary>
/// <remarks>One consumer a partition: an idle partition then never holds up another's fetch.</remarks>
internal sealed class LogConsumer : IDisposable
{
    private static readonly TimeSpan PollWait = TimeSpan.FromMilliseconds(200);

    private readonly IConsumer<Ignore, byte[]> _consumer;
    private readonly TopicPartition _partition;
    private readonly Action<long, byte[]> _record;
    private readonly Action<string> _lost;
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;

    /// <param name="connection">Where.</param>
    /// <param name="hub">Hub.</param>
    /// <param name="partition">Partition.</param>
    /// <param name="from">First offset wanted.</param>
    /// <param name="record">Called for each record in offset order, on the consumer's thread; must not throw.</param>
    /// <param name="lost">Called once when the wanted offset is not in the log any more: retention passed it, or the hub is another.</param>
    public LogConsumer(LogConnection connection, string hub, int partition, long from, Action<long, byte[]> record, Action<string> lost)
    {
        (_partition, _record, _lost) = (new TopicPartition(hub, partition), record, lost);
        var builder = new ConsumerBuilder<Ignore, byte[]>(new ConsumerConfig(connection.Common())
        {
            GroupId = "shardcloud", // The client insists on one; it is never used.
            EnableAutoCommit = false,
            EnableAutoOffsetStore = false,
            AutoOffsetReset = AutoOffsetReset.Error,
            EnablePartitionEof = false,
            FetchMinBytes = 1,
            FetchWaitMaxMs = 100,
            FetchErrorBackoffMs = 10,
            FetchQueueBackoffMs = 10,
            QueuedMaxMessagesKbytes = 4_096,
            FetchMaxBytes = 2 * LogConnection.RecordBytesMax,
            MaxPartitionFetchBytes = LogConnection.RecordBytesMax,
            ConsumeResultFields = "none",
            CheckCrcs = true,
        }).SetErrorHandler((_, _) => { }).SetLogHandler((_, _) => { }); // Connection troubles mend themselves; what matters comes out of Consume.
        if (connection.RefreshToken is { } refresh) builder.SetOAuthBearerTokenRefreshHandler((client, config) => refresh(client, config));
        _consumer = builder.Build();
        _consumer.Assign(new TopicPartitionOffset(_partition, from));
        _thread = new Thread(Read) { IsBackground = true, Name = $"log {hub}/{partition}" };
        _thread.Start();
    }

    /// <summary>The offset one past the last record of the partition, asked of the broker. Blocks; at most <paramref name="timeout"/>.</summary>
    /// <exception cref="KafkaException">No answer.</exception>
    public long QueryEnd(TimeSpan timeout) => _consumer.QueryWatermarkOffsets(_partition, timeout).High.Value;

    public void Dispose()
    {
        _stop.Cancel();
        if (Thread.CurrentThread != _thread) _thread.Join();
        _consumer.Dispose();
        _stop.Dispose();
    }

    private void Read()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                if (_consumer.Consume(PollWait) is { IsPartitionEOF: false } result) _record(result.Offset.Value, result.Message.Value ?? []);
            }
            catch (ConsumeException error) when (error.Error.Code is ErrorCode.Local_AutoOffsetReset or ErrorCode.OffsetOutOfRange)
            {
                _lost(error.Error.Reason);
                return;
            }
            catch (ConsumeException)
            {
                // The broker is away or the partition moves: the client reconnects by itself.
            }
            catch (ObjectDisposedException)
            {
                return;
            }
        }
    }
}
