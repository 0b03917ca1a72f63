using ShardCloud.Replication;
using ShardCloud.Routing;

namespace ShardCloud.Cli.Sizing;

/// <summary>What a cloud has to carry.</summary>
/// <param name="Endpoints">Endpoints that have state.</param>
/// <param name="StateBytes">Bytes of one endpoint's state.</param>
/// <param name="Writes">Requests a second that change state, all shards together.</param>
/// <param name="DeltaBytes">Bytes of one change as it is written, its completion record included.</param>
/// <param name="Members">Shards.</param>
/// <param name="Routers">Routers.</param>
/// <param name="Sockets">Open WebSockets, all routers together.</param>
/// <param name="AckMs">How long the log takes to acknowledge, in ms.</param>
internal sealed record Workload(long Endpoints, int StateBytes, double Writes, int DeltaBytes, int Members, int Routers, long Sockets, double AckMs);

/// <summary>What the log of one tier carries. Source: https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas (copies up to February 2026).</summary>
/// <param name="Name">Of the tier.</param>
/// <param name="Partitions">A hub may have.</param>
/// <param name="Units">Throughput units a namespace may have.</param>
/// <param name="Connections">A namespace may have.</param>
internal sealed record LogTier(string Name, int Partitions, int Units, int Connections)
{
    public static readonly LogTier Standard = new("Standard", 32, 40, 5_000);

    /// <summary>One unit takes in so much, whichever is first: a tenth is left for control records (docs/protocol/log.md, Budget).</summary>
    public const double RecordsInAUnit = 900, BytesInAUnit = 900_000;

    /// <summary>And gives out so much, with the same tenth left.</summary>
    public const double RecordsOutAUnit = 3_686, BytesOutAUnit = 1_800_000;

    /// <summary>One partition takes in a unit at most.</summary>
    public const double BytesAPartition = 900_000;
}

/// <summary>How large a cloud must be for a workload: arithmetic on figures that were measured here (bench/results) or are the service's limits, and on the bytes that the production codec writes.</summary>
/// <param name="Partitions">Of the Event Hub of deltas.</param>
/// <param name="ThroughputUnits">Of the namespace.</param>
/// <param name="RecordsPerSecond">Appended, all partitions together: a shard has one record of deltas in flight in each of its partitions, and what comes meanwhile gathers in the next.</param>
/// <param name="ChangesPerRecord">Changes that share one.</param>
/// <param name="InBytesPerSecond">Appended.</param>
/// <param name="OutBytesPerSecond">Read: by the owner and its backup. Twice that while the application is updated.</param>
/// <param name="Connections">To the namespace, while the application is updated.</param>
/// <param name="ShardMegabytes">Memory of one shard beside the application's own: what it owns, and what it backs up.</param>
/// <param name="RouterMegabytes">Memory of one router.</param>
/// <param name="RetainedGigabytesPerDay">What a day of the log holds.</param>
/// <param name="RenewalsPerSecond">Writes of leases to Tables.</param>
/// <param name="Limits">What does not fit, and what would help; empty: it fits the Standard tier.</param>
internal sealed record CloudSize(
    int Partitions, int ThroughputUnits, double RecordsPerSecond, double ChangesPerRecord, double InBytesPerSecond, double OutBytesPerSecond, int Connections, double ShardMegabytes, double RouterMegabytes,
    double RetainedGigabytesPerDay, double RenewalsPerSecond, IReadOnlyList<string> Limits)
{
    private const int RecordBytesMax = 64 * 1024;
    private const int Copies = 2; // Owner and backup.
    private const int CopiesInUpdate = 2; // The staging shard, and the shard of the new version that the partition goes to.
    private const int Producers = 4;
    private const double ProcessMegabytes = 60, OwnedBytes = 524, BackedUpBytes = 380; // bench/results/2026-11-25-shard-memory.md, without the state itself (40 B there).
    private const double RouterProcessMegabytes = 123, SocketKilobytes = 18; // bench/results/2026-11-30-sockets.md.
    private const double RenewEverySeconds = 3; // A fifth of the lease of 15 s.

    /// <summary>The smallest that carries it.</summary>
    public static CloudSize Of(Workload work, LogTier tier)
    {
        var (recordBytes, itemBytes) = Overhead(work.DeltaBytes);
        var inBytes = work.Writes * (itemBytes + work.DeltaBytes);
        var partitions = PowerOfTwo(Math.Max(Math.Max(4, work.Members), (int)Math.Ceiling(inBytes / LogTier.BytesAPartition)));

        // Partitions lie one behind the other over the shards, so there are at most so many pairs of a shard and a partition.
        var pairs = partitions + work.Members - 1;
        var records = Math.Max(Math.Min(work.Writes, pairs * 1_000 / work.AckMs), work.Writes * (itemBytes + work.DeltaBytes) / RecordBytesMax);
        inBytes += records * recordBytes;
        var outBytes = inBytes * Copies;
        var units = Math.Max(1, (int)Math.Ceiling(Math.Max(
            Math.Max(inBytes / LogTier.BytesInAUnit, outBytes / LogTier.BytesOutAUnit), Math.Max(records / LogTier.RecordsInAUnit, records * Copies / LogTier.RecordsOutAUnit))));

        // As many shards again while the application is updated. Producers and the control channel a shard; a consumer a partition and copy, and as much in an update; room for moves; the routers' control channel.
        var connections = 2 * work.Members * (Producers + 1) + partitions * (Copies + CopiesInUpdate) + 3 * work.Members + work.Routers;
        var owned = (double)work.Endpoints / Math.Max(1, work.Members);
        var shard = ProcessMegabytes + owned * (OwnedBytes + BackedUpBytes + Copies * work.StateBytes) / 1_000_000;
        var router = RouterProcessMegabytes + (double)work.Sockets / Math.Max(1, work.Routers) * SocketKilobytes / 1_000;

        List<string> limits = [];
        if (partitions > tier.Partitions) limits.Add($"{partitions} partitions: {tier.Name} has {tier.Partitions} a hub. Take Premium, or write less at once.");
        if (units > tier.Units) limits.Add($"{units} throughput units: {tier.Name} has {tier.Units} a namespace. Make deltas smaller, or take Premium.");
        if (connections > tier.Connections) limits.Add($"{connections} connections: {tier.Name} has {tier.Connections} a namespace. Take Premium, or fewer shards.");
        return new CloudSize(partitions, units, records, work.Writes / Math.Max(records, 1e-9), inBytes, outBytes, connections, shard, router, inBytes * 86_400 / 1e9, (work.Members + work.Routers) / RenewEverySeconds, limits);
    }

    /// <summary>What a record costs, and what each change in it costs beside its own bytes: by the production codec, for keys of some 20 characters.</summary>
    private static (int Record, int Item) Overhead(int deltaBytes)
    {
        var writer = new IncarnationId("shard-12~0123456789abcdef0123456789abcdef");
        var (one, two) = (Encoded(1), Encoded(2));
        return (2 * one - two, two - one - deltaBytes);

        int Encoded(int items) => LogRecordCodec.Encode(writer, [.. Enumerable.Range(0, items).Select(i =>
            new DeltaItem(EndpointKey.Normalise($"rooms/0123456789-{i:D4}"), Mode.Exclusive, new Epoch(100_000), 100_000, 100_000, false, new byte[deltaBytes]))]).Length;
    }

    private static int PowerOfTwo(int least)
    {
        var power = 1;
        while (power < least) power *= 2;
        return power;
    }
}
