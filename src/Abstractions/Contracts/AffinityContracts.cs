namespace ShardCloud.Contracts;

#pragma warning disable CS1591 // Wire records: docs/api/openapi.yaml explains each field.

/// <summary>Two endpoints that are used together, and the shards that own them.</summary>
public sealed record UsedTogether(string A, string B, double PerSecond, string? ShardOfA, string? ShardOfB, bool Crosses);

/// <summary>What a shard's endpoints cost it, and how much of their use together stays at it (<c>within</c>) or goes to other shards (<c>crossing</c>), in accesses a second.</summary>
public sealed record ShardUse(string Shard, int Endpoints, double Requests, double Cpu, double Bytes, double Connections, double StateBytes, double Within, double Crossing);

/// <summary>A member in office whose observations are missing.</summary>
public sealed record MissingMember(string Member, string Why);

/// <summary>The affinity map as of now, under today's owners. <c>version</c>: of the stored map that it goes on from, 0: none. <c>crossingShare</c>: share of the edges' weight whose two ends are at different shards,
/// 0 to 1. <c>calls</c>: those between endpoints that the live incarnations have made since they started, counted one by one.</summary>
public sealed record AffinityView(
    long Version, DateTimeOffset At, double HalfLifeSeconds, int Endpoints, int Edges, double PerSecond, double CrossingShare, MemberCalls Calls, IReadOnlyList<UsedTogether> Top,
    IReadOnlyList<ShardUse> Shards, IReadOnlyList<MissingMember> LeftOut, long MapVersion);
