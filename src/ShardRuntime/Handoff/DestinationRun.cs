using System.Collections.Immutable;
using System.Net;
using ShardCloud.Contracts;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Health;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>What the runs of this member share.</summary>
internal sealed record HandoffTools(
    ShardContext Shard, MapStore Maps, MapFollowerService Follower, MemberParts Parts, MemberClient Members, TenureClaims Claims, IDrain Drain, Parking Parking, HandoffMeters Meters, ProxyWatch Proxies, IReadOnlyList<IReadiness> Conditions, HandoffTimes Times, TimeProvider Time, ILogger Log)
{
    /// <summary>Log, replicas and tenures.</summary>
    /// <exception cref="ShardCloudException">SC5007: the member has only just started.</exception>
    public ReplicationService Replication => Parts.RequireReplication();

    /// <summary>This member's lease.</summary>
    /// <exception cref="ShardCloudException">SC5007: the member has only just started.</exception>
    public LeaseService Lease => Parts.RequireLease();
}

/// <summary>Does the I/O of a <see cref="HandoffDestination"/>.</summary>
internal sealed class DestinationRun : HandoffRun<DestinationEvent, DestinationCommand>
{
    private static readonly DestinationEvent.Tick OneTick = new();

    private readonly HandoffTools _tools;
    private readonly HandoffDestination _core;
    private readonly Dictionary<string, TimeSpan> _reached = []; // Loop only, but read by Status: replaced, never changed.
    private ImmutableDictionary<string, double> _phases = ImmutableDictionary<string, double>.Empty;
    private ImmutableList<double> _pauses = [];
    private FinalDelta? _final;
    private IDisposable? _grantUnderway;
    private HandoffPhase _phase = HandoffPhase.Warming;
    private TimeSpan _phaseSince, _sealSent;
    private long _bytes;

    public DestinationRun(HandoffBatch batch, HandoffTools tools) : base(batch, tools.Time, tools.Log)
    {
        (_tools, _core) = (tools, new HandoffDestination(batch.Handoff, tools.Times));
        _phaseSince = Now;
    }

    /// <summary>What requests for the batch meet here.</summary>
    public HandoffRole Role => _core.IsOver || _core.State is DestinationState.Serving ? HandoffRole.None
        : _core.IsTaking ? HandoffRole.SealingDestination
        : _core.State is DestinationState.Granted ? HandoffRole.None
        : HandoffRole.WarmingDestination;

    /// <summary>State of the core, for the endpoints that answer by it.</summary>
    public DestinationState State => _core.State;

    public override HandoffStatus Status
    {
        get
        {
            var meter = _tools.Meters.Of(Batch.Handoff);
            return new HandoffStatus(Batch.Handoff.Value, _core.Phase, _core.LagRecords == long.MaxValue ? -1 : _core.LagRecords, _core.Error, _pauses,
                meter.LongestPark.TotalMilliseconds, _phases, Interlocked.Read(ref _bytes), meter.Parked, meter.Forwarded, _core.GrantedAt.Value);
        }
    }

    protected override bool IsOver => _core.IsOver;

    protected override DestinationEvent Tick => OneTick;

    protected override DestinationEvent? LookAtMap() => _tools.Follower.IsLoaded ? new DestinationEvent.MapSeen(Batch.View(_tools.Follower.Current)) : null;

    protected override IReadOnlyList<DestinationCommand> Step(DestinationEvent happened, TimeSpan now)
    {
        // A newer Grant than ours is in the log, or an append failed: either way the map follower's rule decides what becomes of the endpoints.
        var commands = _core.Step(happened, now);
        if (happened is DestinationEvent.GotFinalDelta) _grantUnderway ??= _core.State is DestinationState.Granting ? _tools.Claims.GrantUnderway() : null;
        if (_core.IsOver) GrantSettled();
        return commands;
    }

