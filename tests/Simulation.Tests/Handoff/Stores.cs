using ShardCloud.Routing;

namespace ShardCloud.Simulation.Tests.Handoff;

/// <summary>The map's table: the production map and its preconditions behind a compare-and-swap whose answer may be late or lost.</summary>
internal sealed class SimulatedMap(Scheduler time, Guards guards)
{
    private readonly List<MapChange> _changes = [];

    public RoutingMap Head { get; private set; } = RoutingMap.Empty(1, "log");

    public IReadOnlyList<MapChange> Changes => _changes;

    /// <summary>The commit as the store sees it: built on the head of that moment, checked, and applied or not.</summary>
    public bool Commit(Func<RoutingMap, MapCommit?> build)
    {
        if (build(Head) is not { } commit || Head.Check(commit, guards) is not null) return false;
        var change = new MapChange(Head.Version.Next, DateTimeOffset.UnixEpoch + time.Clock, commit);
        _changes.Add(change);
        Head = Head.Apply(change, guards);
        return true;
    }

    /// <summary>A commit over the network: takes effect after a delay, is answered after another, and the answer may never come.</summary>
    /// <param name="build">On the head.</param>
    /// <param name="answered">With the map then; null when no answer came: only a read tells what happened.</param>
    /// <param name="loss">Share of answers that are lost.</param>
    public void CommitFromAfar(Func<RoutingMap, MapCommit?> build, Action<RoutingMap?> answered, double loss) => time.After(time.Delay(), () =>
    {
        Commit(build);
        var then = Head;
        if (time.Chance(loss)) time.After(time.Between(100, 400), () => answered(null));
        else time.After(time.Delay(), () => answered(then));
    });
}

/// <summary>One Event Hub partition: records in order of arrival.</summary>
internal sealed class SimulatedLog
{
    private readonly List<byte[]> _records = [];

    public int Count => _records.Count;

    public byte[] this[int offset] => _records[offset];

    public int Append(byte[] record)
    {
        _records.Add(record);
        return _records.Count - 1;
    }
}
