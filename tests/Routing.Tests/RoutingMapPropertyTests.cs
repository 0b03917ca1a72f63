using CsCheck;

namespace ShardCloud.Routing.Tests;

// Method: a history is a list of small numbers; each is read against the map as it is then, as an operation that may or may not be
// allowed. Map and naive model must agree on whether it is, and on everything that can be looked up after it.
public sealed class RoutingMapPropertyTests
{
    private static readonly EndpointId[] Endpoints = [.. Enumerable.Range(1, 10).Select(i => new EndpointId($"rooms/{i}"))];
    private static readonly Gen<(int Kind, int A, int B, int C)[]> Histories =
        Gen.Select(Gen.Int[0, 15], Gen.Int[0, 99], Gen.Int[0, 99], Gen.Int[0, 99]).Array[5, 80];

    [Fact]
    public void Map_RandomHistories_AgreesWithTheModel() => Histories.Sample(history =>
    {
        var (map, model) = (Start(), new MapModel());
        foreach (var step in history)
        {
            var operation = Operation(step, map);
            var allowed = map.Check(Build.Commit(operation)) is null;
            Assert.Equal(model.Try(operation, map.Version.Next.Value), allowed);
            if (!allowed) continue;
            map = map.Apply(map.Change(operation));
            foreach (var endpoint in Endpoints)
            {
                Assert.Equal(model.Lookup(endpoint), Plain(map.Lookup(endpoint)));
                Assert.Equal(model.Placed.ContainsKey(endpoint.Value), map.IsPlaced(endpoint.KeyHash));
            }
            Assert.Equal(model.Live.Order(), map.Live.Keys.Select(k => k.Value).Order());
            AssertWhoOwnsWhat(map);
        }
        for (var slot = 0; slot < Slot.Count; slot++)
            if (model.Slots.GetValueOrDefault(slot) != Plain(map.LookupSlot(new Slot((ushort)slot)))) Assert.Fail($"Slot {slot}: {model.Slots.GetValueOrDefault(slot)}, but {map.LookupSlot(new Slot((ushort)slot))}");
        Assert.Equal(model.Placed.Keys.Order(), map.Placed.Select(p => p.Endpoint.Value).Order());
    }, iter: 150, threads: 1);

    [Fact]
    public void Epochs_RandomHistories_GrowAndAreNeverGivenToTwoOwners() => Histories.Sample(history =>
    {
        var owners = new Dictionary<(string Endpoint, long Epoch), string>();
        Run(history, (before, after) =>
        {
            foreach (var endpoint in Endpoints)
            {
                var (old, entry) = (before.Lookup(endpoint), after.Lookup(endpoint));
                if (entry is null) continue;
                Assert.True(old is null || old.Epoch <= entry.Epoch, $"{endpoint}: {old?.Epoch} then {entry.Epoch}");
                Assert.True(old is null || old.Owner == entry.Owner || entry.Epoch.GrantedAt == after.Version, $"{endpoint} changed its owner without a new epoch");
                if (!owners.TryAdd((endpoint.Value, entry.Epoch.Value), entry.Owner.Value)) Assert.Equal(owners[(endpoint.Value, entry.Epoch.Value)], entry.Owner.Value);
            }
        });
    }, iter: 150, threads: 1);

    [Fact]
    public void Codec_RandomHistories_ReplayAndSnapshotsGiveTheSameMap() => Gen.Select(Histories, Gen.Long[1, 30]).Sample((history, cut) =>
    {
        var changes = new List<MapChange>();
        var end = Run(history, (before, after) => { }, changes);
        var replayed = Start();
        var resumed = Start();
        foreach (var change in changes)
        {
            var read = MapJson.ReadChange(MapJson.Write(change));
            Assert.Equal(MapJson.Write(change), MapJson.Write(read));
            replayed = replayed.Apply(read);
            resumed = resumed.Apply(read);
            if (resumed.Version.Value == cut) resumed = MapSnapshot.Read(new MemoryStream(MapSnapshot.Write(resumed)));
        }
        Assert.Equal(Build.Describe(end), Build.Describe(replayed));
        Assert.Equal(Build.Describe(end), Build.Describe(resumed));
        Assert.Equal(MapSnapshot.Write(end), MapSnapshot.Write(resumed));
    }, iter: 60, threads: 1);

