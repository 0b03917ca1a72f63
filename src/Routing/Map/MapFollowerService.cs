using System.Threading.Channels;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace ShardCloud.Routing;

/// <summary>Keeps a member's routing map current: woken by pokes, and by a poll of the head.</summary>
/// <remarks>Load it before use (<see cref="LoadAsync"/>, or start the service). Members of it may be called from any thread.</remarks>
public sealed partial class MapFollowerService(MapStore store, TimeProvider? time = null, ILogger<MapFollowerService>? logger = null) : BackgroundService
{
    /// <summary>Time between two polls of the head.</summary>
    public static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(1);

    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly ILogger _logger = logger ?? NullLogger<MapFollowerService>.Instance;
    // Pokes are levels ("there is at least this version"): the newest one says all, so one place is enough.
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Lock _stepping = new(); // One step and its publication at a time; reads run outside.
    private readonly Lock _waiting = new();
    private readonly Episode _unread = new(time ?? TimeProvider.System);
    private readonly List<(MapVersion Version, TaskCompletionSource<RoutingMap> Done)> _waiters = [];
    private readonly TaskCompletionSource _loaded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _heard;
    private MapFollower? _core;
    private volatile RoutingMap? _current;
    private volatile ShardCloudException? _error;

    /// <summary>The newest map applied here.</summary>
    /// <exception cref="ShardCloudException">SC5018: not loaded yet.</exception>
    public RoutingMap Current => _current ?? throw new ShardCloudException(ErrorCodes.NotBootstrapped, "The routing map is not loaded yet.", "Wait until the member is ready.");

    /// <summary>Completes when a map is there.</summary>
    public Task Loaded => _loaded.Task;

    /// <summary>True once a map is there.</summary>
    public bool IsLoaded => _current is not null;

    /// <summary>A new version was applied; called one after the other, in the order of versions. Handlers must be short and not throw.</summary>
    public event Action<RoutingMap>? Changed;

    /// <summary>The map cannot be trusted (SC1009, SC1011); the member must stop.</summary>
    public event Action<ShardCloudException>? Stopped;

    /// <summary>Loads the newest map, once.</summary>
    /// <exception cref="ShardCloudException">As <see cref="MapStore.LoadAsync"/>.</exception>
    public async Task<RoutingMap> LoadAsync(CancellationToken cancellationToken = default)
    {
        if (_current is { } loaded) return loaded;
        _core = new MapFollower(await store.LoadAsync(cancellationToken));
        _current = _core.Current;
        _loaded.TrySetResult();
        return _current;
    }

    /// <summary>There is said to be this version; cheap.</summary>
    public void Poke(MapVersion version)
    {
        long seen;
        while ((seen = Volatile.Read(ref _heard)) < version.Value && Interlocked.CompareExchange(ref _heard, version.Value, seen) != seen) { }
        if (_current is null || _current.Version < version) _wake.Writer.TryWrite(true);
    }

    /// <summary>Takes the outcome of an own commit: no read is needed to follow it, and when this returns it is applied here.</summary>
    /// <param name="map">From the same table.</param>
    public void Offer(RoutingMap map)
    {
        if (_core is not null) Step(new FollowerEvent.MapRead(map));
    }

    /// <summary>The map once it has reached a version. Bounded by the caller's token only.</summary>
    /// <exception cref="ShardCloudException">The follower has stopped.</exception>
    public ValueTask<RoutingMap> WaitForAsync(MapVersion version, CancellationToken cancellationToken)
    {
        if (_current is { } now && now.Version >= version) return new(now);
        var done = new TaskCompletionSource<RoutingMap>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_waiting)
        {
            if (_error is not null) throw _error;
            if (_current is { } current && current.Version >= version) return new(current);
            _waiters.Add((version, done));
        }
        Poke(version);
        return WaitAsync();

