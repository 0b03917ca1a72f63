using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using ShardCloud.Routing;

namespace ShardCloud.Model.Tests;

/// <summary>A version of the map with the way that led to it: the production map and its rules. Shared by all worlds that took the same way.</summary>
internal sealed class ModelMap
{
    private readonly ConcurrentDictionary<string, ModelMap?> _next = new(StringComparer.Ordinal);
    private readonly Guards _guards;
    private static readonly ConditionalWeakTable<RoutingMap, ConcurrentDictionary<IncarnationId, IReadOnlyList<IGrouping<Epoch, (EntryKey Key, MapEntry Entry)>>>> Owned = [];

    private ModelMap(RoutingMap map, ModelMap? before, MapCommit? commit, Guards guards) => (Map, Before, Commit, _guards, Way) = (map, before, commit, guards, before is null ? "" : $"{before.Way}|{Say(commit!)}");

    public RoutingMap Map { get; }

    public ModelMap? Before { get; }

    /// <summary>The commit that made this version.</summary>
    public MapCommit? Commit { get; }

    /// <summary>All commits so far: equal for equal maps.</summary>
    public string Way { get; }

    public static ModelMap Empty(int partitions, Guards guards) => new(RoutingMap.Empty(partitions, "log"), null, null, guards);

    /// <summary>The compare-and-swap on this head; null when its preconditions do not hold.</summary>
    public ModelMap? Then(MapCommit commit) => _next.GetOrAdd(Say(commit), _ =>
        Map.Check(commit, _guards) is null ? new ModelMap(Map.Apply(new MapChange(Map.Version.Next, DateTimeOffset.UnixEpoch, commit), _guards), this, commit, _guards) : null);

    /// <summary>What an incarnation owns, by epoch; a pass over all slots, so once a map.</summary>
    public static IReadOnlyList<IGrouping<Epoch, (EntryKey Key, MapEntry Entry)>> OwnedBy(RoutingMap map, IncarnationId owner) =>
        Owned.GetOrCreateValue(map).GetOrAdd(owner, _ => [.. map.OwnedBy(owner).GroupBy(owned => owned.Entry.Epoch)]);

    /// <summary>The version that follows an older one on the way to this.</summary>
    public ModelMap After(MapVersion version)
    {
        var at = this;
        while (at.Before!.Map.Version > version) at = at.Before;
        return at;
    }

    /// <summary>The commit that made a version on the way to this.</summary>
    public MapCommit? CommitAt(MapVersion version)
    {
        for (var at = this; at is not null; at = at.Before)
            if (at.Map.Version == version) return at.Commit;
        return null;
    }

    public static string Say(MapCommit commit) => string.Join(", ", commit.Operations.Select(operation => operation switch
    {
        Join o => $"{o.Member.Incarnation.Shard} joins",
        GrantSlots o => $"slots granted to {o.Owner.Shard}",
        PlanMove o => $"{Say(o.Entries)} migrating {o.From.Shard} -> {o.To.Shard}",
        GrantMove o => $"{Say(o.Entries)} granted to {o.To.Shard} by handoff {o.Handoff.Value}",
        CancelMove o => $"handoff {o.Handoff.Value} cancelled",
        ReGrant o => $"{Say(o.Entries)} granted to {o.Owner.Shard} again",
        ReturnToSlot => "the endpoint returned to its slot",
        Fence o => $"{o.Incarnation.Shard} fenced",
        Redirect o => $"all of {o.From.Shard} redirected to {o.To.Shard}",
        SetBackup o => $"{(o.Backup.IsNone ? "nobody" : o.Backup.Shard)} named backup of {o.Owner.Shard}",
        MarkReady o => $"{o.Incarnation.Shard} marked ready",
        _ => operation.GetType().Name,
    }));

    private static string Say(IReadOnlyList<EntryKey> entries) => entries.Any(entry => entry.IsEndpoint) ? "the endpoint" : "the slots";
}