    [Fact]
    public void Map_ManyPlacedEndpoints_SurviveTheFoldingOfTheOverlay()
    {
        var map = Build.Start();
        var endpoints = Enumerable.Range(0, 3_000).Select(i => new EndpointId($"rooms/{i}")).ToArray();
        foreach (var batch in endpoints.Chunk(MapCommit.EntriesMax))
            map = map.With(new PlanMove(Build.Entries(batch), Build.S, Build.D)).With(new GrantMove(new HandoffId(map.Version.Next), Build.Entries(batch), Build.D));
        Assert.All(endpoints, e => Assert.Equal(Build.D, map.Lookup(e)!.Owner));
        Assert.Equal(endpoints.Length, map.Placed.Count());

        // Back onto the slot's owner, in part: removals must survive folding too.
        foreach (var batch in endpoints[..1_000].Chunk(MapCommit.EntriesMax))
            map = map.With(new PlanMove(Build.Entries(batch), Build.D, Build.S)).With(new GrantMove(new HandoffId(map.Version.Next), Build.Entries(batch), Build.S)).With(new ReturnToSlot(batch));
        Assert.All(endpoints[..1_000], e => Assert.False(map.IsPlaced(e.KeyHash)));
        Assert.All(endpoints[1_000..], e => Assert.Equal(Build.D, map.Lookup(e)!.Owner));
        Assert.Equal(2_000, map.OwnedBy(Build.D).Count());
    }

    /// <summary>What is counted by owner is kept with the folded table, and must follow what lies over it.</summary>
    [Fact]
    public void Owners_ThroughFoldings_AreWhoAPassOverEverythingFinds()
    {
        var map = Build.Start();
        var endpoints = Enumerable.Range(0, 1_500).Select(i => new EndpointId($"rooms/{i}")).ToArray();
        foreach (var batch in endpoints.Chunk(MapCommit.EntriesMax)) Move(Build.S, Build.D, batch);
        foreach (var batch in endpoints[..600].Chunk(MapCommit.EntriesMax))
        {
            Move(Build.D, Build.S, batch);
            map = map.With(new ReturnToSlot(batch[..10]));
            AssertWhoOwnsWhat(map);
        }

        void Move(IncarnationId from, IncarnationId to, EndpointId[] batch)
        {
            map = map.With(new PlanMove(Build.Entries(batch), from, to));
            AssertWhoOwnsWhat(map);
            map = map.With(new GrantMove(new HandoffId(map.Version), Build.Entries(batch), to));
            AssertWhoOwnsWhat(map);
        }
    }

    private static void AssertWhoOwnsWhat(RoutingMap map)
    {
        var (slots, placed) = (map.SlotRuns.ToList(), map.Placed.ToList());
        var owners = slots.Select(run => run.Entry.Owner).Concat(placed.Select(one => one.Entry.Owner)).Distinct().OrderBy(owner => owner.Value, StringComparer.Ordinal).ToList();
        Assert.Equal(owners, map.Owners.OrderBy(owner => owner.Value, StringComparer.Ordinal));
        foreach (var owner in owners)
        {
            var (runs, own) = (slots.Where(run => run.Entry.Owner == owner).ToList(), placed.Where(one => one.Entry.Owner == owner).ToList());
            Assert.Equal(runs.SelectMany(run => EntryKey.Of(run.Slots).Partitions(16)).Concat(own.Select(one => one.Endpoint.Slot.PartitionOf(16))).Distinct().Order(), map.PartitionsOf(owner));
            Assert.Equal(own.Count, map.PlacedCount(owner));
            Assert.Equal([.. runs.Select(run => EntryKey.Of(run.Slots).ToString()), .. own.Select(one => one.Endpoint.Value).Order(StringComparer.Ordinal)],
                map.OwnedBy(owner).Take(runs.Count).Select(one => one.Key.ToString()).Concat(map.OwnedBy(owner).Skip(runs.Count).Select(one => one.Key.ToString()).Order(StringComparer.Ordinal)));
        }
    }

