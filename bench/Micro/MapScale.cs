using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.Bench.Micro;

/// <summary>Question: what does the map of a large cloud cost its members: 1,000 shards, 16 Event Hub partitions, 1,000,000 placed endpoints? Bars are beside what is measured; a missed one is exit code 1.</summary>
/// <remarks>
/// The map is made as rebalancing makes one: each handoff has 97 endpoints of one source and one destination, planned and granted by two changes. So entries are shared by 97 endpoints, and the overlay is folded
/// as often as it would be. What a look at the map costs counts too: a shard looks after each change.
/// </remarks>
internal static class MapScale
{
    private const int Shards = 1_000, Partitions = 16, Endpoints = 1_000_000, Asked = 1 << 16, Rounds = 400;

    private static readonly IncarnationId[] Members = [.. Enumerable.Range(1, Shards).Select(shard => IncarnationId.New(new ShardId($"shard-{shard}")))];
    private static bool _missed;

    public static int Run()
    {
        Console.WriteLine("| | measured | bar |\n| --- | --- | --- |");
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var building = Stopwatch.StartNew();
        var (map, changes, longest) = Build();
        building.Stop();
        Row("a million endpoints placed, change by change: mean of a change", building.Elapsed.TotalMilliseconds / changes, "ms", 5);
        Row("the longest of them: the overlay is folded into the base", longest.TotalMilliseconds, "ms", 500);
        Row("memory of the map", (GC.GetTotalMemory(forceFullCollection: true) - before) / 1e6, "MB", 200);

        Lookups(map);
        var owner = Members[7];
        Row("what one shard owns, asked for again", Each(10, () => map.OwnedBy(owner).Count()), "ms", 5);
        Row("a shard's look after a change: what it owns, and in which partitions", Looks(map, owner), "ms", 10);
        Changes(map, owner);
        Files(map);
        return _missed ? 1 : 0;
    }

    private static (RoutingMap Map, int Changes, TimeSpan Longest) Build()
    {
        var map = RoutingMap.Empty(Partitions, "log").With(
        [
            .. Members.Select(member => new Join(new LiveMember(member, $"http://10.0.0.1:8081/{member.Shard}", $"https://{member.Shard}.example", "1.0.0", member.Shard.Value, false, true))),
            new PublishTemplates("1.0.0", [new TemplateSpec("/rooms/{room}")]),
            .. Enumerable.Range(0, Shards).Select(shard => new GrantSlots(SlotsOf(shard), Members[shard])),
        ]);
        for (var partition = 0; partition < Partitions; partition++)
            map = map.With([.. Members.Where((_, shard) => Overlaps(SlotsOf(shard), partition)).Select(member => new SetBackup(partition, member, Members[(Array.IndexOf(Members, member) + 1) % Shards]))]);

        // By the shard whose slot an endpoint follows: a handoff has one source.
        var bySource = Enumerable.Range(0, Endpoints).Select(number => new EndpointId(Maps.NameOf(number))).ToLookup(endpoint => map.Lookup(endpoint)!.Owner);
        var (changes, longest, turn) = (0, TimeSpan.Zero, 0);
        foreach (var source in bySource)
        {
            foreach (var batch in source.Chunk(MapCommit.EntriesMax))
            {
                var to = Members[(Array.IndexOf(Members, source.Key) + 1 + (turn++ % (Shards - 1))) % Shards];
                EntryKey[] entries = [.. batch.Select(EntryKey.Of)];
                Apply(new PlanMove(entries, source.Key, to));
                Apply(new GrantMove(new HandoffId(map.Version), entries, to));
            }
        }
        return (map, changes, longest);

        void Apply(MapOperation operation)
        {
            var change = map.Change(operation);
            var began = Stopwatch.GetTimestamp();
            map = map.Apply(change);
            var took = Stopwatch.GetElapsedTime(began);
            changes++;
            if (took > longest) longest = took;
        }
    }

    private static void Lookups(RoutingMap map)
    {
        var random = new Random(1);
        var hashes = Enumerable.Range(0, Asked).Select(_ => EndpointId.HashOf(Maps.NameOf(random.Next(Endpoints)))).ToArray();
        var unplaced = Enumerable.Range(0, Asked).Select(number => EndpointId.HashOf(Maps.NameOf(Endpoints + number))).ToArray();
        foreach (var (what, asked) in new[] { ("a placed endpoint", hashes), ("one that follows its slot", unplaced) })
        {
            var live = 0;
            foreach (var hash in asked) live += map.Lookup(hash) is null ? 0 : 1;
            if (live != Asked) throw new InvalidOperationException("An endpoint has no owner.");
            var best = Enumerable.Range(0, 20).Min(_ =>
            {
                var began = Stopwatch.GetTimestamp();
                foreach (var hash in asked) live += map.Lookup(hash)!.Owner == Members[0] ? 1 : 0;
                return Stopwatch.GetElapsedTime(began).TotalNanoseconds / Asked;
            });
            Row($"lookup of {what}, with its owner: the best of 20 passes over {Asked:N0}", best, "ns", 100);
            Row($"lookup of {what}: allocated", Math.Min(Allocated(), Allocated()), "B", 0); // The first time something is compiled.
            GC.KeepAlive(live);

            long Allocated()
            {
                var before = GC.GetAllocatedBytesForCurrentThread();
                foreach (var hash in asked) live += map.Lookup(hash)!.IsMigrating ? 1 : 0;
                return GC.GetAllocatedBytesForCurrentThread() - before;
            }
        }
    }

