using ShardCloud.Replication;

namespace ShardCloud.Simulation.Tests.Handoff;

/// <summary>A promise was broken.</summary>
internal sealed class BrokenException(string what) : Exception(what);

/// <summary>What the clients saw, and whether it can be true.</summary>
internal sealed class History
{
    private readonly Dictionary<EndpointId, Dictionary<string, long>> _acked = [];

    public static void Broken(string what) => throw new BrokenException(what);

    /// <summary>Highest value that any answer has shown so far.</summary>
    public long Floor(EndpointId endpoint) => _acked.TryGetValue(endpoint, out var acked) && acked.Count > 0 ? acked.Values.Max() : 0;

    public int Count => _acked.Values.Sum(a => a.Count);

    /// <summary>An increment was answered with the counter's value after it.</summary>
    public void Acked(EndpointId endpoint, string id, long value)
    {
        if (!_acked.TryGetValue(endpoint, out var acked)) _acked[endpoint] = acked = [];
        if (acked.TryGetValue(id, out var before))
        {
            if (before != value) Broken($"request {id} was answered {before} and {value}");
            return;
        }
        if (acked.FirstOrDefault(a => a.Value == value) is { Key: { } other }) Broken($"requests {other} and {id} were both answered {value}");
        acked[id] = value;
    }

    /// <summary>A read that began when the floor was known may not show less.</summary>
    public static void Read(EndpointId endpoint, long floor, long value)
    {
        if (value < floor) Broken($"a read of {endpoint} showed {value} after {floor} had been answered");
    }

    /// <summary>The log is the truth: it must hold every answered write once.</summary>
    public void Check(SimulatedLog log)
    {
        var replica = new PartitionReplica(0, 1, "log");
        for (var offset = 0; offset < log.Count; offset++) replica.Apply(offset, log[offset], Deaf.Instance);
        if (!replica.IsComplete) Broken("the log has a gap");
        foreach (var (endpoint, acked) in _acked)
        {
            var document = replica.Accepted(endpoint);
            foreach (var (id, value) in acked)
            {
                if (!document.TryGetRequest(id, out var record)) Broken($"the answered write {id} of {endpoint} is lost");
                else if (BitConverter.ToInt64(record.Body.Span) != value) Broken($"the write {id} of {endpoint} was answered {value} and is recorded as {BitConverter.ToInt64(record.Body.Span)}");
            }
            if (document.Fields.Counter("count") != document.RequestCount)
                Broken($"{endpoint} counts {document.Fields.Counter("count")} for {document.RequestCount} requests: one took effect twice or not at all");
        }
    }

    private sealed class Deaf : IReplicaSink
    {
        public static readonly Deaf Instance = new();

        public void Accepted(in LoggedDelta delta) { }

        public void Rejected(in LoggedDelta delta) { }

        public void GrantLanded(in LoggedGrant grant) { }

        public void Incomplete(in ReplicaFault fault) { }
    }
}
