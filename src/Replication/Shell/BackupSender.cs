using Microsoft.Extensions.Logging;

namespace ShardCloud.Replication;

/// <summary>Sends a batch to the named backup of an Event Hub partition. True: it keeps it. False: it refused, or could not be reached.</summary>
public delegate Task<bool> BackupLink(int partition, BackupBatch batch, CancellationToken cancellation);

/// <summary>The shell around <see cref="BackupStream"/>: one batch in flight; while it travels the next one gathers.</summary>
/// <remarks>A refusal or a lost answer holds nothing up: the answers leave when the log shows them. The next try comes after a pause that grows to <see cref="LongestPause"/>.</remarks>
internal sealed class BackupSender : IAsyncDisposable
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50), LongestPause = TimeSpan.FromSeconds(1), SendTimeout = TimeSpan.FromSeconds(1);

    private readonly PartitionLog _log;
    private readonly BackupLink _link;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly WakeUp _wake = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _sending;

    public BackupSender(PartitionLog log, BackupLink link, TimeProvider time, ILogger logger)
    {
        (_log, _link, _time, _logger) = (log, link, time, logger);
        _sending = Task.Run(SendAsync);
    }

    /// <summary>Something may wait; cheap, any thread.</summary>
    public void Wake() => _wake.Set();

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        await _sending.ConfigureAwait(false);
        _stopping.Dispose();
    }

    private async Task SendAsync()
    {
        var pause = FirstPause;
        try
        {
            while (true)
            {
                await _wake.WaitAsync(_stopping.Token).ConfigureAwait(false);
                while (_log.Under(static t => t.TakeBatch()) is { } batch)
                {
                    var kept = await TrySendAsync(batch).ConfigureAwait(false);
                    _log.Do(t =>
                    {
                        if (kept) t.BackedUp(batch);
                        else t.NotBackedUp(batch);
                    });
                    if (!kept) await Task.Delay(pause, _time, _stopping.Token).ConfigureAwait(false);
                    pause = kept ? FirstPause : TimeSpan.FromTicks(Math.Min(pause.Ticks * 2, LongestPause.Ticks));
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The partition is closed.
        }
    }

    private async Task<bool> TrySendAsync(BackupBatch batch)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
        limit.CancelAfter(SendTimeout);
        try
        {
            return await _link(_log.Partition, batch, limit.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (!_stopping.IsCancellationRequested) // Whatever it was: the log answers meanwhile, and the batch is sent again.
        {
            _logger.NotBackedUp(error, _log.Partition, batch.Backup);
            return false;
        }
    }
}
