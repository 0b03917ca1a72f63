using System.Buffers.Binary;
using Confluent.Kafka;
using Microsoft.Extensions.Logging;

namespace ShardCloud.Replication;

/// <summary>Tells all members that the routing map has a new version: a hub of one partition, read from its end. A hint only; members poll the map as well.</summary>
public sealed class ControlChannel : IAsyncDisposable
{
    private readonly LogProducer _producer;
    private readonly LogHealth _health;
    private readonly IConsumer<Ignore, byte[]> _consumer;
    private readonly TopicPartition _at;
    private readonly ILogger _logger;
    private readonly Thread _thread;
    private volatile bool _stopping;

    internal ControlChannel(ReplicationOptions options, KafkaClients clients, LogProducer producer, LogHealth health, ILogger logger)
    {
        (_producer, _health, _logger) = (producer, health, logger);
        _at = new TopicPartition(options.ControlHub, new Partition(0));

        // A jump to the end loses hints, and the map is polled anyway.
        _consumer = clients.Consumer(AutoOffsetReset.Latest, health.Error);
        _consumer.Assign(new TopicPartitionOffset(_at, Offset.End));
        _thread = new Thread(Read) { IsBackground = true, Name = "control" };
        _thread.Start();
    }

    /// <summary>A version that some member announced, this one included. On the channel's thread: do not block.</summary>
    public event Action<MapVersion>? Heard;

    /// <summary>Announces a version; completes when the log has it.</summary>
    /// <exception cref="ShardCloudException">SC6001: it was not appended.</exception>
    public async Task PublishMapVersionAsync(MapVersion version, CancellationToken cancellation = default)
    {
        var bytes = new byte[9];
        bytes[0] = 1;
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(1), version.Value);
        try
        {
            await _producer.ProduceAsync(_at, bytes, cancellation).ConfigureAwait(false);
        }
        catch (KafkaException error)
        {
            throw new ShardCloudException(ErrorCodes.AppendFailed, $"The control record of map version {version} was not appended: {error.Error.Reason}.", "None needed: members also poll the map.", error);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _stopping = true;
        await Task.Run(_thread.Join).ConfigureAwait(false);
        _consumer.Close();
        _consumer.Dispose();
    }

    private void Read()
    {
        while (!_stopping)
        {
            try
            {
                if (_consumer.Consume(TimeSpan.FromMilliseconds(100)) is not { Message.Value: { Length: 9 } bytes } || bytes[0] != 1) continue;
                Heard?.Invoke(new MapVersion(BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(1))));
            }
            catch (ConsumeException error)
            {
                _health.Error(error.Error.Reason);
            }
            catch (Exception error) // A listener's fault must not end the channel.
            {
                _logger.ListenerFailed(error);
            }
        }
    }
}
