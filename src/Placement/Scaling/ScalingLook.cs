using ShardCloud.Placement.Affinity;

namespace ShardCloud.Placement.Scaling;

/// <summary>A shard that can own endpoints, at one look.</summary>
/// <param name="Id">Which.</param>
/// <param name="Load">What it carries; null where it did not say.</param>
/// <param name="Capacity">The most of each load it can carry; infinity where there is no limit.</param>
/// <param name="IsNeeded">True: it must stay, as an endpoint is pinned to it.</param>
public sealed record ScalingShard(ShardId Id, EndpointLoad? Load, EndpointLoad Capacity, bool IsNeeded = false);

/// <summary>All shards at a time. <c>Held</c>: why nothing may be changed now; null: it may.</summary>
public sealed record ScalingLook(DateTimeOffset At, IReadOnlyList<ScalingShard> Shards, string? Held = null);

/// <summary>What is remembered from look to look.</summary>
/// <param name="High">Looks in a row above the high mark.</param>
/// <param name="Low">Looks in a row at which one shard less would have been below the low mark.</param>
/// <param name="ChangedAt">When the number was changed last.</param>
/// <param name="HasFailed">That change failed.</param>
public readonly record struct ScalingMemory(int High, int Low, DateTimeOffset? ChangedAt = null, bool HasFailed = false);
