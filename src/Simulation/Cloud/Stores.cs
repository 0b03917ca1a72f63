using ShardCloud.Routing;

namespace ShardCloud.Simulation;

/// <summary>The map's table: the production map and its preconditions behind a compare-and-swap.</summary>
internal sealed class MapTable
{
    private readonly World _world;
    private readonly Guards _guards;
    private readonly List<MapChange> _changes = [];
    private readonly List<RoutingMap> _versions;

    public MapTable(World world, Guards guards)
    {
        // G5 of the map itself is its own test's: ids that follow from plans would be no map versions, which everything reckons with. The cores' is switched.
        (_world, _guards) = (world, guards | Guards.G5);
        _versions = [RoutingMap.Empty(World.PartitionCount, "log")];
    }

    public RoutingMap Head => _versions[^1];

    public IReadOnlyList<MapChange> Changes => _changes;

    /// <summary>What the store does with a commit: it is built on the head of that moment, checked, and applied or not.</summary>
    public bool Commit(Func<RoutingMap, MapCommit?> build)
    {
        if (build(Head) is not { } commit || Head.Check(commit, _guards) is not null) return false;
        var change = new MapChange(Head.Version.Next, DateTimeOffset.UnixEpoch, commit);
        _changes.Add(change);
        _versions.Add(Head.Apply(change, _guards));
        _world.OnCommit(change);
        return true;
    }

    /// <summary>A commit over the network. Answered with the map as it is then; null when no answer came: only a read tells what happened.</summary>
    public void CommitFrom(Node caller, Func<RoutingMap, MapCommit?> build, Action<RoutingMap?, bool> answered) => _world.Network.Call(caller,
        () => (IsCommitted: Commit(build), Map: Head), result => answered(result.Map, result.IsCommitted), () => answered(null, false));

    public void ReadFrom(Node caller, Action<RoutingMap> read, Action lost) => _world.Network.Call(caller, () => Head, read, lost);

    /// <summary>What a follower makes of a change: the same for all of them, so made once.</summary>
    public RoutingMap Apply(RoutingMap map, MapChange change) => ReferenceEquals(map, _versions[(int)map.Version.Value]) ? _versions[(int)change.Version.Value] : map.Apply(change, _guards);
}

/// <summary>The table of member rows, with its ETags; a key per incarnation, or, without G13, per shard.</summary>
internal sealed class MemberTable(Guards guards, Action<IncarnationId> fenced)
{
    private readonly Dictionary<string, MemberRow> _rows = [];
    private readonly List<string> _keys = []; // In order, so that one seed is one history.
    private long _writes;

    public IReadOnlyList<MemberRow> Rows => [.. _keys.Select(key => _rows[key])];

    public MemberRow? Read(IncarnationId incarnation) => _rows.GetValueOrDefault(MemberDirectory.KeyOf(incarnation, guards));

    public MemberRow Register(MemberRow row)
    {
        if (Read(row.Incarnation) is { } known && known.Incarnation == row.Incarnation) return known; // Sent again after a lost answer.
        return Write(row);
    }

    /// <summary>Null: the row is not as it was read.</summary>
    public MemberRow? Replace(MemberRow row) => Read(row.Incarnation) is { } known && known.ETag == row.ETag ? Write(row) : null;

    /// <summary>True when it is final or gone now.</summary>
    public bool Fence(MemberRow observed)
    {
        if (observed.IsFinal) return true;
        if (Replace(observed with { State = MemberState.Fenced }) is null) return Read(observed.Incarnation) is null or { IsFinal: true };
        fenced(observed.Incarnation);
        return true;
    }

    private MemberRow Write(MemberRow row)
    {
        var key = MemberDirectory.KeyOf(row.Incarnation, guards);
        if (!_rows.ContainsKey(key)) _keys.Add(key);
        return _rows[key] = row with { ETag = $"{++_writes}" };
    }
}

/// <summary>One Event Hub partition: records in order of arrival.</summary>
internal sealed class SimulatedLog(World world)
{
    private readonly List<byte[]> _records = [];

    public int Count => _records.Count;

    public byte[] this[int offset] => _records[offset];

    public int Append(byte[] record)
    {
        _records.Add(record);
        foreach (var member in world.Members) member.LogGrew();
        return _records.Count - 1;
    }
}
