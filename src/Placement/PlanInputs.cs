using ShardCloud.Routing;

namespace ShardCloud.Placement;

/// <summary>What a plan is for.</summary>
public enum PlanKind
{
    /// <summary>A round of a wave: to the new version.</summary>
    Wave,

    /// <summary>A round of the way back.</summary>
    Back,
}

/// <summary>A run of slots with one owner. <c>To</c>: where a handoff under way takes it; none when stable.</summary>
public readonly record struct PlanSlots(SlotRange Slots, IncarnationId Owner, IncarnationId To);

/// <summary>A placed endpoint. <c>MovedFrom</c>: the shard that this update took it from; null where it did not.</summary>
public readonly record struct PlanEndpoint(EndpointId Endpoint, IncarnationId Owner, IncarnationId To, ShardId? MovedFrom, bool IsBusy);

/// <summary>What is in use, as members told.</summary>
/// <param name="Slots">Ranges of slots with an endpoint in use that is not placed.</param>
/// <param name="Endpoints">Placed endpoints in use.</param>
/// <param name="IsWaitedFor">True: it is left for a later round; false: it moves after what is idle.</param>
public sealed record BusyEntries(IReadOnlyList<SlotRange> Slots, IReadOnlySet<EndpointId> Endpoints, bool IsWaitedFor)
{
    /// <summary>Nothing is in use, or nobody asks.</summary>
    public static readonly BusyEntries None = new([], new HashSet<EndpointId>(), false);
}

/// <summary>All that <see cref="UpdatePlanner"/> looks at: the same inputs give the same plan, byte for byte, wherever and whenever they are planned again.</summary>
/// <remarks>What a map says beyond it (epochs, addresses, templates, backups) decides nothing. Endpoints of rehearsals are left out: nobody uses them, and no plan counts them.</remarks>
public sealed class PlanInputs
{
    /// <summary>What it is for.</summary>
    public required PlanKind Kind { get; init; }

    /// <summary>Version of the map.</summary>
    public required MapVersion Map { get; init; }

    /// <summary>Event Hub partitions.</summary>
    public required int PartitionCount { get; init; }

    /// <summary>Of a wave: version of the application that gives; else empty.</summary>
    public required string From { get; init; }

    /// <summary>Of a wave: how much is to be at the new version after it, 1 to 100; else 0.</summary>
    public required int Percent { get; init; }

    /// <summary>Of the way back: shards that give, in the order of their names; else none.</summary>
    public required IReadOnlyList<ShardId> Leaving { get; init; }

    /// <summary>Shards that take, at least one, in the order in which they are given something.</summary>
    public required IReadOnlyList<ShardId> To { get; init; }

    /// <summary>Live incarnations and their version of the application, in the order of their ids.</summary>
    public required IReadOnlyList<(IncarnationId Incarnation, string Version)> Live { get; init; }

    /// <summary>Slots that have an owner, from the first to the last.</summary>
    public required IReadOnlyList<PlanSlots> Slots { get; init; }

    /// <summary>Placed endpoints, by their names.</summary>
    public required IReadOnlyList<PlanEndpoint> Placed { get; init; }

    /// <summary>Slots that this update has moved, and whence.</summary>
    public required IReadOnlyList<(SlotRange Slots, ShardId From)> MovedSlots { get; init; }

    /// <summary>Slots in use, ascending, none twice.</summary>
    public required IReadOnlyList<SlotRange> BusySlots { get; init; }

    /// <summary>Whether what is in use is left for a later round.</summary>
    public required bool IsBusyWaitedFor { get; init; }

    /// <summary>Inputs of a round of a wave.</summary>
    /// <param name="map">The map now.</param>
    /// <param name="from">Version of the application that gives.</param>
    /// <param name="to">Shards of the new version that take, at least one.</param>
    /// <param name="moved">What this update has moved so far.</param>
    /// <param name="percent">How much is to be at the new version after it, 1 to 100.</param>
    /// <param name="busy">What is in use; null: nobody asks.</param>
    public static PlanInputs Wave(RoutingMap map, string from, IReadOnlyList<ShardId> to, MovedEntries moved, int percent, BusyEntries? busy = null) =>
        Of(PlanKind.Wave, map, from, percent, [], to, moved, busy ?? BusyEntries.None);

    /// <summary>Inputs of a round of the way back.</summary>
    /// <param name="map">The map now.</param>
    /// <param name="leaving">Shards of the new version.</param>
    /// <param name="to">Shards of the old version that take, at least one.</param>
    /// <param name="moved">What this update has moved.</param>
    public static PlanInputs Back(RoutingMap map, IReadOnlySet<ShardId> leaving, IReadOnlyList<ShardId> to, MovedEntries moved) =>
        Of(PlanKind.Back, map, "", 0, [.. leaving.Order(ShardId.InOrder)], to, moved, BusyEntries.None);

    private static PlanInputs Of(PlanKind kind, RoutingMap map, string from, int percent, IReadOnlyList<ShardId> leaving, IReadOnlyList<ShardId> to, MovedEntries moved, BusyEntries busy)
    {
        var isBusy = new bool[Slot.Count];
        foreach (var slots in busy.Slots) isBusy.AsSpan(slots.First, slots.Count).Fill(true);
        return new PlanInputs
        {
            Kind = kind,
            Map = map.Version,
            PartitionCount = map.PartitionCount,
            From = from,
            Percent = percent,
            Leaving = leaving,
            To = to,
            Live = [.. map.Live.Values.Select(member => (member.Incarnation, member.ApplicationVersion)).OrderBy(member => member.Incarnation.Value, StringComparer.Ordinal)],
            Slots = [.. map.SlotRuns.Select(run => new PlanSlots(run.Slots, run.Entry.Owner, run.Entry.IsMigrating ? run.Entry.To : IncarnationId.None))],
            Placed =
            [
                .. map.Placed.Where(placed => !RehearsalEndpoint.Is(placed.Endpoint)).OrderBy(placed => placed.Endpoint.Value, StringComparer.Ordinal).Select(placed => new PlanEndpoint(
                    placed.Endpoint, placed.Entry.Owner, placed.Entry.IsMigrating ? placed.Entry.To : IncarnationId.None, moved.From(placed.Endpoint), busy.Endpoints.Contains(placed.Endpoint))),
            ],
            MovedSlots = [.. Runs(SlotRange.All, moved.From).Where(run => run.Value is not null).Select(run => (run.Slots, run.Value!.Value))],
            BusySlots = [.. Runs(SlotRange.All, slot => isBusy[slot]).Where(run => run.Value).Select(run => run.Slots)],
            IsBusyWaitedFor = busy.IsWaitedFor,
        };
    }

    /// <summary>A range as the fewest runs of equal values.</summary>
    internal static IEnumerable<(SlotRange Slots, T Value)> Runs<T>(SlotRange range, Func<int, T> valueOf)
    {
        for (var first = range.First; first < range.End;)
        {
            var (value, end) = (valueOf(first), first + 1);
            while (end < range.End && EqualityComparer<T>.Default.Equals(valueOf(end), value)) end++;
            yield return (new SlotRange(first, end - first), value);
            first = end;
        }
    }
}
