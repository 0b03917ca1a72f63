using ShardCloud.Contracts;
using ShardCloud.Routing;

namespace ShardCloud.Placement;

/// <summary>What the map says of a batch. Pure: the map alone decides where a handoff stands, whatever members and histories remember.</summary>
public static class BatchSurvey
{
    /// <summary>Where a batch stands in one map.</summary>
    public enum Standing
    {
        /// <summary>The source owns every entry and nothing moves them.</summary>
        AtSource,

        /// <summary>Every entry is under way to the destination by <see cref="Result.Handoff"/>; by whom, its log row says.</summary>
        UnderWay,

        /// <summary>The destination owns every entry, since <see cref="Result.Version"/>.</summary>
        AtDestination,

        /// <summary>Something else has an entry: the log row of <see cref="Result.Version"/> says what.</summary>
        Elsewhere,
    }

    /// <summary>The standing, with the handoff and the version that explains it.</summary>
    public readonly record struct Result(Standing Standing, HandoffId Handoff, MapVersion Version);

    /// <summary>The entries of a batch.</summary>
    public static IReadOnlyList<EntryKey> Entries(MigrationBatch batch) => [.. batch.Entries.Select(EntryKey.Parse)];

    /// <summary>Looks every entry up.</summary>
    public static Result Of(RoutingMap map, IReadOnlyList<EntryKey> entries, IncarnationId from, IncarnationId to)
    {
        var found = entries.SelectMany(map.Effective).ToList();
        if (found.All(entry => entry is { IsMigrating: false } && entry.Owner == from)) return new(Standing.AtSource, HandoffId.None, map.Version);
        if (found.All(entry => entry is not null && entry.IsMigrating && entry.Owner == from && entry.To == to && entry.Handoff == found[0]!.Handoff))
            return new(Standing.UnderWay, found[0]!.Handoff, found[0]!.Handoff.PlannedAt);
        if (found.All(entry => entry is not null && entry.Owner == to))
            return new(Standing.AtDestination, HandoffId.None, found.Max(entry => entry!.Epoch).GrantedAt);

        // The first entry that is not where the plan expects it names who was faster.
        var strange = found.FirstOrDefault(entry => entry is not null && (entry.IsMigrating || entry.Owner != from));
        return new(Standing.Elsewhere, HandoffId.None, strange is null ? MapVersion.None : strange.IsMigrating ? strange.Handoff.PlannedAt : strange.Epoch.GrantedAt);
    }

    /// <summary>True when the batch has had its handoff and the map shows it at the destination.</summary>
    public static bool IsGranted(RoutingMap map, MigrationBatch batch) => batch.Handoff is not null
        && Of(map, Entries(batch), new IncarnationId(batch.From), new IncarnationId(batch.To)).Standing == Standing.AtDestination;

    /// <summary>The version by which a handoff was granted; null where it was not. A grant that nobody looked at stays one, whoever took over or moved on since.</summary>
    /// <param name="handoff">The attempt.</param>
    /// <param name="since">All changes after its plan.</param>
    public static MapVersion? GrantOf(HandoffId handoff, IEnumerable<MapChange> since) =>
        since.FirstOrDefault(change => change.Commit.Operations.Any(operation => operation is GrantMove grant && grant.Handoff == handoff))?.Version;

    // A range may have come apart since it was planned: every slot counts.
    private static IEnumerable<MapEntry?> Effective(this RoutingMap map, EntryKey key) => key.IsEndpoint
        ? [map.Lookup(key.Endpoint)]
        : Enumerable.Range(key.Slots.First, key.Slots.Count).Select(slot => map.LookupSlot(new Slot((ushort)slot))).Distinct();
}
