using ShardCloud.Bench.Faults;
using ShardCloud.Integration.Tests;

namespace ShardCloud.Faults.Tests;

/// <summary>Faults of members on real processes, under load; <c>bench/Faults --members</c> runs them for longer. The table they belong to: docs/dependencies.md.</summary>
[Collection(Cloud.Collection)]
public sealed class MemberFaultTests(ITestOutputHelper output, GatedCloud gated) : IClassFixture<GatedCloud>
{
    /// <summary>SIGSTOP for three leases, then SIGCONT: its backup serves meanwhile, and what it says when it wakes it does not say as owner.</summary>
    [Fact]
    public async Task Owner_SleepsThroughItsLease_ServesNothingWhenItWakes_AndNothingIsLost()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Processes cannot be frozen on Windows.");

        var report = await Run(gated.Cloud, GatedCloud.Lease, "frozen").FreezeAsync(rounds: 5, TestContext.Current.CancellationToken);

        Check(report);
        Assert.Equal(0, report.AnsweredAsOwner);
        Assert.True(report.TakeOvers > 0, "nobody was taken over");
    }

    /// <summary>One owner cut off for three leases, each time from something else. Whoever must serve does, and it heals without an operator.</summary>
    [Theory]
    [InlineData("storage", 1)]
    [InlineData("log", 1)]
    [InlineData("peers", 0)]
    [InlineData("all", 1)]
    public async Task Owner_CutOff_NothingFailsAndNothingIsLost(string from, int takeOvers)
    {
        var report = await Run(gated.Cloud, GatedCloud.Lease, from).CutAsync(from, seconds: 6, everybody: false, TestContext.Current.CancellationToken);

        Check(report);
        Assert.Equal(takeOvers, report.TakeOvers);
    }

    /// <summary>Tables and blobs out of everybody's reach for 5 s, at Azure's lease of 15 s: nobody is taken over, and no client notices.</summary>
    [Fact]
    public async Task Storage_OutOfReachForAll_WithinTheLease_IsNoFailover()
    {
        var lease = TimeSpan.FromSeconds(15);
        await using var cloud = await Cloud.StartAsync(gates: true, lease: lease);

        var report = await Run(cloud, lease, "all").CutAsync("storage", seconds: 5, everybody: true, TestContext.Current.CancellationToken);

        Check(report);
        Assert.Equal(0, report.TakeOvers);
    }

    private MemberFaults Run(Cloud cloud, TimeSpan lease, string rooms) =>
        new(cloud.Stack, cloud.Api, requestsPerSecond: 50, Enumerable.Range(1, 12).Select(number => $"{rooms}-{number}"), lease, output.WriteLine);

    private void Check(MemberFaultReport report)
    {
        output.WriteLine($"{report}");
        Assert.Empty(report.Problems);
        Assert.Equal((0, 0, 0), (report.Failed, report.Lost, report.Duplicated));
        Assert.True(report.Sent > 100, $"only {report.Sent} requests were sent");
    }
}

/// <summary>One cloud for all these tests: every member behind gates of its own.</summary>
public sealed class GatedCloud : IAsyncLifetime
{
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(2);

    internal Cloud Cloud { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Cloud = await Cloud.StartAsync(gates: true, lease: Lease);

    public ValueTask DisposeAsync() => Cloud.DisposeAsync();
}
