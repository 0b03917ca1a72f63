using ShardCloud.Crdt;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.Simulation;

internal sealed partial class Member
{
    private const long ParksFor = 350;

    private readonly HashSet<EndpointId> _running = [];
    private readonly List<(ReleaseToken Token, Leg Leg, long Value, OutRecord? Probe)> _held = [];
    private readonly Dictionary<EndpointId, OwnedState> _lastServed = [];
    private OutRecord? _probe;
    private long _probeUntil;

    public override void Arrive(Leg leg)
    {
        if (IsWarm) Decide(leg, Time.Now);
        else Refuse(leg);
    }

    private void Decide(Leg leg, long since)
    {
        var endpoint = leg.Request.Endpoint;
        var entry = EntryView.Of(Map, endpoint.KeyHash);
        if (World.Options.Bug is PlantedBug.StaleRead && leg.Request.Id is null && !Serves(endpoint) && _lastServed.TryGetValue(endpoint, out var stale))
        {
            leg.Answer(new LegOutcome(LegEnd.Answered, stale.Current.Fields.Counter("count")));
            return;
        }
        var decision = ProxyDecision.Decide(new ProxyFacts
        {
            HasEndpoint = true,
            Self = Self,
            Role = MemberRole.Shard,
            Map = Map.Version,
            Owner = entry.Owner,
            Epoch = entry.Epoch,
            To = entry.To,
            IsLeaseValid = IsLeaseValid || Scenario.IsConvergent,
            IsOpen = entry.Owner == Self && Tenure.Open(endpoint) is { } open && open.Holding.Epoch == entry.Epoch,
            Handoff = RoleIn(endpoint),
            IsFromMember = true,
            NamedTo = leg.To,
            NamedEpoch = leg.Epoch,
            IsRelay = leg.IsRelay,
            Hops = leg.Hops,
            HopsMax = 3,
            IsOwnerReachable = true,
        });
        switch (decision.Action)
        {
            case ProxyAction.Serve:
                Serve(leg, since);
                break;
            case ProxyAction.Forward or ProxyAction.Relay:
                new Leg(leg.Request, decision.Target, entry.Epoch, leg.Hops + 1, false, leg.Answer).Send(World, this);
                break;
            case ProxyAction.Park when Time.Now - since < ParksFor:
                if (decision.Reason is ProxyReason.MapBehind) Hear(leg.Epoch.GrantedAt);
                After(Time.Between(10, 40), () => Decide(leg, since));
                break;
            default:
                Refuse(leg);
                break;
        }
    }

    private void Refuse(Leg leg) => leg.Answer(new LegOutcome(LegEnd.Refused, Entry: HasMap ? EntryView.Of(Map, leg.Request.Endpoint.KeyHash) : default));

    private HandoffRole RoleIn(EndpointId endpoint)
    {
        if (IsSealed(endpoint)) return HandoffRole.SealedSource;
        foreach (var (batch, core, _) in _destinations.Values)
        {
            if (core.IsOver || core.State is DestinationState.Serving or DestinationState.Granted || !batch.Coverage.Covers(endpoint)) continue;
            return core.IsTaking ? HandoffRole.SealingDestination : HandoffRole.WarmingDestination;
        }
        return HandoffRole.None;
    }

    private void Serve(Leg leg, long since)
    {
        var (endpoint, id) = (leg.Request.Endpoint, leg.Request.Id);
        var state = _lastServed[endpoint] = Tenure.Open(endpoint)!;
        if (id is null)
        {
            Hold(Tenure.Release.ForRead(state), leg, World.Sessions.Contains(endpoint) ? Simulation.Sessions.ValueOf(state.Current) : state.Current.Fields.Counter("count")); // A read looks once and is held like everything else.
            return;
        }
        if (!_running.Add(endpoint)) // One changing handler at a time.
        {
            After(Time.Between(2, 10), () => Decide(leg, since));
            return;
        }
        var transaction = new DocumentTransaction(state.Current, state.Holding.Epoch, state.NextSequence);
        var length = Time.Chance(Scenario.LongHandlers) ? Time.Between(20, 150) : Time.Between(0, 4);
        if (transaction.TryGetRequest(id, out _)) length = 0; // No handler runs: else repeats by many clients after a long seal would come faster than they are answered.
        After(length, () => EndHandler(state, transaction, leg, since));
    }

    private void EndHandler(OwnedState state, DocumentTransaction transaction, Leg leg, long since)
    {
        _running.Remove(state.Endpoint);
        long value;
        if (leg.Request.IsOver())
        {
            Refuse(leg);
            return;
        }
        if (leg.Request.Change is { } change)
        {
            change(transaction);
            value = 0;
        }
        else if (transaction.TryGetRequest(leg.Request.Id!, out var record))
        {
            value = BitConverter.ToInt64(record.Body.Span); // Ran before: the recorded answer.
        }
        else
        {
            var counter = transaction.Counter("count");
            counter.Increment();
            value = counter.Value;
            if (World.Options.Bug is PlantedBug.SplitRequest)
            {
                if (!TryCommit(state, transaction)) return;
                Pump(); // The first half leaves alone.
                transaction = new DocumentTransaction(state.Current, state.Holding.Epoch, state.NextSequence);
            }
            transaction.AddRequestRecord(new RequestRecord(leg.Request.Id!, 200, "", BitConverter.GetBytes(value), 0, 0));
        }
        if (TryCommit(state, transaction)) Hold(transaction.HasChanges ? AnswerRelease.ForWrite(state) : Tenure.Release.ForRead(state), leg, value);

        bool TryCommit(OwnedState to, DocumentTransaction changed)
        {
            var delta = changed.Commit(out var next, out _);
            if (Tenure.Commit(to, delta, next, delta.IssuedCount == 0 ? Array.Empty<byte>() : DocumentCodec.ToBytes(delta)) is Replication.CommitOutcome.Committed) return true;
            After(5, () => Decide(leg, since));
            return false;
        }
    }

    private void Hold(ReleaseToken token, Leg leg, long value) => _held.Add((token, leg, value, null));

    /// <summary>As ReadBarrier does it: one probe under way, and the next one for all that asked after it had begun.</summary>
    private void Probe()
    {
        if (_probe is { Offset: < 0 } && Time.Now < _probeUntil || _probe is { Offset: >= 0 } && Tenure.Replica.Position < _probe.Offset) return;
        _probe = null;
        for (var i = 0; i < _held.Count; i++)
        {
            if (!_held[i].Token.AwaitsLog || _held[i].Probe is not null) continue;
            if (_probe is null)
            {
                Tenure.Append(_probe = new OutRecord(LogRecordCodec.EncodeProbe(Self)));
                _probeUntil = Time.Now + 3_000; // Its append failed.
            }
            _held[i] = _held[i] with { Probe = _probe };
        }
    }

    private void ReleaseHeld()
    {
        Probe();
        for (var i = _held.Count - 1; i >= 0; i--)
        {
            var (token, leg, value, probe) = _held[i];
            if (token.AwaitsLog && token.State is { IsEnded: false } && (probe is null || probe.Offset < 0 || Tenure.Replica.Position < probe.Offset)) continue;
            if (Tenure.Release.Decide(token) is not { } outcome) continue;
            _held.RemoveAt(i);
            if (outcome is ReleaseOutcome.Released)
            {
                World.Answered(leg.Request, value);
                leg.Answer(new LegOutcome(LegEnd.Answered, value));
            }
            else leg.Answer(new LegOutcome(LegEnd.Lost)); // The leg is closed without a byte: whoever sent it asks the next owner by id.
        }
    }
}
