using System.Text.Json.Serialization;

namespace ShardCloud.Routing;

/// <summary>One step of a commit. Operations of a commit take effect in order, each on what the ones before it left.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "op")]
[JsonDerivedType(typeof(GrantSlots), "grantSlots")]
[JsonDerivedType(typeof(PlanMove), "plan")]
[JsonDerivedType(typeof(GrantMove), "grant")]
[JsonDerivedType(typeof(CancelMove), "cancel")]
[JsonDerivedType(typeof(ReGrant), "regrant")]
[JsonDerivedType(typeof(ReturnToSlot), "return")]
[JsonDerivedType(typeof(Join), "join")]
[JsonDerivedType(typeof(MarkReady), "ready")]
[JsonDerivedType(typeof(Fence), "fence")]
[JsonDerivedType(typeof(Redirect), "redirect")]
[JsonDerivedType(typeof(SetBackup), "backup")]
[JsonDerivedType(typeof(PublishTemplates), "templates")]
[JsonDerivedType(typeof(Cordon), "cordon")]
[JsonDerivedType(typeof(RaiseLevel), "level")]
public abstract record MapOperation
{
    /// <summary>How many entries it changes, towards <see cref="MapCommit.EntriesMax"/>.</summary>
    [JsonIgnore]
    public virtual int EntryCount => 0;
}

/// <summary>First grant of slots that nobody owns (bootstrap).</summary>
public sealed record GrantSlots(SlotRange Slots, IncarnationId Owner) : MapOperation
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override int EntryCount => 1;
}

/// <summary>Step 1 of a handoff: sets Migrating. The handoff's id is the version of the commit. An endpoint that is not placed is placed by it, at its slot's owner and epoch.</summary>
public sealed record PlanMove(IReadOnlyList<EntryKey> Entries, IncarnationId From, IncarnationId To) : MapOperation
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override int EntryCount => Entries.Count;
}

/// <summary>Step 6 of a handoff, the point of no return: only while migrating by this handoff. The epoch is the version of the commit.</summary>
public sealed record GrantMove(HandoffId Handoff, IReadOnlyList<EntryKey> Entries, IncarnationId To) : MapOperation
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override int EntryCount => Entries.Count;
}

/// <summary>Before step 6: back to stable at the old owner and epoch; only while migrating by this handoff.</summary>
public sealed record CancelMove(HandoffId Handoff, IReadOnlyList<EntryKey> Entries) : MapOperation
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override int EntryCount => Entries.Count;
}

/// <summary>A new epoch for entries that the owner has already (after a failed append), or whose owner is not live any more.</summary>
public sealed record ReGrant(IReadOnlyList<EntryKey> Entries, IncarnationId Owner) : MapOperation
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override int EntryCount => Entries.Count;
}

/// <summary>Placed endpoints follow their slot again; only onto the slot's owner. The same commit grants each of the slots a new epoch.</summary>
public sealed record ReturnToSlot(IReadOnlyList<EndpointId> Endpoints) : MapOperation
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override int EntryCount => Endpoints.Count;
}

/// <summary>Puts an incarnation on the live list.</summary>
public sealed record Join(LiveMember Member) : MapOperation;

/// <summary>The incarnation is warm and healthy; or it stops, and nobody gives it anything more.</summary>
public sealed record MarkReady(IncarnationId Incarnation, bool IsReady = true) : MapOperation;

/// <summary>Takes an incarnation off the live list for good: it never joins and is never granted anything again.</summary>
public sealed record Fence(IncarnationId Incarnation) : MapOperation;

/// <summary>Take-over in one commit: all that a fenced incarnation owns (in these partitions) is granted to another.</summary>
/// <param name="From">Fenced.</param>
/// <param name="To">Live.</param>
/// <param name="Partitions">Event Hub partitions; null for all. A taker leaves out those for which it is incomplete.</param>
public sealed record Redirect(IncarnationId From, IncarnationId To, IReadOnlyList<int>? Partitions = null) : MapOperation;

/// <summary>Names the backup of what an owner has in a partition; <see cref="IncarnationId.None"/> for none.</summary>
public sealed record SetBackup(int Partition, IncarnationId Owner, IncarnationId Backup) : MapOperation;

/// <summary>Templates of an application version. Live versions must agree on the key of every path.</summary>
public sealed record PublishTemplates(string ApplicationVersion, IReadOnlyList<TemplateSpec> Templates) : MapOperation;

/// <summary>Marks a shard's live incarnations: planners give a cordoned shard nothing new.</summary>
public sealed record Cordon(ShardId Shard, bool IsCordoned) : MapOperation;

/// <summary>Raises the cloud to the next protocol level, once every live shard has it. There is no way back: what was written since may be unreadable below it.</summary>
/// <param name="Level">The present one and one.</param>
public sealed record RaiseLevel(int Level) : MapOperation;

/// <summary>What one commit does and why.</summary>
/// <param name="Cause">Which protocol, e.g. <c>bootstrap</c>, <c>migrate-2026…</c>, <c>take-over</c>.</param>
/// <param name="Reason">Why, for people.</param>
/// <param name="Operations">In order.</param>
public sealed record MapCommit(string Cause, string Reason, IReadOnlyList<MapOperation> Operations)
{
    /// <summary>Most entries of a commit (slot ranges and placed endpoints).</summary>
    public const int EntriesMax = 97;

    /// <summary>Entries it changes.</summary>
    [JsonIgnore]
    public int EntryCount => Operations.Sum(o => o.EntryCount);
}

/// <summary>A row of the map's change log.</summary>
/// <param name="Version">Version of the map after it; also the epoch of every grant, and the id of every handoff, in it.</param>
/// <param name="At">When, by the committer's clock: for people only.</param>
/// <param name="Commit">What and why.</param>
public sealed record MapChange(MapVersion Version, DateTimeOffset At, MapCommit Commit);
