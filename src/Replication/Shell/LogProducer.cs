using Confluent.Kafka;
using Microsoft.Extensions.Logging;

namespace ShardCloud.Replication;

/// <summary>One of a member's connections that append, and those that take its place. Thread-safe.</summary>
/// <remarks>
/// An idempotent producer that failed for good (<c>IsFatal</c>: its sequence at the log is lost) refuses everything from then on. Every append of it fails, which ends the tenure of its
/// partitions (G11); a new producer, with a new identity at the log, takes its place at once, and again only after a pause that grows from <see cref="FirstPause"/> to
/// <see cref="LongestPause"/> while each one fails soon after the last. The tenures come back by new grants.
/// </remarks>
internal sealed class LogProducer : IDisposable
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1), LongestPause = TimeSpan.FromSeconds(30), LongEnough = TimeSpan.FromMinutes(1), FlushTimeout = TimeSpan.FromSeconds(5);

    private readonly KafkaClients _clients;
    private readonly LogHealth _health;
    private readonly LogMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stopping = new();
    private IProducer<Null, byte[]> _current;
    private Task _renewing = Task.CompletedTask;
    private bool _isFailed;
    private TimeSpan _pause = TimeSpan.Zero;
    private long _since;

    public LogProducer(KafkaClients clients, LogHealth health, LogMetrics metrics, TimeProvider time, ILogger logger)
    {
        (_clients, _health, _metrics, _time, _logger, _since) = (clients, health, metrics, time, logger, time.GetTimestamp());
        _current = Make();
    }

    /// <summary>Hands a record over; <paramref name="onReport"/> hears what became of it, on the client's thread.</summary>
    /// <exception cref="KafkaException">It was not taken.</exception>
    public void Produce(TopicPartition at, byte[] value, Headers? headers, Action<DeliveryReport<Null, byte[]>> onReport)
    {
        // Only enqueues; the lock keeps the client from being closed meanwhile.
        lock (_gate) _current.Produce(at, new Message<Null, byte[]> { Value = value, Headers = headers }, onReport);
    }

    /// <summary>Appends and waits for the log's ack.</summary>
    /// <exception cref="KafkaException">It was not appended.</exception>
    public Task ProduceAsync(TopicPartition at, byte[] value, CancellationToken cancellation)
    {
        lock (_gate) return _current.ProduceAsync(at, new Message<Null, byte[]> { Value = value }, cancellation);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping.Cancel();
        Task renewing;
        lock (_gate) renewing = _renewing;
        renewing.Wait();
        _current.Dispose();
        _stopping.Dispose();
    }

    private IProducer<Null, byte[]> Make() => _clients.Producer(OnError, _health.Statistics);

    private void OnError(Error error)
    {
        if (error.IsFatal) Failed(error.Reason);
        else _health.Error(error.Reason);
    }

    /// <summary>The current producer is of no use any more.</summary>
    internal void Failed(string reason)
    {
        lock (_gate)
        {
            if (_isFailed || _stopping.IsCancellationRequested) return;
            _isFailed = true;
            if (_time.GetElapsedTime(_since) >= LongEnough) _pause = TimeSpan.Zero;
            _renewing = Task.Run(() => RenewAsync(reason));
        }
    }

    private async Task RenewAsync(string reason)
    {
        _logger.ProducerFailed(reason, _pause.TotalSeconds);
        _metrics.Renewed();
        try
        {
            await Task.Delay(_pause, _time, _stopping.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return;
        }
        _pause = _pause == TimeSpan.Zero ? FirstPause : _pause * 2 < LongestPause ? _pause * 2 : LongestPause;

        // Whoever waits for an append of the old one hears that it failed, before a new tenure can begin on the new one.
        var old = _current;
        old.Flush(FlushTimeout);
        lock (_gate) (_current, _isFailed, _since) = (Make(), false, _time.GetTimestamp());
        old.Dispose();
    }
}
