using System.Buffers;
using System.Collections.Immutable;
using ShardCloud.Contracts;
using ShardCloud.Replication;
using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>Does the I/O of a <see cref="HandoffSource"/>.</summary>
internal sealed class SourceRun : HandoffRun<SourceEvent, SourceCommand>
{
    private static readonly SourceEvent.Tick OneTick = new();

    private readonly HandoffTools _tools;
    private readonly HandoffSource _core;
    private readonly Lock _answers = new();
    private readonly List<TaskCompletionSource<ReadOnlyMemory<byte>?>> _waiting = [];
    private IReadOnlyDictionary<int, long> _positions = ImmutableDictionary<int, long>.Empty;
    private ReadOnlyMemory<byte> _final;
    private SourceState _logged = SourceState.Idle;
    private volatile bool _isSealed;

    public SourceRun(HandoffBatch batch, HandoffTools tools) : base(batch, tools.Time, tools.Log) =>
        (_tools, _core) = (tools, new HandoffSource(batch.Handoff, tools.Times));

    /// <summary>True while requests for the batch must park here. Any thread.</summary>
    public bool IsSealed => _isSealed;

    public override HandoffStatus Status
    {
        get
        {
            var meter = _tools.Meters.Of(Batch.Handoff);
            var phase = _core.State switch
            {
                SourceState.Idle => HandoffPhase.Warm,
                SourceState.Draining or SourceState.Sealed => HandoffPhase.Sealing,
                SourceState.Granted => HandoffPhase.Granted,
                SourceState.Retired => HandoffPhase.Retired,
                _ => HandoffPhase.Cancelled,
            };
            return new HandoffStatus(Batch.Handoff.Value, phase, 0, null, [], meter.LongestPark.TotalMilliseconds, ImmutableDictionary<string, double>.Empty,
                _final.Length, meter.Parked, meter.Forwarded, 0);
        }
    }

    protected override bool IsOver => _core.IsOver;

    protected override SourceEvent Tick => OneTick;

    /// <summary>(5) Seals and returns the final delta; the same one when asked again. Null: the attempt is over.</summary>
    public async Task<ReadOnlyMemory<byte>?> SealAsync(IReadOnlyDictionary<int, long> positions, CancellationToken cancellationToken)
    {
        var answer = new TaskCompletionSource<ReadOnlyMemory<byte>?>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_answers)
        {
            if (_positions.Count == 0) _positions = positions; // Of the first request: the one final delta is taken for them.
            _waiting.Add(answer);
        }
        Post(new SourceEvent.SealAsked(Batch.View(_tools.Follower.Current)));
        return await answer.Task.WaitAsync(cancellationToken);
    }

    protected override SourceEvent? LookAtMap() => _tools.Follower.IsLoaded ? new SourceEvent.MapSeen(Batch.View(_tools.Follower.Current)) : null;

    protected override IReadOnlyList<SourceCommand> Step(SourceEvent happened, TimeSpan now)
    {
        var commands = _core.Step(happened, now);
        _isSealed = _core.IsSealed; // Before the commands begin: whoever the drain does not see, sees the seal.
        return commands;
    }

    protected override void Stepped(SourceEvent happened, TimeSpan now)
    {
        if (_core.State == _logged) return;
        _logged = _core.State;
        HandoffLog.PhaseReached(Log, Batch.Handoff.Value, $"source {_logged}", Batch.Entries.Count, Batch.From.Value, Batch.To.Value);
    }

    protected override async Task<SourceEvent?> DoAsync(SourceCommand command, CancellationToken cancellationToken)
    {
        switch (command)
        {
            case SourceCommand.StopAdmission:
                return null; // Step has shown it to the proxy.

            case SourceCommand.DrainAndFreeze freeze:
                var final = await _tools.Replication.SealAsync(Batch.Handoff, Batch.Coverage, _positions,
                    stop => _tools.Drain.WaitForIdleAsync(e => Batch.Coverage.Covers(e), freeze.Budget, stop), cancellationToken);
                var bytes = new ArrayBufferWriter<byte>();
                final.Write(bytes);
                _final = bytes.WrittenMemory;
                return new SourceEvent.Frozen();

            case SourceCommand.SendFinalDelta:
                Answer(_final);
                return null;

            case SourceCommand.Refuse:
                Answer(null);
                return null;

            case SourceCommand.ReadMap:
                return new SourceEvent.MapSeen(Batch.View(await _tools.Maps.LoadAsync(cancellationToken)), FromTable: true);

            case SourceCommand.CommitCancel cancel:
                var result = await _tools.Maps.CommitAsync(map => Batch.View(map) is { Standing: BatchStanding.Migrating } view
                    ? new MapCommit($"handoff {Batch.Handoff}", view.IsDestinationLive ? "the seal deadline was over" : $"{Batch.To} was fenced", [new CancelMove(cancel.Handoff, Batch.Entries)])
                    : null, cancellationToken);
                _tools.Follower.Offer(result.Map);
                return new SourceEvent.MapSeen(Batch.View(result.Map), FromTable: true);

            case SourceCommand.Unseal:
                _tools.Replication.Unseal(Batch.Handoff);
                _tools.Parking.WakeAll();
                return null;

            case SourceCommand.EndTenure end:
                await _tools.Follower.WaitForAsync(end.Version, cancellationToken);
                EndTenure(_tools.Follower.Current); // The newest: what came back since is not this handoff's to end.
                return null;

            case SourceCommand.AnswerParked answer:
                // The proxies decide on the map, so it must be here before they are woken.
                await _tools.Follower.WaitForAsync(answer.Version, cancellationToken);
                _tools.Parking.WakeAll();
                return null;

            case SourceCommand.LookAtProxies:
                return new SourceEvent.ProxiesAt(await _tools.Proxies.OldestAsync(cancellationToken));

            default: // AppendRetire
                foreach (var epoch in Batch.SourceEpochs) await _tools.Replication.AppendRetireAsync(epoch, Batch.From, Batch.Coverage, cancellationToken);
                return new SourceEvent.RetireAppended();
        }
    }

    protected override SourceEvent? Failed(SourceCommand command, Exception error) =>
        command is SourceCommand.DrainAndFreeze ? new SourceEvent.FreezeFailed() : null; // The others are asked for again by time.

    /// <summary>Ends what was held under the epochs before the plan. A newer grant to this very incarnation is another tenure and stays.</summary>
    private void EndTenure(RoutingMap map)
    {
        var gone = Batch.Entries.Where(e => (e.IsEndpoint ? map.Lookup(e.Endpoint) : map.LookupSlot(new Slot((ushort)e.Slots.First)))?.Owner != Batch.From).ToList();
        _tools.Replication.EndTenure(gone.Count == Batch.Entries.Count ? Batch.Coverage : new GrantCoverage(
            [.. Batch.Coverage.Slots.Where(s => gone.Contains(EntryKey.Of(s.Range)))], [.. gone.Where(e => e.IsEndpoint).Select(e => e.Endpoint)]), Batch.Handoff.PlannedAt, $"map version {map.Version} names another owner");
    }

    private void Answer(ReadOnlyMemory<byte>? final)
    {
        TaskCompletionSource<ReadOnlyMemory<byte>?>[] waiting;
        lock (_answers)
        {
            waiting = [.. _waiting];
            _waiting.Clear();
        }
        foreach (var answer in waiting) answer.TrySetResult(final);
    }
}
