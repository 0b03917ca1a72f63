using BenchmarkDotNet.Attributes;
using ShardCloud.Routing;

namespace ShardCloud.Bench.Micro;

/// <summary>What a member pays for following the map when a million endpoints are placed.</summary>
public class MapApplyBenchmarks
{
    private RoutingMap _map = RoutingMap.Empty(1, "");
    private MapChange _one = null!, _full = null!, _slots = null!;
    private EntryKey[] _entries = [];

    /// <summary>Endpoints with an entry of their own.</summary>
    [Params(1_000_000)]
    public int PlacedEndpoints { get; set; }

    /// <summary>Builds the map and the changes that follow it.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _map = Maps.Placed(PlacedEndpoints);
        var random = new Random(1);
        _entries = [.. Enumerable.Range(0, MapCommit.EntriesMax).Select(_ => EntryKey.Of(new EndpointId(Maps.NameOf(random.Next(PlacedEndpoints)))))];
        _one = _map.Change(new PlanMove([_entries[0]], Maps.Destination, Maps.Source));
        _full = _map.Change(new PlanMove(_entries, Maps.Destination, Maps.Source));
        _slots = _map.Change(new PlanMove([EntryKey.Of(new SlotRange(0, 64))], Maps.Source, Maps.Destination));
    }

    /// <summary>One endpoint's move is planned; the overlay is empty.</summary>
    [Benchmark]
    public RoutingMap OneEndpoint() => _map.Apply(_one);

    /// <summary>The largest commit (97 endpoints); the overlay is empty.</summary>
    [Benchmark]
    public RoutingMap FullCommit() => _map.Apply(_full);

    /// <summary>64 slots' move is planned: the slot table is copied.</summary>
    [Benchmark]
    public RoutingMap SlotRange64() => _map.Apply(_slots);

    /// <summary>A run of 200 full commits, so that one fold of the overlay into the base is in it.</summary>
    [Benchmark(OperationsPerInvoke = 200)]
    public RoutingMap FullCommitsWithFold()
    {
        var map = _map;
        for (var i = 0; i < 200; i++)
        {
            var first = i * MapCommit.EntriesMax;
            var entries = new EntryKey[MapCommit.EntriesMax];
            for (var j = 0; j < entries.Length; j++) entries[j] = EntryKey.Of(new EndpointId(Maps.NameOf(first + j)));
            map = map.With(new PlanMove(entries, Maps.Destination, Maps.Source));
        }
        return map;
    }
}
