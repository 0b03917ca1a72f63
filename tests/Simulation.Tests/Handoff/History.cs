using ShardCloud.Replication;
using ShardCloud.Tests.Shared;

namespace ShardCloud.Simulation.Tests.Handoff;

/// <summary>A promise was broken.</summary>
internal sealed class BrokenException(string what) : Exception(what);

/// <summary>What the clients saw, and whether it can be true.</summary>
internal sealed class History
{
    public const string NotLinearizable = "no order of one operation at a time explains the answers";

    private readonly Dictionary<EndpointId, Dictionary<string, long>> _acked = [];
    private readonly Dictionary<EndpointId, List<Operation<bool, long>>> _operations = [];
    private long _ticks; // Finer than simulated time: of two things in one millisecond one came first.

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

    /// <summary>A client asks for an increment, or to read. To be called with the answer when the client has it, however often it was sent.</summary>
    public Action<long> Asked(EndpointId endpoint, bool isIncrement)
    {
        if (!_operations.TryGetValue(endpoint, out var operations)) _operations[endpoint] = operations = [];
        var index = operations.Count;
        operations.Add(new Operation<bool, long>(isIncrement, 0, _ticks++, null));
        return value => operations[index] = operations[index] with { Output = value, Returned = _ticks++ };
    }

    /// <summary>What the clients were answered, and what the log shows at the end, must be possible for a counter that does one thing at a time.</summary>
    public void CheckLinearizable(SimulatedLog log)
    {
        var replica = Read(log);
        foreach (var (endpoint, operations) in _operations)
        {
            Asked(endpoint, isIncrement: false)(replica.Accepted(endpoint).Fields.Counter("count"));
            if (!CounterModel.Holds(operations))
                Broken($"{NotLinearizable} of {endpoint}: {string.Join(", ", operations.Select(o => $"{(o.Input ? "+" : "=")}{(o.Returned is null ? "?" : o.Output)} {o.Invoked}-{o.Returned}"))}");
        }
    }

    /// <summary>An increment of a convergent endpoint was answered.</summary>
    public void Kept(EndpointId endpoint, string id)
    {
        if (!_acked.TryGetValue(endpoint, out var acked)) _acked[endpoint] = acked = [];
        acked[id] = 0;
    }

    /// <summary>The log must hold every answered write, and every write of either side once: a request that ran on both sides has two records and counts twice.</summary>
    public PartitionReplica CheckKept(SimulatedLog log)
    {
        var replica = Read(log);
        if (!replica.IsComplete) Broken("the log has a gap");
        foreach (var (endpoint, acked) in _acked)
        {
            var document = replica.Accepted(endpoint);
            foreach (var id in acked.Keys.Where(id => !document.TryGetRequest(id, out _))) Broken($"the answered write {id} of {endpoint} is lost");
            if (document.Fields.Counter("count") != document.RequestCount) Broken($"{endpoint} counts {document.Fields.Counter("count")} for {document.RequestCount} records of writes");
        }
        return replica;
    }

    /// <summary>The log is the truth: it must hold every answered write once.</summary>
    public void Check(SimulatedLog log)
    {
        var replica = Read(log);
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

    private static PartitionReplica Read(SimulatedLog log)
    {
        var replica = new PartitionReplica(0, 1, "log");
        for (var offset = 0; offset < log.Count; offset++) replica.Apply(offset, log[offset], Deaf.Instance);
        return replica;
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
