using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;

namespace ShardCloud.Simulation;

internal sealed partial class Member
{
    private readonly Dictionary<HandoffId, (HandoffBatch Batch, HandoffDestination Core, Taking Take)> _destinations = [];

    /// <summary>State of a destination outside its core.</summary>
    private sealed class Taking
    {
        public FinalDelta? Final;
        public Holding? Holding;
        public bool IsAdmitted;
    }

    public DestinationState? StateOf(HandoffId handoff) => _destinations.TryGetValue(handoff, out var destination) ? destination.Core.State : null;

    /// <summary>Steps 2, 4 and 5 as the orchestrator asks for them.</summary>
    public void Ask(HandoffBatch batch, DestinationEvent asked)
    {
        if (!IsWarm) return;
        if (!_destinations.ContainsKey(batch.Handoff)) _destinations[batch.Handoff] = (batch, new HandoffDestination(batch.Handoff, Times, Guards), new Taking());
        Tell(batch.Handoff, asked);
        Tell(batch.Handoff, new DestinationEvent.MapSeen(batch.View(Map))); // A plan that is over already is seen at once.
    }

    private void Tell(HandoffId handoff, DestinationEvent happened)
    {
        if (!IsAlive || !_destinations.TryGetValue(handoff, out var destination)) return;
        var before = destination.Core.State;
        var commands = destination.Core.Step(happened, Now);
        if (World.Records && destination.Core.State != before) World.Note($"{Self} destination of {handoff}: {destination.Core.State}");
        foreach (var command in commands)
        {
            if (!World.Step(this, $"destination of {handoff}: {command.GetType().Name}")) return;
            Do(handoff, command);
        }
    }

    private void Do(HandoffId handoff, DestinationCommand command)
    {
        var (batch, _, take) = _destinations[handoff];
        switch (command)
        {
            case DestinationCommand.EnsureReplicas:
                var end = World.Log.Count;
                WhenRead(end, () => Tell(handoff, new DestinationEvent.ReplicaRunning()));
                break;
            case DestinationCommand.MeasureLag:
                Tell(handoff, new DestinationEvent.LagMeasured(World.Log.Count - 1 - Tenure.Replica.Position));
                break;
            case DestinationCommand.Verify:
                After(Time.Between(1, 10), () => Tell(handoff, IsLeaseValid ? new DestinationEvent.Verified() : new DestinationEvent.VerifyFailed(NoAnswer)));
                break;
            case DestinationCommand.AskSeal:
                AskSeal(batch);
                break;
            case DestinationCommand.CommitGrant grant:
                World.Map.CommitFrom(this, map => batch.View(map).Standing is BatchStanding.Migrating or BatchStanding.Replanned ? batch.GrantOn(map, grant.Handoff) : null, (map, _) => Seen(handoff, map));
                break;
            case DestinationCommand.CommitCancel cancel:
                World.Map.CommitFrom(this, map => CancelOn(batch, cancel.Handoff, map), (map, _) => Seen(handoff, map));
                break;
            case DestinationCommand.ReadMap:
                World.Map.ReadFrom(this, map => Seen(handoff, map), () => Seen(handoff, null));
                break;
            case DestinationCommand.BeginTenure begin:
                if (_claimed.Add(begin.Epoch)) BeginTenure(batch, begin.Epoch, take);
                break;
            case DestinationCommand.Publish publish:
                World.Publish(publish.Version);
                Tell(handoff, new DestinationEvent.Published());
                break;
            case DestinationCommand.TellSource tell:
                if (World.Find(batch.From) is Member source)
                    World.Network.Send(this, source, () =>
                    {
                        source.Hear(tell.Version);
                        if (source.HasRetired(handoff)) World.Network.Send(source, this, () => Tell(handoff, new DestinationEvent.SourceRetired()));
                    });
                break;
            case DestinationCommand.AppendRetire:
                foreach (var epoch in batch.SourceEpochs) Tenure.Retire(epoch, batch.From, batch.Coverage);
                Tell(handoff, new DestinationEvent.RetireAppended());
                break;
        }
    }

    private void WhenRead(long end, Action then)
    {
        if (Tenure.Replica.Position >= end - 1) After(1, then);
        else After(10, () => WhenRead(end, then));
    }

    private void BeginTenure(HandoffBatch batch, Epoch epoch, Taking take)
    {
        if (Map.Version < epoch.GrantedAt)
        {
            Hear(epoch.GrantedAt);
            After(3, () => BeginTenure(batch, epoch, take)); // What older versions end must be over before.
            return;
        }
        try
        {
            take.Holding = Tenure.Begin(epoch, batch.Coverage, take.Final!.Endpoints);
            _grantRequests.Began(0);
        }
        catch (ShardCloudException)
        {
            _claimed.Remove(epoch); // Nobody claimed it: it is taken over by G1.
        }
    }

    /// <summary>(5) The seal, and its answer or no word.</summary>
    private void AskSeal(HandoffBatch batch)
    {
        var (position, isAnswered) = (Tenure.Replica.Position, false);
        if (World.Find(batch.From) is Member source)
            World.Network.Send(this, source, () => source.Seal(batch, position, final => World.Network.Send(source, this, () =>
            {
                if (isAnswered) return;
                isAnswered = true;
                var (_, core, take) = _destinations[batch.Handoff];
                if (final is null) Tell(batch.Handoff, new DestinationEvent.SealRefused(NoAnswer));
                else if (core.State is DestinationState.Sealing)
                {
                    take.Final = final;
                    Tell(batch.Handoff, new DestinationEvent.GotFinalDelta(final.Handoff));
                }
            })));
        After(300, () =>
        {
            if (!isAnswered) Tell(batch.Handoff, new DestinationEvent.Failed(NoAnswer));
        });
    }

    /// <summary>A map from the table. Where it names this member, the granting commit tells whether by this handoff.</summary>
    private void Seen(HandoffId handoff, RoutingMap? map)
    {
        if (map is null)
        {
            Tell(handoff, new DestinationEvent.Failed(NoAnswer));
            return;
        }
        Offer(map);
        var view = _destinations[handoff].Batch.View(map);
        if (view.Standing is BatchStanding.AtDestination)
        {
            var granting = World.Map.Changes.ElementAtOrDefault((int)view.Epoch.Value - 1)?.Commit.Operations.OfType<GrantMove>().FirstOrDefault();
            view = view with { IsByThisHandoff = granting is not null && (granting.Handoff == handoff || !Guards.HasFlag(Guards.G5)) };
        }
        Tell(handoff, new DestinationEvent.MapSeen(view));
    }

    private void TrySettle(HandoffId handoff, HandoffDestination core, Taking take)
    {
        if (take.Holding is not { } holding || core.IsOver) return;
        if (!take.IsAdmitted && holding.IsAdmitted)
        {
            take.IsAdmitted = true;
            Time.After(0, () => Run(() => Tell(handoff, new DestinationEvent.Admitted())));
        }
        if (holding.Result is not { } result) return;
        take.Holding = null;
        Time.After(0, () => Run(() => Tell(handoff, result is GrantResult.Held ? new DestinationEvent.Released() : new DestinationEvent.Superseded())));
    }
}
