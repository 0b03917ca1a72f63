using ShardCloud.Bench.Faults;
using ShardCloud.Integration.Tests;
using ShardCloud.Processes;

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

    /// <summary>The log out of everybody's reach for three leases: appends wait, and no owner takes that for a fault of its own (TRACES 30).</summary>
    [Fact]
    public async Task Log_OutOfReachForAll_NobodyGivesUp()
    {
        var report = await Run(gated.Cloud, GatedCloud.Lease, "log-of-all").CutAsync("log", seconds: 6, everybody: true, TestContext.Current.CancellationToken);

        Check(report);
        Assert.Equal(0, report.TakeOvers);
    }

    /// <summary>Blobs alone out of everybody's reach for three leases: nobody notices.</summary>
    [Fact]
    public async Task Blobs_OutOfReachForAll_IsNoFailover()
    {
        var report = await Run(gated.Cloud, GatedCloud.Lease, "blobs-of-all").CutAsync("blobs", seconds: 6, everybody: true, TestContext.Current.CancellationToken);

        Check(report);
        Assert.Equal(0, report.TakeOvers);
    }

    /// <summary>Tables alone out of everybody's reach until every lease is over: exclusive endpoints wait, convergent ones are answered, and nobody is taken over.</summary>
    [Fact]
    public async Task Tables_OutOfReachForAll_LongerThanTheLease_ExclusiveEndpointsWait_ConvergentOnesGoOn()
    {
        var report = await Run(gated.Cloud, GatedCloud.Lease, "tables-of-all").OutliveLeasesAsync(TestContext.Current.CancellationToken);

        Check(report);
        Assert.Equal(0, report.TakeOvers);
    }

    /// <summary>Packets really vanish: of one owner from and to its peers, or from and to all but its clients. The bench has the other ways too.</summary>
    [Fact]
    public Task Owner_PacketsVanish_OneWay_NothingFailsAndNothingIsLost() => InNamespaceAsync("network", "--lease", "2", "--cases", "peers-received,all-sent");

    /// <summary>The disk under Event Hubs fills up: writes wait, none is acknowledged, and when there is space again all go on.</summary>
    [Fact]
    public Task EventHubs_DiskFull_WritesWaitAndNothingIsLost() => InNamespaceAsync("disk", "--seconds", "3");

    /// <summary>The bench, which ends with 0 only when all is as it must be.</summary>
    private async Task InNamespaceAsync(string fault, params string[] more)
    {
        var cancellationToken = TestContext.Current.CancellationToken;
        if (await NetworkCuts.ImpossibleAsync(cancellationToken) is { } why) Assert.Skip(why);
        var own = new DirectoryInfo(AppContext.BaseDirectory); // tests/Faults/bin/CONFIGURATION/FRAMEWORK
        var bench = Path.Combine(own.FullName, "../../../../../bench/Faults/bin", own.Parent!.Name, own.Name, "ShardCloud.Bench.Faults.dll");
        await using var process = ChildProcess.Start(new ChildProcessOptions
        {
            FileName = "dotnet",
            Arguments = [bench, "--members", fault, "--rps", "50", "--rooms", "12", .. more],
            ParentWatch = ParentWatch.DotNet,
            OnLine = output.WriteLine,
        });
        Assert.Equal(0, (await process.Exited.WaitAsync(cancellationToken)).ExitCode);
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