        async ValueTask<RoutingMap> WaitAsync()
        {
            await using var cancelled = cancellationToken.Register(() => done.TrySetCanceled(cancellationToken));
            try
            {
                return await done.Task;
            }
            finally
            {
                lock (_waiting) _waiters.RemoveAll(w => w.Done == done);
            }
        }
    }

    /// <inheritdoc/>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await LoadAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested && _error is null)
        {
            // Hearsay first: it reads the changes at once. A poll costs one more read, of the head. A rumour is followed up once.
            var heard = new MapVersion(Interlocked.Exchange(ref _heard, 0));
            await RunAsync(heard > _core!.Current.Version ? new FollowerEvent.Heard(heard) : new FollowerEvent.Poll(), stoppingToken);
            await WaitForWakeAsync(stoppingToken);
        }
    }

    private async Task RunAsync(FollowerEvent first, CancellationToken stoppingToken)
    {
        var events = new Queue<FollowerEvent>([first]);
        while (events.TryDequeue(out var happened))
            foreach (var command in Step(happened))
                if (await ReadAsync(command, stoppingToken) is { } next) events.Enqueue(next);
    }

    /// <summary>Steps the core and publishes what it applied; the reads it asks for are left to the caller.</summary>
    private List<FollowerCommand> Step(FollowerEvent happened)
    {
        var reads = new List<FollowerCommand>();
        lock (_stepping)
        {
            foreach (var command in _core!.Step(happened))
            {
                if (command is FollowerCommand.Publish publish) Publish(publish.Map);
                else reads.Add(command);
            }
        }
        return reads;
    }

    private async Task<FollowerEvent?> ReadAsync(FollowerCommand command, CancellationToken stoppingToken)
    {
        try
        {
            switch (command)
            {
                case FollowerCommand.ReadHead read: return Read(new FollowerEvent.HeadRead(await store.ReadHeadVersionAsync(stoppingToken), read.AppliedAtSend));
                case FollowerCommand.ReadChanges read: return Read(new FollowerEvent.ChangesRead(await store.ReadChangesAsync(read.After, stoppingToken)));
                case FollowerCommand.Stop stop: Stop(stop.Error); return null;
                default: throw new InvalidOperationException($"Unknown command {command}.");
            }
        }
        catch (ShardCloudException error) when (error.Code == ErrorCodes.MapUnreadable)
        {
            Stop(error);
            return null;
        }
        catch (ShardCloudException error)
        {
            if (_unread.Begins()) LogReadFailed(_logger, error.Code, error);
            return new FollowerEvent.ReadFailed();
        }
    }

    private FollowerEvent Read(FollowerEvent happened)
    {
        if (_unread.Ends(out var failed, out var lasted)) LogReadAgain(_logger, failed, lasted.TotalSeconds);
        return happened;
    }

    private void Publish(RoutingMap map)
    {
        List<TaskCompletionSource<RoutingMap>> due;
        lock (_waiting)
        {
            _current = map;
            due = [.. _waiters.Where(w => w.Version <= map.Version).Select(w => w.Done)];
        }
        Changed?.Invoke(map); // Before the waiters: who waited for a version finds the member's parts at that version.
        foreach (var done in due) done.TrySetResult(map);
    }

    private void Stop(ShardCloudException error)
    {
        List<TaskCompletionSource<RoutingMap>> all;
        lock (_waiting)
        {
            _error = error;
            all = [.. _waiters.Select(w => w.Done)];
        }
        LogStopped(_logger, error.Code, error);
        foreach (var done in all) done.TrySetException(error);
        Stopped?.Invoke(error);
    }

    private async Task WaitForWakeAsync(CancellationToken stoppingToken)
    {
        using var due = new CancellationTokenSource(PollInterval, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(due.Token, stoppingToken);
        try
        {
            await _wake.Reader.ReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!stoppingToken.IsCancellationRequested)
        {
            // Nothing was heard for a poll interval.
        }
    }

    [LoggerMessage(1011, LogLevel.Warning, "The routing map could not be read ({Code}); each poll tries again (told once until one succeeds)")]
    private static partial void LogReadFailed(ILogger logger, string code, Exception error);

    [LoggerMessage(1012, LogLevel.Critical, "The routing map cannot be trusted ({Code}); this member stops")]
    private static partial void LogStopped(ILogger logger, string code, Exception error);

    [LoggerMessage(1013, LogLevel.Information, "The routing map is read again; {Failed} reads failed in {Seconds:0.0} s")]
    private static partial void LogReadAgain(ILogger logger, long failed, double seconds);
}
