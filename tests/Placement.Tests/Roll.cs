using ShardCloud.Routing;

namespace ShardCloud.Placement.Tests;

/// <summary>A cloud that is rolled, by nothing but commits on a map.</summary>
internal sealed class Roll
{
    public static readonly ShardId[] Fresh = [new("shard-8"), new("shard-9"), new("shard-10")];

    private readonly Random _random;
    private readonly bool _isCalm;

    public Roll(int seed, bool isCalm = false)
    {
        (_random, _isCalm) = (new Random(seed), isCalm);
        Map = RoutingMap.Empty(4 << (2 * _random.Next(3)), "deltas");
        var old = Enumerable.Range(1, _random.Next(1, 5)).Select(i => Join(new ShardId($"shard-{i}"), "1.0.0")).ToList();
        foreach (var shard in Fresh) Join(shard, "2.0.0");
        for (var first = 0; first < Slot.Count;)
        {
            var count = Math.Min(Slot.Count - first, _random.Next(1, 4_000));
            Commit(new GrantSlots(new SlotRange(first, count), old[_random.Next(old.Count)]));
            first += count;
        }
        Placed = _random.Next(0, 40);
        for (var i = 0; i < Placed; i++)
        {
            var (key, from, to) = (EntryKey.Of(new EndpointId($"rooms/{i}")), Map.Lookup(new EndpointId($"rooms/{i}"))!.Owner, old[_random.Next(old.Count)]);
            if (from == to) to = Map.Live.Keys.First(other => other != from);
            Move([key], from, to);
            if (Fresh.Contains(to.Shard)) Move([key], to, from);
        }
        Waves = [.. Enumerable.Range(0, _random.Next(0, 4)).Select(_ => _random.Next(1, 100)).Append(100).Distinct().Order()];
    }

    public RoutingMap Map { get; private set; }

    public int Placed { get; }

    public IReadOnlyList<int> Waves { get; }

    public MovedEntries Moved { get; } = MovedEntries.None;

    public PlanInputs Inputs(int percent, BusyEntries? busy = null) => PlanInputs.Wave(Map, "1.0.0", Destinations.OfVersion(Map, "2.0.0"), Moved, percent, busy);

    public PlanInputs InputsBack() => PlanInputs.Back(Map, Fresh.ToHashSet(), Destinations.OfVersion(Map, "1.0.0"), Moved);

    public UpdatePlan Plan(int percent, BusyEntries? busy = null) => UpdatePlanner.Plan(Inputs(percent, busy));

    /// <summary>Some slots and some placed endpoints, at random.</summary>
    public BusyEntries Busy(bool isWaitedFor)
    {
        var slots = new List<SlotRange>();
        for (var first = _random.Next(500); first < Slot.Count; first += _random.Next(2, 3_000))
        {
            slots.Add(new SlotRange(first, Math.Min(Slot.Count - first, _random.Next(1, 2_000))));
            first = slots[^1].End;
        }
        return new BusyEntries(slots, Map.Placed.Where(_ => _random.Next(3) == 0).Select(placed => placed.Endpoint).ToHashSet(), isWaitedFor);
    }

    public void Wave(int percent)
    {
        for (var round = 0; round < 8; round++)
        {
            var plan = Plan(percent);
            if (plan.IsDone) return;
            foreach (var (to, entries) in plan.Moves)
            {
                foreach (var batch in Batches(entries))
                {
                    if (!_isCalm && _random.Next(4) == 0) continue; // Cancelled before its grant.
                    Assert.Equal("1.0.0", Map.Live[batch.Key].ApplicationVersion);
                    Move([.. batch], batch.Key, Map.Live.Keys.Single(incarnation => incarnation.Shard == to));
                    foreach (var entry in batch) Moved.Add(entry, batch.Key.Shard);
                }
            }
            if (!_isCalm && _random.Next(2) == 0) Die();
        }
    }

    public void Back()
    {
        var plan = UpdatePlanner.Back(Map, Fresh.ToHashSet(), Destinations.OfVersion(Map, "1.0.0"), Moved);
        foreach (var (to, entries) in plan.Moves)
            foreach (var batch in Batches(entries)) Move([.. batch], batch.Key, Map.Live.Keys.Single(incarnation => incarnation.Shard == to));
        Assert.True(UpdatePlanner.Back(Map, Fresh.ToHashSet(), Destinations.OfVersion(Map, "1.0.0"), Moved).IsDone);
    }

    public string Owners() => string.Join(' ', Enumerable.Range(0, Slot.Count).Select(slot => Map.LookupSlot(new Slot((ushort)slot))!.Owner.Shard.Value)
        .Concat(Map.Placed.OrderBy(placed => placed.Endpoint.Value, StringComparer.Ordinal).Select(placed => $"{placed.Endpoint}={placed.Entry.Owner.Shard}")));

    public int Readers() => Map.SlotRuns.SelectMany(run => run.Slots.CutAtPartitions(Map.PartitionCount).Select(piece => (piece.Partition, run.Entry.Owner))).Distinct().Count();

    public void Commit(params MapOperation[] operations)
    {
        var commit = new MapCommit("test", "", operations);
        Assert.Null(Map.Check(commit));
        Map = Map.Apply(new MapChange(Map.Version.Next, DateTimeOffset.UnixEpoch, commit));
    }

    private IncarnationId Join(ShardId shard, string version)
    {
        var incarnation = new IncarnationId($"{shard}~{Map.Version.Value:d8}");
        Commit(new Join(new LiveMember(incarnation, "", "", version, "", Cordoned: false, Ready: true)), new MarkReady(incarnation));
        return incarnation;
    }

    private void Die()
    {
        var dead = Map.Live.Keys.OrderBy(incarnation => incarnation.Value, StringComparer.Ordinal).ElementAt(_random.Next(Map.Live.Count));
        var version = Map.Live[dead].ApplicationVersion;
        var lost = Map.OwnedBy(dead).Select(owned => owned.Key).ToList();
        var heirs = Map.Live.Keys.Where(other => other != dead).OrderBy(incarnation => incarnation.Value, StringComparer.Ordinal).ToList();
        var heir = heirs[_random.Next(heirs.Count)];
        Commit(new Fence(dead), new Redirect(dead, heir));
        var newcomer = Join(dead.Shard, version);
        if (_random.Next(3) > 0)
            foreach (var part in lost.Chunk(97)) Move(part, heir, newcomer);
    }

    private IEnumerable<IGrouping<IncarnationId, EntryKey>> Batches(IEnumerable<EntryKey> entries) =>
        entries.GroupBy(entry => (entry.IsEndpoint ? Map.Lookup(entry.Endpoint) : Map.LookupSlot(new Slot((ushort)entry.Slots.First)))!.Owner).ToList();

    private void Move(IReadOnlyList<EntryKey> entries, IncarnationId from, IncarnationId to)
    {
        Commit(new PlanMove(entries, from, to));
        Commit(new GrantMove(new HandoffId(Map.Version.Value), entries, to));
    }
}
