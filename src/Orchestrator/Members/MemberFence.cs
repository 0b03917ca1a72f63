using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Members;

/// <summary>Decides that a member is gone, and makes it so: its row is fenced, then the map takes it off the list of live incarnations for good.</summary>
/// <remarks>
/// Observed on this process's monotonic clock inside one activity (never a durable timer or a wall clock): a row that stands still for its lease
/// length and 10 % more belongs to a member that has stopped serving by itself. The row goes first: from then on a late renewal fails its ETag,
/// so what the map hands out afterwards has one owner. A crash in between is taken up by the next look, for Fenced is final.
/// </remarks>
public sealed class MemberFence(MapStore store, MemberDirectory directory, TimeProvider time, ILogger<MemberFence> logger)
{
    /// <summary>Watches members, starting now: a new watcher begins every wait anew. One caller at a time.</summary>
    public Watcher Watch() => new(this, new LeaseWatch(directory, time));

    private async Task TakeOffListAsync(IncarnationId incarnation, string why, CancellationToken cancellationToken)
    {
        var commit = await store.CommitAsync(
            map => map.Live.ContainsKey(incarnation) ? new MapCommit("orchestrator", why, [new Fence(incarnation)]) : null, cancellationToken);
        if (commit.Outcome == CommitOutcome.Refused) throw commit.Refusal!;
        if (commit.Outcome == CommitOutcome.Committed) Log.Fenced(logger, incarnation.Value, why);
    }

    /// <summary>The waits of one activity.</summary>
    public sealed class Watcher(MemberFence fence, LeaseWatch leases)
    {
        private readonly Dictionary<IncarnationId, string> _firstSeen = []; // ETags, as the observer compares them.

        /// <summary>One look at some members. Call it again and again; at least twice in a lease length.</summary>
        /// <returns>Those that are gone; the map says so by now.</returns>
        public async Task<IReadOnlyList<IncarnationId>> ObserveAsync(IReadOnlyCollection<IncarnationId> members, CancellationToken cancellationToken)
        {
            await leases.PollAsync(row => members.Contains(row.Incarnation), cancellationToken: cancellationToken);
            var gone = new List<IncarnationId>();
            foreach (var incarnation in members)
            {
                var row = leases.Members.FirstOrDefault(row => row.Incarnation == incarnation);
                if (row is not null) _firstSeen.TryAdd(incarnation, row.ETag);
                if (row is { IsFinal: false }) continue;
                await fence.TakeOffListAsync(incarnation, row switch
                {
                    null => "its member row is gone",
                    { State: MemberState.Leaving } => "it has left",
                    _ => "its lease ended without a renewal",
                }, cancellationToken);
                gone.Add(incarnation);
            }
            return gone;
        }

        /// <summary>True once a renewal was seen since the first look: it lives.</summary>
        public bool HasRenewed(IncarnationId incarnation) =>
            _firstSeen.TryGetValue(incarnation, out var first) && leases.Alive.FirstOrDefault(row => row.Incarnation == incarnation) is { } row && row.ETag != first;
    }
}
