namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>Where the map, at one version, has the batch of a handoff.</summary>
public enum BatchStanding
{
    /// <summary>With the source, <c>Migrating</c> by this handoff.</summary>
    Migrating,

    /// <summary>With the source under the epoch it had, not <c>Migrating</c> at all: this handoff was cancelled, or is not planned yet.</summary>
    AtSource,

    /// <summary>With the source under the epoch it had, <c>Migrating</c> to the same destination by another attempt.</summary>
    Replanned,

    /// <summary>With the destination, under an epoch newer than the plan.</summary>
    AtDestination,

    /// <summary>Anywhere else, for example redirected because the source was fenced.</summary>
    Elsewhere,
}

/// <summary>What one version of the map says about a batch. A batch is planned, granted and cancelled in one commit, so it stands in one place.</summary>
/// <param name="Version">Version of the map that was looked at.</param>
/// <param name="Standing">Where the batch is.</param>
/// <param name="Epoch">Epoch of the batch where it is <see cref="BatchStanding.AtDestination"/>: the version of the granting commit.</param>
/// <param name="Attempt">Handoff that the entries are <c>Migrating</c> by, or none.</param>
/// <param name="IsSourceLive">The source is on the map's live list.</param>
/// <param name="IsDestinationLive">The destination is on the map's live list.</param>
/// <param name="IsByThisHandoff">Whether the granting commit is this handoff's, and not a take-over or another attempt that happened to name the destination. Null: it was not read.</param>
public readonly record struct BatchView(
    MapVersion Version, BatchStanding Standing, Epoch Epoch = default, HandoffId Attempt = default,
    bool IsSourceLive = true, bool IsDestinationLive = true, bool? IsByThisHandoff = null);
