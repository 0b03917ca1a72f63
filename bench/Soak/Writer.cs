using System.Buffers.Binary;
using System.Diagnostics;
using Confluent.Kafka;

namespace ShardCloud.Bench.Soak;

/// <summary>One idempotent producer with partitions of its own: it knows every record's offset before it is sent, and digests what it sends.</summary>
internal sealed class Writer : IDisposable
{
    private const int InFlightMax = 2_000;

    private readonly IProducer<byte[]?, byte[]> _producer;
    private readonly int[] _partitions;
    private readonly Digest[] _digests;
    private readonly SemaphoreSlim _window = new(InFlightMax);
    private readonly Random _random;
    private readonly byte[] _noise = new byte[1024 * 1024];
    private long _wrong;

    public Writer(Broker broker, int seed, int[] partitions, Digest[] digests, Action<ProducerConfig> change)
    {
        (_partitions, _digests, _random) = (partitions, digests, new Random(seed));
        _random.NextBytes(_noise.AsSpan(0, _noise.Length / 2)); // the other half compresses
        var config = broker.Configure(new ProducerConfig { EnableIdempotence = true, MessageTimeoutMs = 0, MessageMaxBytes = 1_000_000, ReconnectBackoffMaxMs = 500 });
        change(config);
        _producer = new ProducerBuilder<byte[]?, byte[]>(config).SetLogHandler((_, _) => { }).Build();
    }

    /// <summary>Acknowledgements with an error, or with another offset than the order of sending says.</summary>
    public long Wrong => Volatile.Read(ref _wrong);

    /// <summary>Writes at a steady rate for that long, then until all is acknowledged.</summary>
    public async Task RunAsync(int rate, TimeSpan writing, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        var begun = Stopwatch.GetTimestamp();
        for (var sent = 0L; Stopwatch.GetElapsedTime(begun) is var at && at < writing; await timer.WaitForNextTickAsync(cancellationToken))
        {
            // What an absent broker held up is not made up for: the rate would then be the machine's, not the setting's.
            sent = Math.Max(sent, (long)((at.TotalSeconds - 1) * rate));
            for (; sent < at.TotalSeconds * rate; sent++) await SendAsync(cancellationToken);
        }
        for (var left = 0; left < InFlightMax; left++)
            if (!await _window.WaitAsync(TimeSpan.FromMinutes(2), cancellationToken)) throw new TimeoutException("Not all records were acknowledged within 2 minutes.");
    }

    public void Dispose()
    {
        _producer.Dispose();
        _window.Dispose();
    }

    private async Task SendAsync(CancellationToken cancellationToken)
    {
        await _window.WaitAsync(cancellationToken);
        var partition = _partitions[_random.Next(_partitions.Length)];
        var digest = _digests[partition];
        var offset = digest.Count;
        var value = NextValue(offset);
        var message = new Message<byte[]?, byte[]> { Key = offset % 3 == 0 ? null : BitConverter.GetBytes(offset), Value = value, Headers = [new Header("n", BitConverter.GetBytes(offset))] };
        digest.Add(message.Key, value, message.Headers);
        _producer.Produce(new TopicPartition(Settings.Hub, partition), message, report =>
        {
            if (report.Error.IsError || report.Offset.Value != offset) Interlocked.Increment(ref _wrong);
            _window.Release();
        });
    }

    private byte[] NextValue(long offset)
    {
        var size = _random.Next(2_000) switch
        {
            0 => _random.Next(100_000, 900_000),
            < 200 => _random.Next(1_000, 16 * 1024),
            _ => _random.Next(100, 1_000),
        };
        var value = _noise.AsSpan(_random.Next(_noise.Length - size), size).ToArray();
        BinaryPrimitives.WriteInt64BigEndian(value, offset);
        return value;
    }
}
