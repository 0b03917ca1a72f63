namespace ShardCloud.Routing;

/// <summary>What a commit may do, judged on the effective entries of exactly the head version that it is built on.</summary>
internal static class MapRules
{
    public static ShardCloudException? Check(MapBuilder map, MapOperation operation, Guards guards) => operation switch
    {
        GrantSlots o => Live(map, o.Owner, guards) ?? Keys(map, [EntryKey.Of(o.Slots)], e => e is null ? null : $"is granted to {e.Owner} already"),
        PlanMove o => Move(map, o, guards),
        GrantMove o => Live(map, o.To, guards)
            ?? Keys(map, o.Entries, e => e is { IsMigrating: true } && e.Handoff == o.Handoff && e.To == o.To ? null : $"is not migrating by {o.Handoff} to {o.To}: {Say(e)}"),
        CancelMove o => Keys(map, o.Entries, e => e is { IsMigrating: true } && e.Handoff == o.Handoff ? null : $"is not migrating by {o.Handoff}: {Say(e)}"),
        ReGrant o => Live(map, o.Owner, guards)
            ?? Keys(map, o.Entries, e => e is null ? "was never granted" : e.Owner == o.Owner || !map.Live.ContainsKey(e.Owner) ? null : $"has a live owner: {Say(e)}"),
        ReturnToSlot o => Keys(map, [.. o.Endpoints.Select(EntryKey.Of)], e => e is { IsMigrating: false } ? null : $"is on the move: {Say(e)}") ?? Return(map, o),
        Join o => Join(map, o.Member, guards),
        MarkReady o => Live(map, o.Incarnation, guards),
        Fence o => map.Live.ContainsKey(o.Incarnation) ? null : NotLive(o.Incarnation),
        Redirect o => Redirect(map, o, guards),
        SetBackup o => Backup(map, o, guards),
        PublishTemplates o => Templates(map, o),
        RaiseLevel o => CloudLevel.WhyNotRaised(o.Level, map.Level, Releases(map)),
        _ => null,
    };

    private static ShardCloudException? Move(MapBuilder map, PlanMove plan, Guards guards)
    {
        if (plan.From == plan.To) return Refuse($"The move goes from {plan.From} to itself.");
        return Live(map, plan.From, guards) ?? Live(map, plan.To, guards)
            ?? Keys(map, plan.Entries, e => e is { IsMigrating: false } && e.Owner == plan.From ? null : $"is not stable at {plan.From}: {Say(e)}")
            ?? plan.Entries.Where(k => k.IsEndpoint && map.PlacedAt(k.Endpoint.KeyHash) is { } placed && placed.Endpoint != k.Endpoint)
                .Select(k => Refuse($"Endpoint '{k}' has the key hash of the placed endpoint '{map.PlacedAt(k.Endpoint.KeyHash)!.Value.Endpoint}'.")).FirstOrDefault();
    }

    private static ShardCloudException? Return(MapBuilder map, ReturnToSlot back)
    {
        foreach (var endpoint in back.Endpoints)
        {
            var slot = map.SlotEntry(endpoint.Slot.Value);
            if (map.PlacedAt(endpoint.KeyHash) is not { } placed) return Refuse($"Endpoint '{endpoint}' is not placed.");
            if (slot is not { IsMigrating: false } || slot.Owner != placed.Entry!.Owner) return Refuse($"Endpoint '{endpoint}' can return only onto its slot's owner; its slot is {Say(slot)}.");
        }
        return null;
    }

    private static ShardCloudException? Join(MapBuilder map, LiveMember member, Guards guards)
    {
        if (guards.HasFlag(Guards.G14) && map.IsFenced(member.Incarnation))
            return new ShardCloudException(ErrorCodes.Fenced, $"{member.Incarnation} was fenced.", "Start it again: a new start is a new incarnation.");
        if (CloudLevel.Refusal(member.Incarnation.Value, member.Release ?? CloudRelease.First, map.Level, Releases(map)) is { } tooFar) return tooFar;
        return map.Published.TryGetValue(member.ApplicationVersion, out var templates) ? Agree(map, member.ApplicationVersion, templates) : null;
    }

