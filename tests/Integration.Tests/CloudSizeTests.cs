using ShardCloud.Cli.Sizing;

namespace ShardCloud.Integration.Tests;

public sealed class CloudSizeTests
{
    private static readonly Workload Small = new(Endpoints: 100_000, StateBytes: 200, Writes: 1_000, DeltaBytes: 200, Members: 3, Routers: 2, Sockets: 0, AckMs: 40);

    [Fact]
    public void Small_IsAUnitAndFourPartitions()
    {
        var size = CloudSize.Of(Small, LogTier.Standard);

        Assert.Equal((4, 1), (size.Partitions, size.ThroughputUnits));
        Assert.Equal((150.0, 1_000.0 / 150), (size.RecordsPerSecond, size.ChangesPerRecord)); // Four partitions over three shards are six pairs at most, each with 25 records a second.
        Assert.InRange(size.InBytesPerSecond, 1_000 * 200, 1_000 * 280);
        Assert.Empty(size.Limits);
    }

    [Fact]
    public void AMillionEndpointsInOneShard_TakeWhatWasMeasured() => // 576 MB owned and 430 MB backed up, of which the process is there once; 40 B of state each.
        Assert.InRange(CloudSize.Of(Small with { Endpoints = 1_000_000, Members = 1, StateBytes = 1 }, LogTier.Standard).ShardMegabytes, 900, 1_000);

    [Theory]
    [InlineData(40_000, 1_000, 3, "throughput units")]
    [InlineData(100_000, 500, 3, "partitions")]
    [InlineData(1_000, 200, 600, "connections")]
    public void WhatTheTierCannotCarry_IsSaid(double writes, int deltaBytes, int members, string what) =>
        Assert.Contains(CloudSize.Of(Small with { Writes = writes, DeltaBytes = deltaBytes, Members = members }, LogTier.Standard).Limits, limit => limit.Contains(what, StringComparison.Ordinal));

    [Fact]
    public void MoreOfAnything_IsNeverSmaller()
    {
        var grown = new[] { Small, Small with { Writes = 5_000 }, Small with { Writes = 5_000, DeltaBytes = 400 }, Small with { Writes = 5_000, DeltaBytes = 400, Members = 12 } }.Select(work => CloudSize.Of(work, LogTier.Standard)).ToList();

        Assert.All(grown.Zip(grown.Skip(1)), pair => Assert.True(pair.First.Partitions <= pair.Second.Partitions && pair.First.ThroughputUnits <= pair.Second.ThroughputUnits && pair.First.Connections <= pair.Second.Connections));
    }
}
