using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Updates;

namespace ShardCloud.Orchestrator.Tests.Updates;

/// <summary>What a gate lets pass, and what it does not.</summary>
public sealed class GateTests
{
    private static readonly UpdateGateStrategy Limits = UpdateStrategy.Default.Gate;
    private static readonly UpdateTraffic Good = new(1_000, 0, 5, 20);
    private static readonly TimeSpan Stable = TimeSpan.FromSeconds(120);

    public static TheoryData<UpdateTraffic, UpdateTraffic, UpdateVerdict, string> Traffics => new()
    {
        { Good, Good, UpdateVerdict.Healthy, "1000 answers" },
        { Good, new(0, 0, null, null), UpdateVerdict.Healthy, "0 answers" }, // Nobody asks: nothing speaks against it.
        { Good, new(10, 2, 5, 20), UpdateVerdict.Healthy, "2 server errors" }, // Two errors may be chance.
        { Good, new(10, 3, 5, 20), UpdateVerdict.Unhealthy, "3 of 10" },
        { Good, new(1_000, 10, 5, 20), UpdateVerdict.Healthy, "10 server errors" }, // Exactly the limit.
        { Good, new(1_000, 11, 5, 20), UpdateVerdict.Unhealthy, "11 of 1000" },
        { new(1_000, 50, 5, 20), new(1_000, 55, 5, 20), UpdateVerdict.Healthy, "55 server errors" }, // The old one is no better.
        { Good, new(1_000, 0, 5, 50), UpdateVerdict.Healthy, "" }, // Perhaps 21 ms.
        { Good, new(1_000, 0, 5, 100), UpdateVerdict.Unhealthy, "99th percentile" }, // Over 50 ms, and that is over twice 20.
        { Good, new(99, 0, 5, 100), UpdateVerdict.Healthy, "" }, // Too few to have a 99th percentile.
        { Good, new(1_000, 0, 50, 50), UpdateVerdict.Healthy, "" }, // Up to the floor.
        { Good, new(20, 0, 100, 100), UpdateVerdict.Unhealthy, "median" },
        { Good, new(19, 0, 100, 100), UpdateVerdict.Healthy, "" },
        { Good, new(20, 0, null, null), UpdateVerdict.Unhealthy, "over 5000 ms" },
        { new(20, 0, null, null), new(20, 0, null, null), UpdateVerdict.Healthy, "" },
    };

    [Theory]
    [MemberData(nameof(Traffics))]
    public void Traffic_IsComparedWithTheOldVersions(UpdateTraffic old, UpdateTraffic present, UpdateVerdict verdict, string reason)
    {
        var judged = Judge(new UpdateGateInputs(old, present, 0, [], [], 0), Stable);

        Assert.Equal(verdict, judged.Verdict);
        Assert.Contains(reason, judged.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void StableTime_IsWaitedFor()
    {
        var well = new UpdateGateInputs(Good, Good, 0, [], [], 0);
        Assert.Equal((UpdateVerdict.Watching, true), Short(Judge(well, Stable - TimeSpan.FromSeconds(1))));
        Assert.Equal((UpdateVerdict.Healthy, true), Short(Judge(well, Stable)));
    }

    [Fact]
    public void OneDeath_IsBorne_AndBeginsTheStableTimeAnew()
    {
        var inputs = new UpdateGateInputs(Good, Good, 0, ["shard-4~a"], ["shard-4"], 0);
        Assert.Equal((UpdateVerdict.Watching, false), Short(Judge(inputs, Stable, TimeSpan.FromSeconds(5))));
        Assert.Equal(UpdateVerdict.Healthy, Judge(inputs with { Silent = [] }, Stable).Verdict);
        Assert.Equal(UpdateVerdict.Unhealthy, Judge(inputs with { Silent = [], Gone = ["shard-4~a", "shard-4~b"] }, Stable).Verdict);
        Assert.Equal(UpdateVerdict.Unhealthy, Judge(inputs, Stable, Gate.AwayMax + TimeSpan.FromSeconds(1)).Verdict);
    }

    [Fact]
    public void ParkedRequests_AndWhatCouldNotMove_Fail()
    {
        var inputs = new UpdateGateInputs(Good, Good, Limits.ParkedMax, [], [], 0);
        Assert.Equal(UpdateVerdict.Healthy, Judge(inputs, Stable).Verdict);
        Assert.Equal(UpdateVerdict.Unhealthy, Judge(inputs with { Parked = Limits.ParkedMax + 1 }, Stable).Verdict);
        Assert.Equal(UpdateVerdict.Unhealthy, Judge(inputs with { NotMoved = 1 }, TimeSpan.Zero).Verdict);
    }

    /// <summary>Counts are cumulative and begin at 0 with every start: what is compared is what came since.</summary>
    [Fact]
    public void Counts_AreSubtracted_AndARestartedMembersCountAsTheyAre()
    {
        MemberTraffic Of(long answered, long errors, params long[] counts) => new(answered, errors, counts);
        var since = TrafficSum.Since(Of(110, 3, 50, 60), Of(100, 2, 50, 50));
        Assert.Equal((10L, 1L, 0L, 10L), (since.Answered, since.ServerErrors, since.LatencyCounts[0], since.LatencyCounts[1]));
        Assert.Equal(7, TrafficSum.Since(Of(7, 0, 7), Of(100, 2, 50, 50)).Answered);
        Assert.Equal(new UpdateTraffic(100, 1, 2, 5), TrafficSum.Of([Of(98, 1, 0, 98), Of(2, 0, 0, 0, 2)]));
        Assert.Equal(new UpdateTraffic(1, 0, null, null), TrafficSum.Of([Of(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)]));
        Assert.Equal(new UpdateTraffic(0, 0, null, null), TrafficSum.Of([]));
    }

    private static Judgement Judge(UpdateGateInputs inputs, TimeSpan well, TimeSpan away = default) => Gate.Judge(inputs, Limits, well, Stable, away);

    private static (UpdateVerdict, bool) Short(Judgement judged) => (judged.Verdict, judged.IsWell);
}
