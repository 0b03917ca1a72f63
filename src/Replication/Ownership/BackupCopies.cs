namespace ShardCloud.Replication;

/// <summary>The backup's half of <c>ack: replica</c> in one Event Hub partition: owners' deltas that the log has not shown yet. A core, guarded by the partition's lock.</summary>
/// <remarks>
/// It is an ahead layer of others (G8): never in snapshots, streams or answers. A copy goes when the log shows its delta, or a Grant closes its epoch.
/// Take-over: what is left, as far as it follows without a gap what the log accepted, is appended right after this member's own Grant.
/// Bound: <c>bytesMax</c>; past it a batch is refused, and the owner's answers wait for the log.
/// </remarks>
internal sealed class BackupCopies(long bytesMax)
{
    private readonly Dictionary<EndpointId, List<(IncarnationId Owner, CopiedDelta Copy)>> _copies = [];

    public long Bytes { get; private set; }

    /// <summary>Whose deltas are kept.</summary>
    public IEnumerable<IncarnationId> Owners => _copies.Values.SelectMany(kept => kept.Select(known => known.Owner));

    /// <summary>Keeps a batch as a whole, or refuses it.</summary>
    /// <param name="owner">Who made the deltas.</param>
    /// <param name="deltas">In order.</param>
    /// <param name="replica">What the log has shown.</param>
    /// <param name="isClosed">True where this member has begun to hold the endpoint itself under a newer grant.</param>
    public bool Keep(IncarnationId owner, IReadOnlyList<CopiedDelta> deltas, PartitionReplica replica, Func<EndpointId, Epoch, bool> isClosed)
    {
        if (Bytes + deltas.Sum(copy => (long)copy.Delta.Length) > bytesMax) return false;
        if (deltas.Any(copy => replica.EpochOf(copy.Endpoint) > copy.Epoch || isClosed(copy.Endpoint, copy.Epoch))) return false;
        foreach (var copy in deltas)
        {
            if (copy.Last <= replica.LastSequence(copy.Endpoint, copy.Epoch)) continue;
            if (!_copies.TryGetValue(copy.Endpoint, out var kept)) _copies[copy.Endpoint] = kept = [];
            if (kept.Exists(known => known.Owner == owner && known.Copy.Epoch == copy.Epoch && known.Copy.First == copy.First)) continue; // Sent again.
            kept.Add((owner, copy));
            Bytes += copy.Delta.Length;
        }
        return true;
    }

    /// <summary>The log shows a delta.</summary>
    public void Accepted(in LoggedDelta delta)
    {
        if (_copies.Count == 0) return;
        var (epoch, last) = (delta.Epoch, delta.Last);
        if (!delta.Carried) Drop(delta.Endpoint, copy => copy.Epoch == epoch && copy.Last <= last);
    }

    /// <summary>A Grant closes older epochs: what their owner had answered lies before it, or follows it as carried records.</summary>
    public void Closed(Epoch epoch, GrantCoverage coverage)
    {
        if (_copies.Count == 0) return;
        foreach (var endpoint in _copies.Keys.Where(coverage.Covers).ToList()) Drop(endpoint, copy => copy.Epoch < epoch);
    }

    /// <summary>The replica was replaced: what it shows by now is not kept any more.</summary>
    public void Prune(PartitionReplica replica)
    {
        foreach (var endpoint in _copies.Keys.ToList())
            Drop(endpoint, copy => copy.Epoch < replica.EpochOf(endpoint) || copy.Last <= replica.LastSequence(endpoint, copy.Epoch));
    }

    /// <summary>What a take-over appends after its Grant: of each endpoint the copies of the epoch that holds in the log, from where the log ends, without a gap.</summary>
    /// <remarks>Copies of an epoch whose Grant the log does not show answered nobody: their owner releases nothing before it has read that Grant.</remarks>
    public IReadOnlyList<CarriedState> Of(GrantCoverage coverage, PartitionReplica replica)
    {
        var carried = new List<CarriedState>();
        foreach (var (endpoint, kept) in _copies.Where(pair => coverage.Covers(pair.Key)))
        {
            var epoch = replica.EpochOf(endpoint);
            var next = replica.LastSequence(endpoint, epoch) + 1;
            var deltas = new List<ReadOnlyMemory<byte>>();
            foreach (var copy in kept.Where(known => known.Copy.Epoch == epoch && replica.IsSettled(epoch, known.Owner)).Select(known => known.Copy).OrderBy(copy => copy.First))
            {
                if (copy.Last < next) continue;
                if (copy.First != next) break;
                deltas.Add(copy.Delta);
                next = copy.Last + 1;
            }
            if (deltas.Count > 0) carried.Add(new CarriedState(endpoint, null, deltas));
        }
        return carried;
    }

    private void Drop(EndpointId endpoint, Func<CopiedDelta, bool> isDone)
    {
        if (!_copies.TryGetValue(endpoint, out var kept)) return;
        foreach (var (_, copy) in kept)
            if (isDone(copy)) Bytes -= copy.Delta.Length;
        kept.RemoveAll(known => isDone(known.Copy));
        if (kept.Count == 0) _copies.Remove(endpoint);
    }
}
