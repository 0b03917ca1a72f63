namespace ShardCloud.Placement.Rebalancing;

/// <summary>What a placement is to keep to.</summary>
public sealed record PlacementPolicy
{
    /// <summary>How far a shard's load may be above its share: 0.05 is 5 %. Above 0, at most 1.</summary>
    public double Imbalance { get; init; } = 0.05;

    /// <summary>Share of the endpoints that one round may move. Above 0, at most 1.</summary>
    public double MoveBudget { get; init; } = 0.05;

    /// <summary>An endpoint that was moved stays where it is for so long.</summary>
    public TimeSpan CoolDown { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>A move must save at least so much of all that the endpoints it moves exchange, or better the balance; else traffic that only wavers would move them to and fro (hysteresis). 0 to 1.</summary>
    public double GainMin { get; init; } = 0.1;

    /// <summary>A placement is good enough, and rests, while all moves that are left to make for traffic would save together less than so much of all traffic. 0 to 1; 0: it never rests before it must.</summary>
    public double RestBelow { get; init; } = 0.005;

    /// <summary>What one move costs, in accesses a second that it must save beside: the objective is cut weight and so much for each move. 0 or more.</summary>
    public double MoveCost { get; init; } = 0.01;

    /// <summary>Endpoints that stay at a shard, by name.</summary>
    public IReadOnlyDictionary<EndpointId, ShardId> Pins { get; init; } = new Dictionary<EndpointId, ShardId>();

    /// <summary>Groups of endpoints of which no two may be at one shard.</summary>
    public IReadOnlyList<IReadOnlyList<EndpointId>> Apart { get; init; } = [];

    /// <summary>Shards that may own something of one Event Hub partition, 1 or more; a partition that more own today may stay so. Each of them reads all of the partition and holds a replica of it: without a limit every
    /// shard of a cloud whose endpoints are placed one by one would hold the whole state.</summary>
    public int ReadersMax { get; init; } = 16;

    /// <summary>Seed of all that is chosen by chance.</summary>
    public ulong Seed { get; init; } = 1;
}
