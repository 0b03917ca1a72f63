using CsCheck;

namespace ShardCloud.Routing.Tests;

// Method: a history is a list of small numbers; each is read against the map as it is then, as an operation that may or may not be
// allowed. Map and naive model must agree on whether it is, and on everything that can be looked up after it.
public sealed class RoutingMapPropertyTests
{
    private static readonly EndpointId[] _endpoints = [.. Enumerable.Range(1, 10).Select(i => new EndpointId($"rooms/{i}"))];
    private static readonly IncarnationId[] _members = [.. Enumerable.Range(1, 5).Select(i => new IncarnationId($"m{i}~1"))];
    private static readonly Gen<(int Kind, int A, int B, int C)[]> _histories =
        Gen.Select(Gen.Int[0, 13], Gen.Int[0, 99], Gen.Int[0, 99], Gen.Int[0, 99]).Array[5, 60];

    [Fact]
    public void Map_RandomHistories_AgreesWithTheModel() => _histories.Sample(history =>
    {
        var (map, model) = (Start(), new MapModel());
        foreach (var step in history)
        {
            var operation = Operation(step, map);
            var allowed = map.Check(Build.Commit(operation)) is null;
            Assert.Equal(model.Try(operation, map.Version.Next.Value), allowed);
            if (!allowed) continue;
            map = map.Apply(map.Change(operation));
            foreach (var endpoint in _endpoints)
            {
                Assert.Equal(model.Lookup(endpoint), Plain(map.Lookup(endpoint)));
                Assert.Equal(model.Placed.ContainsKey(endpoint.Value), map.IsPlaced(endpoint.KeyHash));
            }
            Assert.Equal(model.Live.Order(), map.Live.Keys.Select(k => k.Value).Order());
        }
        for (var slot = 0; slot < Slot.Count; slot++) Assert.Equal(model.Slots.GetValueOrDefault(slot), Plain(map.LookupSlot(new Slot((ushort)slot))));
        Assert.Equal(model.Placed.Keys.Order(), map.Placed.Select(p => p.Endpoint.Value).Order());
    }, iter: 400, threads: 1);

    [Fact]
    public void Epochs_RandomHistories_GrowAndAreNeverGivenToTwoOwners() => _histories.Sample(history =>
    {
        var owners = new Dictionary<(string Endpoint, long Epoch), string>();
        Run(history, (before, after) =>
        {
            foreach (var endpoint in _endpoints)
            {
                var (old, entry) = (before.Lookup(endpoint), after.Lookup(endpoint));
                if (entry is null) continue;
                Assert.True(old is null || old.Epoch <= entry.Epoch, $"{endpoint}: {old?.Epoch} then {entry.Epoch}");
                Assert.True(old is null || old.Owner == entry.Owner || entry.Epoch.GrantedAt == after.Version, $"{endpoint} changed its owner without a new epoch");
                if (!owners.TryAdd((endpoint.Value, entry.Epoch.Value), entry.Owner.Value)) Assert.Equal(owners[(endpoint.Value, entry.Epoch.Value)], entry.Owner.Value);
            }
        });
    }, iter: 400, threads: 1);

    [Fact]
    public void Codec_RandomHistories_ReplayAndSnapshotsGiveTheSameMap() => Gen.Select(_histories, Gen.Long[1, 30]).Sample((history, cut) =>
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
    }, iter: 200, threads: 1);

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

    // Kinds 0 to 3 make members and first grants likely, so that histories reach moves soon.
    private static MapOperation Operation((int Kind, int A, int B, int C) step, RoutingMap map)
    {
        var (kind, a, b, c) = step;
        var (one, other) = (_members[a % _members.Length], _members[b % _members.Length]);
        var endpoint = _endpoints[c % _endpoints.Length];
        var range = new SlotRange(c % 4 * 4096, 4096 * (1 + a % 2) is var count && c % 4 * 4096 + count <= Slot.Count ? count : 4096);
        var key = b % 3 == 0 ? EntryKey.Of(range) : EntryKey.Of(endpoint);
        var entry = key.IsEndpoint ? map.Lookup(endpoint) : map.LookupSlot(new Slot((ushort)range.First));
        return kind switch
        {
            0 or 1 => new Join(Build.Member(one)),
            2 or 3 => new GrantSlots(range, one),
            4 or 5 or 6 => new PlanMove([key], entry is not null && a % 8 != 0 ? entry.Owner : one, other),
            7 or 8 => new GrantMove(entry is { IsMigrating: true } && a % 8 != 0 ? entry.Handoff : new HandoffId(c), [key], entry is { IsMigrating: true } ? entry.To : one),
            9 => new CancelMove(entry is { IsMigrating: true } && a % 8 != 0 ? entry.Handoff : new HandoffId(c), [key]),
            10 => new ReGrant([key], entry is not null && a % 2 == 0 ? entry.Owner : one),
            11 => new ReturnToSlot([endpoint]),
            12 => new Fence(one),
            _ => new Redirect(map.Fenced.Count > 0 && c % 4 != 0 ? map.Fenced[c % map.Fenced.Count] : one, other),
        };
    }

    private static MapModel.Entry? Plain(MapEntry? entry) =>
        entry is null ? null : new MapModel.Entry(entry.Owner.Value, entry.Epoch.Value, entry.IsMigrating ? entry.To.Value : null, entry.Handoff.Value);
}