    protected override void Stepped(DestinationEvent happened, TimeSpan now)
    {
        switch (happened)
        {
            case DestinationEvent.ReplicaRunning: Mark("warm", now); break;
            case DestinationEvent.LagMeasured when _core.State is DestinationState.Warm: Mark("catchUp", now); break;
            case DestinationEvent.VerifyAsked when _core.State is DestinationState.Verifying: _phaseSince = now; break;
            case DestinationEvent.Verified: Mark("verify", now); break;
            case DestinationEvent.GoAsked when _core.State is DestinationState.Sealing: _phaseSince = now; break;
            case DestinationEvent.GotFinalDelta: Mark("seal", now); break;
            case DestinationEvent.MapSeen when _core.GrantedAt != MapVersion.None: Mark("grant", now); break;
            case DestinationEvent.Released: Mark("serve", now); break;
            case DestinationEvent.Published: Mark("publish", now); break;
            case DestinationEvent.SourceRetired or DestinationEvent.RetireAppended: Mark("retire", now); break;
        }
        if (_core.Phase == _phase) return;
        _phase = _core.Phase;
        HandoffLog.PhaseReached(Log, Batch.Handoff.Value, _phase.ToString(), Batch.Entries.Count, Batch.From.Value, Batch.To.Value);
    }

    protected override async Task<DestinationEvent?> DoAsync(DestinationCommand command, CancellationToken cancellationToken)
    {
        switch (command)
        {
            case DestinationCommand.EnsureReplicas:
                await Task.WhenAll(Batch.Partitions.Select(p => _tools.Replication.EnsureReplicaAsync(p, StreamOfSource(p), cancellationToken)));
                return new DestinationEvent.ReplicaRunning();

            case DestinationCommand.MeasureLag:
                return new DestinationEvent.LagMeasured(Batch.Partitions.Sum(_tools.Replication.LagRecords));

            case DestinationCommand.Verify:
                return await VerifyAsync(cancellationToken);

            case DestinationCommand.AskSeal:
                return await AskSealAsync(cancellationToken);

            case DestinationCommand.CommitGrant grant:
                return await SeenAsync(await _tools.Maps.CommitAsync(map => Batch.View(map).Standing is BatchStanding.Migrating ? Batch.GrantOn(map, grant.Handoff) : null, cancellationToken), cancellationToken);

            case DestinationCommand.CommitCancel cancel:
                return await SeenAsync(await _tools.Maps.CommitAsync(map => Batch.View(map).Standing is BatchStanding.Migrating
                    ? new MapCommit($"handoff {Batch.Handoff}", _core.Error?.Message ?? "the destination gave up", [new CancelMove(cancel.Handoff, Batch.Entries)])
                    : null, cancellationToken), cancellationToken);

            case DestinationCommand.ReadMap:
                return await ViewAsync(await _tools.Maps.LoadAsync(cancellationToken), cancellationToken);

            case DestinationCommand.BeginTenure begin:
                return await BeginTenureAsync(begin, cancellationToken);

            case DestinationCommand.WakeParked:
                _tools.Parking.WakeAll();
                return null;

            case DestinationCommand.Publish publish:
                await _tools.Replication.Control.PublishMapVersionAsync(publish.Version, cancellationToken);
                return new DestinationEvent.Published();

            case DestinationCommand.TellSource tell:
                return await TellSourceAsync(tell.Version, cancellationToken);

            case DestinationCommand.AppendRetire:
                foreach (var epoch in Batch.SourceEpochs) await _tools.Replication.AppendRetireAsync(epoch, Batch.From, Batch.Coverage, cancellationToken);
                return new DestinationEvent.RetireAppended();

            default: // Discard
                _final = null;
                return null;
        }
    }

    protected override DestinationEvent? Failed(DestinationCommand command, Exception error) => command switch
    {
        DestinationCommand.AskSeal when error is ShardCloudException { Code: ErrorCodes.PreconditionFailed or ErrorCodes.NotOwner or ErrorCodes.WrongIncarnation or ErrorCodes.CorruptDelta } =>
            new DestinationEvent.SealRefused(WireErrors.Of(error)),
        DestinationCommand.Verify => new DestinationEvent.VerifyFailed(WireErrors.Of(error)),
        _ => new DestinationEvent.Failed(WireErrors.Of(error)),
    };

