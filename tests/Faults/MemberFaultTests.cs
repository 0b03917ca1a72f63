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

        await RunAsync("frozen", null, faults => faults.FreezeAsync(rounds: 5, TestContext.Current.CancellationToken));
    }

    /// <summary>One owner cut off for three leases, each time from something else. Whoever must serve does, and it heals without an operator.</summary>
    [Theory]
    [InlineData("storage", 1)]
    [InlineData("log", 1)]
    [InlineData("peers", 0)]
    [InlineData("all", 1)]
    public Task Owner_CutOff_NothingFailsAndNothingIsLost(string from, int takeOvers) =>
        RunAsync(from, takeOvers, faults => faults.CutAsync(from, seconds: 6, everybody: false, TestContext.Current.CancellationToken));

    /// <summary>The log out of everybody's reach for three leases: appends wait, and no owner takes that for a fault of its own (TRACES 30).</summary>
    [Fact]
    public Task Log_OutOfReachForAll_NobodyGivesUp() =>
        RunAsync("log-of-all", 0, faults => faults.CutAsync("log", seconds: 6, everybody: true, TestContext.Current.CancellationToken));

    /// <summary>Blobs alone out of everybody's reach for three leases: nobody notices.</summary>
    [Fact]
    public Task Blobs_OutOfReachForAll_IsNoFailover() =>
        RunAsync("blobs-of-all", 0, faults => faults.CutAsync("blobs", seconds: 6, everybody: true, TestContext.Current.CancellationToken));

    /// <summary>Tables alone out of everybody's reach until every lease is over: exclusive endpoints wait, convergent ones are answered, and nobody is taken over.</summary>
    [Fact]
    public Task Tables_OutOfReachForAll_LongerThanTheLease_ExclusiveEndpointsWait_ConvergentOnesGoOn() =>
        RunAsync("tables-of-all", 0, faults => faults.OutliveLeasesAsync(TestContext.Current.CancellationToken));

    /// <summary>After a fault that went wrong nobody knows what state the cloud is in: the next test gets a new one.</summary>
    private async Task RunAsync(string rooms, int? takeOvers, Func<MemberFaults, Task<MemberFaultReport>> act)
    {
        var cloud = await gated.GetAsync();
        try
        {
            var report = await act(new MemberFaults(cloud.Stack, cloud.Api, requestsPerSecond: 50, Enumerable.Range(1, 12).Select(number => $"{rooms}-{number}"), GatedCloud.Lease, output.WriteLine));
            output.WriteLine($"{report}");
            Assert.Empty(report.Problems);
            Assert.Equal((0, 0, 0, 0), (report.Failed, report.Lost, report.Duplicated, report.AnsweredAsOwner));
            Assert.Equal(takeOvers ?? report.TakeOvers, report.TakeOvers);
            Assert.True(report.Sent > 100, $"only {report.Sent} requests were sent");
        }
        catch
        {
            await gated.EndAsync();
            throw;
        }
    }
}

/// <summary>One cloud for all these tests, every member behind gates of its own; started when it is needed.</summary>
public sealed class GatedCloud : IAsyncDisposable
{
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(2);

    private Cloud? _cloud;

    internal async Task<Cloud> GetAsync() => _cloud ??= await Cloud.StartAsync(gates: true, lease: Lease);

    public async Task EndAsync()
    {
        if (_cloud is not { } cloud) return;
        _cloud = null;
        await cloud.DisposeAsync();
    }

    public async ValueTask DisposeAsync() => await EndAsync();
}
