using System.Diagnostics.CodeAnalysis;
using ShardCloud.Replication;
using ShardCloud.Routing;

namespace ShardCloud.Simulation;

/// <summary>What the clients were answered and the map and the log showed, and whether it can be true.</summary>
internal sealed class History
{
    private readonly Dictionary<EndpointId, Dictionary<string, long>> _acked = [];
    private readonly Dictionary<EndpointId, Dictionary<long, string>> _values = [];
    private readonly Dictionary<EndpointId, long> _floors = [];
    private readonly Dictionary<EndpointId, List<Operation<bool, long>>> _operations = [];
    private readonly Dictionary<(EndpointId, Epoch), IncarnationId> _owners = [];
    private readonly Dictionary<EndpointId, (Epoch Epoch, IncarnationId Owner)> _last = [];
    private readonly Dictionary<EndpointId, int> _changesOfOwner = [];
    private long _ticks; // Finer than simulated time: of two things in one millisecond one came first.

    [DoesNotReturn]
    public static void Broken(Promise promise, string what) => throw new BrokenPromiseException(promise, what);

    /// <summary>Answered writes.</summary>
    public int Count => _acked.Values.Sum(a => a.Count);

    /// <summary>Highest value that any answer has shown so far.</summary>
    public long Floor(EndpointId endpoint) => _floors.GetValueOrDefault(endpoint);

    /// <summary>How often the endpoint has changed hands.</summary>
    public int ChangesOfOwner(EndpointId endpoint) => _changesOfOwner.GetValueOrDefault(endpoint);

    /// <summary>The map has a new version.</summary>
    public void Seen(RoutingMap map, IEnumerable<EndpointId> endpoints)
    {
        foreach (var endpoint in endpoints)
        {
            if (map.Lookup(endpoint) is not { } entry) continue;
            if (_last.TryGetValue(endpoint, out var last))
            {
                if (last == (entry.Epoch, entry.Owner)) continue;
                if (entry.Epoch <= last.Epoch) Broken(Promise.OneOwner, $"map version {map.Version} gives {endpoint} to {entry.Owner} under {entry.Epoch}; before it was {last.Owner}'s under {last.Epoch}");
                if (entry.Owner != last.Owner) _changesOfOwner[endpoint] = ChangesOfOwner(endpoint) + 1;
            }
            _last[endpoint] = (entry.Epoch, entry.Owner);
            if (!_owners.TryAdd((endpoint, entry.Epoch), entry.Owner) && _owners[(endpoint, entry.Epoch)] != entry.Owner)
                Broken(Promise.OneOwner, $"{endpoint} was {_owners[(endpoint, entry.Epoch)]}'s under {entry.Epoch}, and is {entry.Owner}'s under it now");
        }
    }

    /// <summary>An increment was answered with the counter's value after it.</summary>
    public void Acked(EndpointId endpoint, string id, long value)
    {
        if (!_acked.TryGetValue(endpoint, out var acked)) (_acked[endpoint], _values[endpoint]) = (acked = [], []);
        if (acked.TryGetValue(id, out var before))
        {
            if (before != value) Broken(Promise.ExactlyOnce, $"request {id} was answered {before} and {value}");
            return;
        }
        if (!_values[endpoint].TryAdd(value, id)) Broken(Promise.NothingLost, $"requests {_values[endpoint][value]} and {id} were both answered {value}: one of them is gone");
        acked[id] = value;
        _floors[endpoint] = Math.Max(Floor(endpoint), value);
    }

    /// <summary>A read that began when the floor was known may not show less.</summary>
    public void Read(EndpointId endpoint, long floor, long value)
    {
        if (value < floor) Broken(Promise.Linearizable, $"a read of {endpoint} showed {value} after {floor} had been answered");
        _floors[endpoint] = Math.Max(Floor(endpoint), value);
    }

    /// <summary>An increment of a convergent endpoint was answered.</summary>
    public void Kept(EndpointId endpoint, string id)
    {
        if (!_acked.TryGetValue(endpoint, out var acked)) _acked[endpoint] = acked = [];
        acked[id] = 0;
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
    public void CheckLinearizable(PartitionReplica truth)
    {
        foreach (var (endpoint, operations) in _operations)
        {
            Asked(endpoint, isIncrement: false)(truth.Accepted(endpoint).Fields.Counter("count"));
            if (!CounterModel.Holds(operations))
                Broken(Promise.Linearizable, $"no order of one operation at a time explains the answers of {endpoint}: {string.Join(", ", operations.Select(o => $"{(o.Input ? "+" : "=")}{(o.Returned is null ? "?" : o.Output)} {o.Invoked}-{o.Returned}"))}");
        }
    }

    /// <summary>The log is the truth: it must hold every answered write, and every write once. Writes to convergent endpoints may have run on two sides: then two records count twice.</summary>
    public void CheckLog(PartitionReplica truth, IReadOnlyList<EndpointId> endpoints, bool isConvergent)
    {
        if (!truth.IsComplete) Broken(Promise.NothingLost, "the log has a gap: a write that others were built on is missing");
        foreach (var endpoint in endpoints)
        {
            var document = truth.Accepted(endpoint);
            foreach (var (id, value) in _acked.GetValueOrDefault(endpoint) ?? [])
            {
                if (!document.TryGetRequest(id, out var record)) Broken(Promise.NothingLost, $"the answered write {id} of {endpoint} is lost");
                else if (!isConvergent && BitConverter.ToInt64(record.Body.Span) != value) Broken(Promise.ExactlyOnce, $"the write {id} of {endpoint} was answered {value} and is recorded as {BitConverter.ToInt64(record.Body.Span)}");
            }
            if (document.Fields.Counter("count") != document.RequestCount)
                Broken(Promise.ExactlyOnce, $"{endpoint} counts {document.Fields.Counter("count")} for {document.RequestCount} requests: one took effect twice, or in part");
        }
    }

    /// <summary>A reader that has seen nothing but the log, from its start.</summary>
    public static PartitionReplica Read(SimulatedLog log)
    {
        var replica = new PartitionReplica(0, World.PartitionCount, "log");
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
