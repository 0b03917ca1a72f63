using System.Collections.Concurrent;
using ShardCloud.Contracts;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Health;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>The handoffs this member takes part in, as source or destination. Every call may be repeated.</summary>
/// <remarks>Finished ones are remembered for an hour, the last 1,000 of them, so that a late repetition is answered with how it ended.</remarks>
internal sealed class HandoffService : IHandoffTable, IAsyncDisposable
{
    /// <summary>Handoffs under way at once; past it a new one is refused (SC5008).</summary>
    public const int RunningMax = 512;

    private const int FinishedMax = 1_000;
    private static readonly TimeSpan FinishedFor = TimeSpan.FromHours(1);
    private static readonly TimeSpan MapBudget = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<HandoffId, DestinationRun> _destinations = new();
    private readonly ConcurrentDictionary<HandoffId, SourceRun> _sources = new();
    private readonly Lock _gate = new();
    private readonly HandoffTools _tools;
    private volatile Active[] _active = [];

    public HandoffService(
        ShardContext shard, MapStore maps, MapFollowerService follower, MemberParts parts, MemberClient members, MemberDirectory directory, TenureClaims claims, IDrain drain, Parking parking, HandoffMeters meters, IEnumerable<IReadiness> conditions, TimeProvider time, ILogger<HandoffService> log)
    {
        // Half the parking time: a seal that has to be taken back must leave parked requests the other half to be served in.
        var deadline = TimeSpan.FromTicks(Math.Min(TimeSpan.FromSeconds(5).Ticks, parking.TimeMax.Ticks / 2));
        _tools = new HandoffTools(shard, maps, follower, parts, members, claims, drain, parking, meters, new ProxyWatch(directory, time), [.. conditions],
            new HandoffTimes { SealDeadline = deadline }, time, log);
        follower.Changed += OnMapChanged;
    }

    /// <inheritdoc/>
    public HandoffView Look(EndpointId endpoint)
    {
        var active = _active;
        if (active.Length == 0) return HandoffView.None; // The common case costs one read.
        var hash = endpoint.KeyHash;
        foreach (var one in active)
        {
            var role = one.Source is { } source ? source.IsSealed ? HandoffRole.SealedSource : HandoffRole.None : one.Destination!.Role;
            if (role is not HandoffRole.None && one.Batch.Coverage.Covers(hash)) return new HandoffView(role, one.Batch.Handoff);
        }
        return HandoffView.None;
    }

    /// <summary>(2) Begins to warm up, or answers how far an attempt with this id is.</summary>
    public async Task<HandoffStatus> WarmAsync(HandoffRequest request, CancellationToken cancellationToken)
    {
        var handoff = new HandoffId(request.Handoff);
        if (!_destinations.TryGetValue(handoff, out var run))
        {
            var batch = await BatchAsync(handoff, new IncarnationId(request.From), new IncarnationId(request.To), request.Entries, cancellationToken);
            RequireSelf(batch.To);
            run = GetOrStart(_destinations, handoff, () => new DestinationRun(batch, _tools));
        }
        await run.PostAsync(new DestinationEvent.WarmAsked(), cancellationToken);
        run.MapChanged(); // A plan that is over already is seen at once.
        return run.Status;
    }

    /// <summary>How far it is, as destination or source; null when this member does not know it.</summary>
    public async Task<HandoffStatus?> StatusAsync(HandoffId handoff, HandoffPhase? waitFor, TimeSpan timeout, CancellationToken cancellationToken)
    {
        bool Enough(HandoffStatus status) => waitFor is not { } phase || status.Phase >= phase;
        if (_destinations.TryGetValue(handoff, out var destination)) return await destination.WaitForAsync(Enough, timeout, cancellationToken);
        return _sources.TryGetValue(handoff, out var source) ? await source.WaitForAsync(Enough, timeout, cancellationToken) : null;
    }

    /// <summary>(4) Checks this member; throws what is wrong.</summary>
    /// <exception cref="ShardCloudException">SC5007 and others: not ready.</exception>
    public async Task VerifyAsync(HandoffId handoff, CancellationToken cancellationToken)
    {
        var run = DestinationOf(handoff);
        await run.PostAsync(new DestinationEvent.VerifyAsked(), cancellationToken);
        var status = await run.WaitForAsync(_ => run.State is not DestinationState.Verifying, TimeSpan.FromSeconds(10), cancellationToken);
        if (status.Phase is >= HandoffPhase.Verified and < HandoffPhase.Cancelled) return;
        if (status.Error is { } error) throw new ShardCloudException(error.Code, error.Message, error.Remedy);
        throw new ShardCloudException(ErrorCodes.DestinationNotReady, $"{handoff} is {status.Phase} with {status.LagRecords} records to read.", "Wait until it is warm, then verify.");
    }

    /// <summary>(5) From here this member drives.</summary>
    /// <exception cref="ShardCloudException">SC5007: not verified.</exception>
    public async Task<HandoffStatus> GoAsync(HandoffId handoff, CancellationToken cancellationToken)
    {
        var run = DestinationOf(handoff);
        await run.PostAsync(new DestinationEvent.GoAsked(), cancellationToken);
        if (run.Status is { Phase: < HandoffPhase.Sealing } early)
            throw new ShardCloudException(ErrorCodes.DestinationNotReady, $"{handoff} is {early.Phase}, not verified.", "Verify it first.");
        return run.Status;
    }