    private static RoutingMap Start() => RoutingMap.Empty(16, "log");

    private static RoutingMap Run((int Kind, int A, int B, int C)[] history, Action<RoutingMap, RoutingMap> each, List<MapChange>? changes = null)
    {
        var map = Start();
        foreach (var step in history)
        {
            var operation = Operation(step, map);
            if (map.Check(Build.Commit(operation)) is not null) continue;
            var (before, change) = (map, map.Change(operation));
            map = map.Apply(change);
            changes?.Add(change);
            each(before, map);
        }
        return map;
    }

    // Mostly picks what can be done on this map, so that histories go deep; now and then (Odd) something that should be refused.
    private static MapOperation Operation((int Kind, int A, int B, int C) step, RoutingMap map)
    {
        var (kind, a, b, c) = step;
        var odd = a % 8 == 0;
        var live = map.Live.Keys.OrderBy(i => i.Value, StringComparer.Ordinal).ToArray();
        var fresh = new IncarnationId($"m{b % 4}~{map.Fenced.Count + 1}");
        IncarnationId Pick(int by) => live.Length == 0 ? fresh : odd && map.Fenced.Count > 0 ? map.Fenced[by % map.Fenced.Count] : live[by % live.Length];
        if (live.Length < 3 && !odd) return new Join(Build.Member(fresh));

        var endpoint = Endpoints[c % Endpoints.Length];
        var range = new SlotRange(c % 4 * 4_096, 4_096);
        var key = b % 3 == 0 ? EntryKey.Of(range) : EntryKey.Of(endpoint);
        MapEntry? Of(EntryKey k) => k.IsEndpoint ? map.Lookup(k.Endpoint) : map.LookupSlot(new Slot((ushort)k.Slots.First));
        // A key that is on the move, where there is one.
        var moving = Endpoints.Select(EntryKey.Of).Concat(Enumerable.Range(0, 4).Select(i => EntryKey.Of(new SlotRange(i * 4_096, 4_096))))
            .Where(k => Of(k) is { IsMigrating: true }).Append(key).ToArray() is var all ? all[c % all.Length] : key;
        var orphaned = map.Fenced.Where(f => map.OwnedBy(f).Any()).Append(map.Fenced.LastOrDefault(fresh)).First();
        return kind switch
        {
            0 => new Join(Build.Member(odd && map.Fenced.Count > 0 ? Pick(b) : fresh)),
            1 or 2 => new GrantSlots(odd ? range : Enumerable.Range(0, 4).Select(i => new SlotRange(i * 4_096, 4_096)).FirstOrDefault(r => Of(EntryKey.Of(r)) is null, range), Pick(b)),
            3 or 4 or 5 or 6 => new PlanMove([key], Of(key) is { } entry && !odd ? entry.Owner : Pick(a), Pick(b)),
            7 or 8 or 9 => new GrantMove(odd ? new HandoffId(c) : Of(moving)?.Handoff ?? default, [moving], Of(moving) is { IsMigrating: true } to ? to.To : Pick(b)),
            10 => new CancelMove(odd ? new HandoffId(c) : Of(moving)?.Handoff ?? default, [moving]),
            11 => new ReGrant([key], Of(key) is { } own && map.Live.ContainsKey(own.Owner) && !odd ? own.Owner : Pick(b)),
            12 => new ReturnToSlot([Endpoints.FirstOrDefault(e => map.IsPlaced(e.KeyHash) && map.Lookup(e)!.Owner == map.LookupSlot(e.Slot)?.Owner, endpoint)]),
            13 => new Fence(Pick(b)),
            _ => new Redirect(odd ? Pick(b) : orphaned, live.Length == 0 ? fresh : live[c % live.Length]),
        };
    }

    private static MapModel.Entry? Plain(MapEntry? entry) =>
        entry is null ? null : new MapModel.Entry(entry.Owner.Value, entry.Epoch.Value, entry.IsMigrating ? entry.To.Value : null, entry.Handoff.Value);
}
