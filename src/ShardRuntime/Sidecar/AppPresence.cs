using ShardCloud.ShardRuntime.Health;

namespace ShardCloud.ShardRuntime.Sidecar;

/// <summary>Where the application answers just now, or how long it has been away. Thread-safe.</summary>
/// <remarks>The bound on waiting counts from its end, not from a request's arrival: requests that wait behind each other in a lane do not add up their waits.</remarks>
internal sealed class AppPresence(AppSettings settings, TimeProvider time) : IReadiness
{
    /// <summary>Between two tries at an application that refuses connections though its process runs.</summary>
    private static readonly TimeSpan TryEvery = TimeSpan.FromMilliseconds(50);

    private readonly Lock _gate = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? _address;
    private long? _awaySince, _refusedSince;

    public string? WhatIsMissing => Volatile.Read(ref _address) is null ? "the application does not answer" : null;

    /// <summary>It listens.</summary>
    public void Up(string address) => Change(address);

    /// <summary>It has ended.</summary>
    public void Down() => Change(null);

    /// <summary>Its address, as soon as it has one; null: it has been away for longer than requests may wait.</summary>
    public async ValueTask<string?> WhenUpAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed;
            TimeSpan left;
            lock (_gate)
            {
                if (_address is not null) return _address;
                (changed, left) = (_changed.Task, LeftOf(_awaySince ??= time.GetTimestamp()));
            }
            if (left <= TimeSpan.Zero) return null;
            await changed.WaitAsync(left, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    /// <summary>It answered.</summary>
    public void Answered()
    {
        if (_refusedSince is null) return; // Read without the lock: a stale look costs one more try, later.
        lock (_gate) _refusedSince = null;
    }

    /// <summary>It refused a connection: its end has not been seen yet, or it does not listen. Waits a little; false: that has been so for longer than requests may wait.</summary>
    public async ValueTask<bool> MayTryAgainAsync(CancellationToken cancellationToken)
    {
        Task changed;
        lock (_gate)
        {
            if (LeftOf(_refusedSince ??= time.GetTimestamp()) <= TimeSpan.Zero) return false;
            changed = _changed.Task;
        }
        await changed.WaitAsync(TryEvery, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellationToken.ThrowIfCancellationRequested();
        return true;
    }

    private void Change(string? address)
    {
        lock (_gate)
        {
            _address = address;
            _awaySince = address is null ? _awaySince ?? time.GetTimestamp() : null;
            _refusedSince = null;
            _changed.TrySetResult();
            _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    private TimeSpan LeftOf(long since) => settings.WaitMax - time.GetElapsedTime(since);
}