    private async Task<DestinationEvent> VerifyAsync(CancellationToken cancellationToken)
    {
        if (!_tools.Lease.IsValid)
            throw new ShardCloudException(ErrorCodes.LeaseLost, $"{Batch.To} holds no valid lease now.", "Ask again when its store answers.");
        foreach (var condition in _tools.Conditions)
        {
            if (condition.WhatIsMissing is { } missing)
                throw new ShardCloudException(ErrorCodes.DestinationNotReady, $"{Batch.To} is not ready: {missing}.", "Ask again when /readyz answers 200.");
        }
        await Task.WhenAll(Batch.Partitions.Select(p => _tools.Replication.AppendProbeAsync(p, cancellationToken))).WaitAsync(TimeSpan.FromSeconds(5), Time, cancellationToken);
        return new DestinationEvent.Verified();
    }

    private async Task<DestinationEvent> AskSealAsync(CancellationToken cancellationToken)
    {
        var positions = Batch.Partitions.ToDictionary(p => p, _tools.Replication.Position);
        var request = new SealRequest(Batch.Handoff.Value, [.. Batch.Entries.Select(e => e.ToString())], Batch.To.Value, positions);
        using var limit = Limit(cancellationToken);
        await PrepareGrantAsync(cancellationToken);
        if (_sealSent == default) _sealSent = Now; // The pause began with the first request, answered or not.
        using var response = await _tools.Members.PostAsync(AddressOfSource(), $"/_shard/handoffs/{Batch.Handoff.Value}/seal", request, MemberJson.Default.SealRequest, limit.Token);
        var bytes = await response.Content.ReadAsByteArrayAsync(limit.Token);
        var final = FinalDelta.Read(bytes);
        Interlocked.Add(ref _bytes, bytes.Length);
        _final = final;
        return new DestinationEvent.GotFinalDelta(final.Handoff);
    }