    private static IEnumerable<(string Who, CloudRelease Release)> Releases(MapBuilder map) => map.Live.Values.Select(member => (member.Incarnation.Value, member.Release ?? CloudRelease.First));

    private static ShardCloudException? Redirect(MapBuilder map, Redirect redirect, Guards guards)
    {
        if (guards.HasFlag(Guards.G14) && map.Live.ContainsKey(redirect.From))
            return Refuse($"{redirect.From} is live; only what a fenced incarnation owns is redirected.");
        return redirect.Partitions?.FirstOrDefault(p => p < 0 || p >= map.PartitionCount, -1) is >= 0 and var bad
            ? Refuse($"There is no partition {bad}; there are {map.PartitionCount}.")
            : Live(map, redirect.To, guards);
    }

    private static ShardCloudException? Backup(MapBuilder map, SetBackup set, Guards guards)
    {
        if (set.Partition < 0 || set.Partition >= map.PartitionCount) return Refuse($"There is no partition {set.Partition}; there are {map.PartitionCount}.");
        if (set.Backup.IsNone) return null;
        return set.Backup == set.Owner ? Refuse($"{set.Owner} cannot be its own backup.") : Live(map, set.Owner, guards) ?? Live(map, set.Backup, guards);
    }

    private static ShardCloudException? Templates(MapBuilder map, PublishTemplates publish)
    {
        try
        {
            return Agree(map, publish.ApplicationVersion, new TemplateTable(publish.Templates));
        }
        catch (ShardCloudException bad)
        {
            return bad;
        }
    }

    // Two live versions must give every path the same key, or one endpoint would have two owners.
    private static ShardCloudException? Agree(MapBuilder map, string version, TemplateTable templates)
    {
        foreach (var other in map.Live.Values.Select(m => m.ApplicationVersion).Distinct(StringComparer.Ordinal))
            if (map.Published.TryGetValue(other, out var theirs) && templates.ConflictWith(theirs) is { } conflict)
                return new ShardCloudException(ErrorCodes.TemplateConflict,
                    $"Template '{conflict.Mine.Pattern}' ({conflict.Mine.Mode}) of version {version} and '{conflict.Theirs.Pattern}' ({conflict.Theirs.Mode}) of the live version {other} name one path by two keys or modes.",
                    "Keep live templates as they are; give new kinds of endpoints a path of their own.");
        return null;
    }

    // G14: a commit names only incarnations that this very version lists as live. A destination that was fenced between verify and grant
    // would otherwise make itself owner after its replacement found nothing to take over: nobody would serve, ever.
    private static ShardCloudException? Live(MapBuilder map, IncarnationId incarnation, Guards guards) =>
        map.Live.ContainsKey(incarnation) || !guards.HasFlag(Guards.G14) ? null : NotLive(incarnation);

    private static ShardCloudException? Keys(MapBuilder map, IReadOnlyList<EntryKey> keys, Func<MapEntry?, string?> refusal)
    {
        if (keys.Count == 0) return Refuse("The operation names no entry.");
        foreach (var key in keys)
        {
            MapEntry? last = null;
            var first = true;
            foreach (var entry in map.EntriesOf(key))
            {
                if (!first && ReferenceEquals(entry, last)) continue;
                if (refusal(entry) is { } why) return Refuse($"'{key}' {why}.");
                (last, first) = (entry, false);
            }
        }
        return null;
    }

    private static string Say(MapEntry? entry) => entry switch
    {
        null => "granted to nobody",
        { IsMigrating: true } => $"migrating from {entry.Owner} ({entry.Epoch}) to {entry.To} by {entry.Handoff}",
        _ => $"stable at {entry.Owner} ({entry.Epoch})",
    };

    private static ShardCloudException NotLive(IncarnationId incarnation) => new(ErrorCodes.NotLive,
        $"{incarnation} is not on the map's live list.", "Name a live incarnation: it was fenced, has left, or has not joined yet.");

    private static ShardCloudException Refuse(string what) => new(ErrorCodes.PreconditionFailed, what, "Read the map again and decide anew.");
}
