using System.Globalization;
using System.Text.RegularExpressions;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Profiles;

/// <summary>What a member can be cut off from.</summary>
[Flags]
public enum CutFrom
{
    /// <summary>Map and leases.</summary>
    Tables = 1,

    /// <summary>Snapshots; queues too.</summary>
    Blobs = 2,

    /// <summary>Tables, blobs and queues.</summary>
    Storage = Tables | Blobs,

    /// <summary>Event Hubs.</summary>
    Log = 4,

    /// <summary>The other members and the Orchestrator: they cannot reach it. One way only: what it asks of them still arrives.</summary>
    Peers = 8,

    /// <summary>All of these.</summary>
    All = Storage | Log | Peers,
}

/// <summary>Gates of each member's own, so that it alone can be cut off. A member is started with their addresses and does not know of them.</summary>
/// <remarks>Each start of a member gets new ones; the two newest sets of a member are kept, since an old process may overlap a new one. Thread-safe.</remarks>
public sealed partial class MemberGates(string storage, string bootstrapServers) : IAsyncDisposable
{
    private const int SetsMax = 2;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, List<Set>> _sets = new(StringComparer.Ordinal);

    /// <summary>Opens the gates of a member that is about to be started, and answers the environment that leads it through them.</summary>
    public IReadOnlyDictionary<string, string?> Open(string member)
    {
        var set = new Set(storage, int.Parse(bootstrapServers.Split(':')[^1], CultureInfo.InvariantCulture));
        Set? old = null;
        lock (_gate)
        {
            if (!_sets.TryGetValue(member, out var sets)) _sets[member] = sets = [];
            sets.Add(set);
            if (sets.Count > SetsMax) (old, _) = (sets[0], sets.Remove(sets[0]));
        }
        _ = old?.DisposeAsync().AsTask();
        return set.Environment;
    }

    /// <summary>Cuts a member off. False: it has no gates.</summary>
    public bool Cut(string member, CutFrom from) => ForEach(member, from, gate => gate.Cut());

    /// <summary>Undoes every cut of a member.</summary>
    public bool Mend(string member) => ForEach(member, CutFrom.All, gate => gate.Mend());

    /// <summary>Closes them all.</summary>
    public async ValueTask DisposeAsync()
    {
        List<Set> all;
        lock (_gate) all = [.. _sets.Values.SelectMany(sets => sets)];
        foreach (var set in all) await set.DisposeAsync();
    }

    private bool ForEach(string member, CutFrom from, Action<CutGate> act)
    {
        lock (_gate)
        {
            if (!_sets.TryGetValue(member, out var sets)) return false;
            foreach (var (_, gate) in sets.SelectMany(set => set.Gates).Where(gate => from.HasFlag(gate.From))) act(gate);
            return true;
        }
    }

    private sealed partial class Set : IAsyncDisposable
    {
        public Set(string storage, int logPort)
        {
            var log = Add(CutFrom.Log, new CutGate(logPort, namesAddress: true));
            var memberPort = Ports.Free();
            Environment = new Dictionary<string, string?>
            {
                ["ShardCloud__Storage__ConnectionString"] = Port().Replace(storage, match => $"{match.Groups[1]}{Add(match.Value.StartsWith("Table", StringComparison.Ordinal) ? CutFrom.Tables : CutFrom.Blobs, new CutGate(int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture))).Port}/"),
                ["ShardCloud__Log__BootstrapServers"] = $"127.0.0.1:{log.Port}",
                ["ShardCloud__Member__Url"] = $"http://127.0.0.1:{memberPort}",
                ["ShardCloud__Member__AdvertisedUrl"] = $"http://127.0.0.1:{Add(CutFrom.Peers, new CutGate(memberPort)).Port}",
            };
        }

        public List<(CutFrom From, CutGate Gate)> Gates { get; } = [];

        public IReadOnlyDictionary<string, string?> Environment { get; }

        public async ValueTask DisposeAsync()
        {
            foreach (var (_, gate) in Gates) await gate.DisposeAsync();
        }

        private CutGate Add(CutFrom from, CutGate gate)
        {
            Gates.Add((from, gate));
            return gate;
        }

        [GeneratedRegex(@"(\w+Endpoint=http://127\.0\.0\.1:)(\d+)/")]
        private static partial Regex Port();
    }
}