    /// <summary>(5) Seals as source; the final delta.</summary>
    /// <exception cref="ShardCloudException">SC1008: this attempt is over.</exception>
    public async Task<ReadOnlyMemory<byte>> SealAsync(SealRequest request, CancellationToken cancellationToken)
    {
        var handoff = new HandoffId(request.Handoff);
        if (!_sources.TryGetValue(handoff, out var run))
        {
            var batch = await BatchAsync(handoff, _tools.Shard.Self, new IncarnationId(request.Destination), request.Entries, cancellationToken);
            run = GetOrStart(_sources, handoff, () => new SourceRun(batch, _tools));
        }
        return await run.SealAsync(request.Positions, cancellationToken) ?? throw new ShardCloudException(ErrorCodes.PreconditionFailed,
            $"{handoff} is over at its source: cancelled, granted, or never open at map version {_tools.Follower.Current.Version}.", "Read the map; a new attempt has a new id.");
    }

    /// <summary>(7) The destination says at which version it was granted; the map decides.</summary>
    public HandoffStatus? Granted(HandoffId handoff, MapVersion version)
    {
        _tools.Follower.Poke(version);
        return _sources.TryGetValue(handoff, out var run) ? run.Status : null;
    }

    /// <summary>Somebody says that the map has changed for this handoff: look at the table.</summary>
    public async Task LookAgainAsync(HandoffId handoff, CancellationToken cancellationToken)
    {
        _tools.Follower.Poke(await _tools.Maps.ReadHeadVersionAsync(cancellationToken));
        if (_destinations.TryGetValue(handoff, out var destination)) destination.MapChanged();
        if (_sources.TryGetValue(handoff, out var source)) source.MapChanged();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _tools.Follower.Changed -= OnMapChanged;
        foreach (var run in _destinations.Values) await run.DisposeAsync();
        foreach (var run in _sources.Values) await run.DisposeAsync();
    }

    private async Task<HandoffBatch> BatchAsync(HandoffId handoff, IncarnationId from, IncarnationId to, IReadOnlyList<string> entries, CancellationToken cancellationToken)
    {
        // Coverage is as of the plan, so a map that does not know the plan yet is of no use.
        _tools.Follower.Poke(handoff.PlannedAt);
        try
        {
            var map = await _tools.Follower.WaitForAsync(handoff.PlannedAt, cancellationToken).AsTask().WaitAsync(MapBudget, _tools.Time, cancellationToken);
            return new HandoffBatch(handoff, from, to, [.. entries.Select(EntryKey.Parse)], map);
        }
        catch (TimeoutException)
        {
            throw new ShardCloudException(ErrorCodes.StoreUnavailable, $"This member's map is at version {_tools.Follower.Current.Version} and has not reached {handoff}.",
                "Ask again; the map follower reads the table every second.");
        }
    }

    private void RequireSelf(IncarnationId named)
    {
        if (named != _tools.Shard.Self)
            throw new ShardCloudException(ErrorCodes.WrongIncarnation, $"The handoff goes to {named}; this is {_tools.Shard.Self}.", "Plan a new handoff to the live incarnation.");
    }

    private DestinationRun DestinationOf(HandoffId handoff) => _destinations.TryGetValue(handoff, out var run)
        ? run
        : throw new ShardCloudException(ErrorCodes.NotFound, $"This member is not the destination of {handoff}.", "Ask it to warm up first; a restarted member has forgotten its handoffs.");

    private TRun GetOrStart<TRun>(ConcurrentDictionary<HandoffId, TRun> runs, HandoffId handoff, Func<TRun> make)
        where TRun : class, IAsyncDisposable
    {
        lock (_gate)
        {
            if (runs.TryGetValue(handoff, out var existing)) return existing;
            if (_active.Length >= RunningMax)
                throw new ShardCloudException(ErrorCodes.OverLimit, $"{RunningMax} handoffs are under way at this member.", "Wait for some to end.");
            var run = make();
            runs[handoff] = run;
            Refresh();
            if (run is DestinationRun destination) destination.Start();
            else if (run is SourceRun source) source.Start();
            return run;
        }
    }

    private void OnMapChanged(RoutingMap map)
    {
        foreach (var one in _active)
        {
            one.Destination?.MapChanged();
            one.Source?.MapChanged();
        }
        lock (_gate) Refresh();
    }

    /// <summary>Runs that are over leave the table that requests look at, and after a while the memory.</summary>
    private void Refresh()
    {
        _active = [.. _sources.Values.Where(r => r.OverAt is null).Select(r => new Active(r.Batch, r, null)),
            .. _destinations.Values.Where(r => r.OverAt is null).Select(r => new Active(r.Batch, null, r))];
        Forget(_sources, r => r.OverAt);
        Forget(_destinations, r => r.OverAt);
    }

    private void Forget<TRun>(ConcurrentDictionary<HandoffId, TRun> runs, Func<TRun, TimeSpan?> overAt)
        where TRun : IAsyncDisposable
    {
        var now = _tools.Time.GetElapsedTime(0, _tools.Time.GetTimestamp());
        var over = runs.Where(r => overAt(r.Value) is not null).OrderByDescending(r => overAt(r.Value)).ToList();
        foreach (var (handoff, run) in over.Where((r, i) => i >= FinishedMax || now - overAt(r.Value) > FinishedFor))
        {
            if (runs.TryRemove(handoff, out _)) _ = run.DisposeAsync().AsTask(); // Its loop is idle; ending it cannot fail.
        }
    }

    private sealed record Active(HandoffBatch Batch, SourceRun? Source, DestinationRun? Destination);
}