    /// <summary>Reads the head of the map before anything is sealed, so that the grant costs the pause one call to the store and not two.</summary>
    private async Task PrepareGrantAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _tools.Maps.PrepareAsync(cancellationToken);
        }
        catch (ShardCloudException error)
        {
            HandoffLog.CommandFailed(Log, Batch.Handoff.Value, "PrepareGrant", error.Message); // The grant reads the head itself.
        }
    }

    private async Task<DestinationEvent?> BeginTenureAsync(DestinationCommand.BeginTenure begin, CancellationToken cancellationToken)
    {
        // Claimed before the follower may look: from here on this epoch is this run's business.
        var isOurs = _tools.Claims.TryClaim(begin.Epoch);
        GrantSettled();
        if (!isOurs || _final is not { } final) return null; // The follower's rule (G1) has it; the map shows what became of it.
        try
        {
            // A follower that is behind still has to pass versions on which this member lost the same endpoints: what they end must be over before this begins.
            // The proxy could not serve on an older map anyway.
            await _tools.Follower.WaitForAsync(begin.Epoch.GrantedAt, cancellationToken);
            var parts = Batch.Partitions.Select(p => BeginTenureAsync(p, begin, final, cancellationToken)).ToArray();
            Post(new DestinationEvent.Admitted());
            var results = await Task.WhenAll(parts);
            _final = null;
            return results.All(r => r is GrantResult.Held) ? new DestinationEvent.Released() : new DestinationEvent.Superseded();
        }
        catch
        {
            _tools.Claims.Release(begin.Epoch); // Granted all the same: whoever looks at the map next takes it over by G1.
            throw;
        }
    }

    private async Task<GrantResult> BeginTenureAsync(int partition, DestinationCommand.BeginTenure begin, FinalDelta final, CancellationToken cancellationToken)
    {
        var carried = begin.Carry ? final.Endpoints.Where(e => e.Endpoint.Slot.PartitionOf(Batch.PartitionCount) == partition).ToArray() : [];
        var coverage = Batch.Coverage.InPartition(partition, Batch.PartitionCount);
        var result = await _tools.Replication.BeginTenureAsync(begin.Epoch, coverage, carried, cancellationToken);
        var pause = Math.Round((Now - _sealSent).TotalMilliseconds, 1);
        var entries = Batch.Entries.Count(e => e.IsEndpoint ? e.Endpoint.Slot.PartitionOf(Batch.PartitionCount) == partition : Overlaps(e.Slots, partition));
        ImmutableInterlocked.Update(ref _pauses, all => all.AddRange(Enumerable.Repeat(pause, entries)));
        return result;
    }

    private async Task<DestinationEvent?> TellSourceAsync(MapVersion version, CancellationToken cancellationToken)
    {
        using var limit = Limit(cancellationToken);
        using var response = await _tools.Members.PostAsync(AddressOfSource(), $"/_shard/handoffs/{Batch.Handoff.Value}/granted",
            new MapVersionNotice(version.Value), MemberJson.Default.MapVersionNotice, limit.Token);
        var source = await response.Content.ReadFromJsonAsync(MemberJson.Default.HandoffStatus, limit.Token);
        return source?.Phase is HandoffPhase.Retired ? new DestinationEvent.SourceRetired() : null;
    }

    private async Task<DestinationEvent> SeenAsync(CommitResult result, CancellationToken cancellationToken)
    {
        _tools.Follower.Offer(result.Map);
        // A commit of ours that went in is this handoff's by itself; no need to read it back.
        if (result.IsCommitted && Batch.View(result.Map) is { Standing: BatchStanding.AtDestination } view) return new DestinationEvent.MapSeen(view with { IsByThisHandoff = true });
        return await ViewAsync(result.Map, cancellationToken);
    }

    /// <summary>The view of a map from the table. Where it names this member, the granting commit tells whether by this handoff.</summary>
    private async Task<DestinationEvent> ViewAsync(RoutingMap map, CancellationToken cancellationToken)
    {
        var view = Batch.View(map);
        if (view.Standing is not BatchStanding.AtDestination) return new DestinationEvent.MapSeen(view);
        var change = await _tools.Maps.ReadChangeAsync(view.Epoch.GrantedAt, cancellationToken);
        return new DestinationEvent.MapSeen(view with { IsByThisHandoff = change?.Commit.Operations.OfType<GrantMove>().Any(g => g.Handoff == Batch.Handoff) is true });
    }

    private Func<CancellationToken, Task<Stream?>> StreamOfSource(int partition) => async cancellationToken =>
    {
        if (!_tools.Follower.Current.Live.TryGetValue(Batch.From, out var source)) return null;
        var response = await _tools.Members.SendAsync(HttpMethod.Get, source.MemberAddress, $"/_shard/partitions/{partition}/snapshot", null, cancellationToken);
        if (response.StatusCode is HttpStatusCode.OK)
            return new CountingStream(await response.Content.ReadAsStreamAsync(cancellationToken), response, count => Interlocked.Add(ref _bytes, count));
        response.Dispose();
        return null; // The Blob and the log have it too.
    };

    private string AddressOfSource() => _tools.Follower.Current.Live.TryGetValue(Batch.From, out var source)
        ? source.MemberAddress
        : throw new ShardCloudException(ErrorCodes.NotLive, $"The source {Batch.From} is not on the live list any more.", "Nothing to do: what it owned is taken over.");

    private void GrantSettled() => Interlocked.Exchange(ref _grantUnderway, null)?.Dispose();

    private CancellationTokenSource Limit(CancellationToken cancellationToken)
    {
        var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(_tools.Times.SealDeadline); // No answer by then: the source has taken the move back, or is gone.
        return limit;
    }

    private bool Overlaps(SlotRange slots, int partition) => slots.Overlaps(SlotRange.OfPartition(partition, Batch.PartitionCount));

    private void Mark(string phase, TimeSpan now)
    {
        if (!_reached.TryAdd(phase, now)) return;
        // Publishing and retiring run beside serving: both are counted from the grant.
        var since = phase is "publish" or "retire" or "serve" && _reached.TryGetValue("grant", out var granted) ? granted : _phaseSince;
        _phases = _phases.SetItem(phase, (now - since).TotalMilliseconds);
        _phaseSince = now;
    }
}