    // As TenureKeeper and BackupKeeper look, after a change that does not concern the shard.
    private static double Looks(RoutingMap map, IncarnationId owner)
    {
        var (moved, took) = (0, TimeSpan.Zero);
        foreach (var change in Moves(map).Take(Rounds))
        {
            map = map.Apply(map.Change(change));
            var began = Stopwatch.GetTimestamp();
            moved += map.OwnedBy(owner).GroupBy(owned => owned.Entry.Epoch).Count();
            moved += BackupChoice.Missing(map, owner, map.PartitionsOf(owner)).Count();
            took += Stopwatch.GetElapsedTime(began);
        }
        GC.KeepAlive(moved);
        return took.TotalMilliseconds / Rounds;
    }

    private static void Changes(RoutingMap map, IncarnationId owner)
    {
        var moves = Moves(map).Take(Rounds).ToList();
        var following = map;
        var began = Stopwatch.GetTimestamp();
        foreach (var move in moves) following = following.With(move);
        Row("a move of 97 placed endpoints is planned or granted: mean", Stopwatch.GetElapsedTime(began).TotalMilliseconds / moves.Count, "ms", 5);

        Row("it is checked before the commit", Each(100, () => map.Check(new MapCommit("bench", "bench", [moves[0]])) is null ? 1 : throw new InvalidOperationException("The move is refused.")), "ms", 5);
        var over = map.Change(new Fence(owner), new Redirect(owner, Members[8], null));
        Row("take-over of all that a shard owned", Each(10, () => map.Apply(over).Live.Count), "ms", 500);

        var json = Encoding.UTF8.GetBytes(MapJson.Write(map.Change(moves[0])));
        Row("the change as it is in the table", json.Length / 1e3, "kB", 64);
        Row("read from there", Each(100, () => MapJson.ReadChange(Encoding.UTF8.GetString(json)).Commit.EntryCount), "ms", 5);
    }

    private static void Files(RoutingMap map)
    {
        var began = Stopwatch.GetTimestamp();
        var snapshot = MapSnapshot.Write(map);
        Row("snapshot: written", Stopwatch.GetElapsedTime(began).TotalMilliseconds / 1e3, "s", 10);
        Row("snapshot: size", snapshot.Length / 1e6, "MB", 100);
        using var unpacked = new MemoryStream();
        using (var gzip = new GZipStream(new MemoryStream(snapshot), CompressionMode.Decompress)) gzip.CopyTo(unpacked);
        Row("snapshot: unpacked", unpacked.Length / 1e6, "MB", null);
        began = Stopwatch.GetTimestamp();
        var read = MapSnapshot.Read(new MemoryStream(snapshot));
        Row("snapshot: read by a member that starts", Stopwatch.GetElapsedTime(began).TotalMilliseconds / 1e3, "s", 10);
        if (read.Version != map.Version || read.Placed.Count() != Endpoints) throw new InvalidOperationException("The snapshot is not the map.");
    }

    /// <summary>Moves of placed endpoints, each planned and then granted, from one shard after the other.</summary>
    private static IEnumerable<MapOperation> Moves(RoutingMap map)
    {
        var placed = map.Placed.ToLookup(item => item.Entry.Owner, item => item.Endpoint);
        var version = map.Version;
        for (var shard = 100; ; shard++)
        {
            EntryKey[] entries = [.. placed[Members[shard]].Take(MapCommit.EntriesMax).Select(EntryKey.Of)];
            version = version.Next;
            yield return new PlanMove(entries, Members[shard], Members[shard + 1]);
            yield return new GrantMove(new HandoffId(version), entries, Members[shard + 1]);
            version = version.Next;
        }
    }

    private static double Each(int times, Func<int> run)
    {
        run();
        var began = Stopwatch.GetTimestamp();
        for (var i = 0; i < times; i++) run();
        return Stopwatch.GetElapsedTime(began).TotalMilliseconds / times;
    }

    private static void Row(string what, double value, string unit, double? bar)
    {
        var holds = bar is null || value <= bar;
        _missed |= !holds;
        Console.WriteLine(FormattableString.Invariant($"| {what} | {value:#,0.###} {unit}{(holds ? "" : ": **missed**")} | {(bar is { } most ? FormattableString.Invariant($"{most:#,0} {unit}") : "")} |"));
    }

    private static SlotRange SlotsOf(int shard)
    {
        var first = shard * Slot.Count / Shards;
        return new SlotRange(first, ((shard + 1) * Slot.Count / Shards) - first);
    }

    private static bool Overlaps(SlotRange slots, int partition) => slots.Overlaps(SlotRange.OfPartition(partition, Partitions));
}
