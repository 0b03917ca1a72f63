namespace ShardCloud.Routing;

/// <summary>What a follower of the map hears.</summary>
public abstract record FollowerEvent
{
    private FollowerEvent() { }

    /// <summary>Time to look at the head.</summary>
    public sealed record Poll : FollowerEvent;

    /// <summary>Somebody says that there is this version: a control record, an entry of a 421, an own commit.</summary>
    public sealed record Heard(MapVersion Version) : FollowerEvent;

    /// <summary>The head was read.</summary>
    /// <param name="Version">Its version.</param>
    /// <param name="AppliedAtSend">Version applied when the read was sent: an older head than that has gone back.</param>
    public sealed record HeadRead(MapVersion Version, MapVersion AppliedAtSend) : FollowerEvent;

    /// <summary>A whole map of the same table: the outcome of an own commit. It needs no read.</summary>
    public sealed record MapRead(RoutingMap Map) : FollowerEvent;

    /// <summary>Changes were read, in order; repeats do no harm.</summary>
    public sealed record ChangesRead(IReadOnlyList<MapChange> Changes) : FollowerEvent;

    /// <summary>The store did not answer; the next poll asks again.</summary>
    public sealed record ReadFailed : FollowerEvent;
}

/// <summary>What a follower of the map wants done.</summary>
public abstract record FollowerCommand
{
    private FollowerCommand() { }

    /// <summary>Read the head.</summary>
    public sealed record ReadHead(MapVersion AppliedAtSend) : FollowerCommand;

    /// <summary>Read the changes after a version.</summary>
    public sealed record ReadChanges(MapVersion After) : FollowerCommand;

    /// <summary>A new version was applied.</summary>
    public sealed record Publish(RoutingMap Map) : FollowerCommand;

    /// <summary>The map cannot be trusted: the member stops.</summary>
    public sealed record Stop(ShardCloudException Error) : FollowerCommand;
}

/// <summary>Follows the map: applies every change once and in order. A step function; one read is under way at a time.</summary>
/// <remarks>
/// Normal: something is heard, the changes after the applied version are read and applied. Nothing is heard: a poll reads the head. What is
/// heard is hearsay, and only makes it read; only the table's own head can show that the table went back. Crash: a follower starts from a
/// loaded map. Not guaranteed: that a follower is current; whoever needs that waits for a version.
/// </remarks>
public sealed class MapFollower
{
    private readonly Func<RoutingMap, MapChange, RoutingMap> _apply;
    private MapVersion _heard;
    private bool _reading, _stopped;

    /// <summary>Follows from a loaded map.</summary>
    public MapFollower(RoutingMap start) : this(start, (map, change) => map.Apply(change)) { }

    /// <summary>For the simulation: every member applies the same change to the same map, under guards that may be off.</summary>
    internal MapFollower(RoutingMap start, Func<RoutingMap, MapChange, RoutingMap> apply) => (Current, _heard, _apply) = (start, start.Version, apply);

    /// <summary>The map with every change applied so far.</summary>
    public RoutingMap Current { get; private set; }

    /// <summary>One event in, commands out.</summary>
    public IReadOnlyList<FollowerCommand> Step(FollowerEvent happened)
    {
        if (_stopped) return [];
        switch (happened)
        {
            case FollowerEvent.Poll:
                return _reading ? [] : Read(new FollowerCommand.ReadHead(Current.Version));

            case FollowerEvent.Heard heard:
                if (heard.Version > _heard) _heard = heard.Version;
                return _reading || _heard <= Current.Version ? [] : Read(new FollowerCommand.ReadChanges(Current.Version));

            case FollowerEvent.HeadRead head:
                _reading = false;
                if (head.Version < head.AppliedAtSend) return Stop(MapStore.WentBack(head.AppliedAtSend, head.Version));
                return head.Version > Current.Version ? Read(new FollowerCommand.ReadChanges(Current.Version)) : [];

            case FollowerEvent.MapRead read:
                if (read.Map.Version <= Current.Version) return [];
                Current = read.Map;
                return [new FollowerCommand.Publish(Current)];

            case FollowerEvent.ChangesRead read:
                _reading = false;
                return Apply(read.Changes);

            case FollowerEvent.ReadFailed:
                _reading = false;
                return [];

            default:
                throw new ArgumentOutOfRangeException(nameof(happened));
        }
    }

    private List<FollowerCommand> Apply(IReadOnlyList<MapChange> changes)
    {
        var (before, commands) = (Current.Version, new List<FollowerCommand>());
        try
        {
            foreach (var change in changes.Where(c => c.Version > Current.Version)) Current = _apply(Current, change);
        }
        catch (ShardCloudException error)
        {
            return Stop(error);
        }
        if (Current.Version > before) commands.Add(new FollowerCommand.Publish(Current));
        // Heard of more while reading: read on. Without progress the rumour is dropped, or a false one would make it read for ever.
        if (_heard > Current.Version && Current.Version > before) commands.AddRange(Read(new FollowerCommand.ReadChanges(Current.Version)));
        else _heard = Current.Version;
        return commands;
    }

    private List<FollowerCommand> Read(FollowerCommand command)
    {
        _reading = true;
        return [command];
    }

    private List<FollowerCommand> Stop(ShardCloudException error)
    {
        _stopped = true;
        return [new FollowerCommand.Stop(error)];
    }
}
