using System.Globalization;
using ShardCloud.Contracts;

namespace ShardCloud.Orchestrator.Updates;

/// <summary>What a gate says of one look.</summary>
/// <param name="Verdict">Go on, go back, or look again.</param>
/// <param name="Reason">For people, with the numbers that decide.</param>
/// <param name="IsWell">False: something is amiss that may pass, and the stable time begins anew.</param>
public sealed record Judgement(UpdateVerdict Verdict, string Reason, bool IsWell);

/// <summary>Whether the new version does well after a wave. Pure: inputs in, verdict and reason out.</summary>
/// <remarks>
/// It never fails on what might be chance: server errors need <see cref="ErrorsMin"/>, latencies enough samples, and as latencies are counted between bounds, one is too long only where that is so
/// wherever between its bounds it lies. One death of a member of the new version is borne, for machines die too; its replacement begins the stable time anew, and a second one fails.
/// </remarks>
public static class Gate
{
    /// <summary>Server errors below which a rate says nothing.</summary>
    public const int ErrorsMin = 3;

    /// <summary>Answers of each version from which on medians are compared.</summary>
    public const int MedianAnswersMin = 20;

    /// <summary>Answers of each version from which on 99th percentiles are compared.</summary>
    public const int TailAnswersMin = 100;

    /// <summary>Deaths of members of the new version in one wave that are borne.</summary>
    public const int DeathsMax = 1;

    /// <summary>How long a shard of the new version may be without a member that answers.</summary>
    public static readonly TimeSpan AwayMax = TimeSpan.FromMinutes(2);

    /// <summary>Judges one look.</summary>
    /// <param name="inputs">What was seen.</param>
    /// <param name="limits">Of the strategy.</param>
    /// <param name="well">How long everything has been well.</param>
    /// <param name="stable">How long it must have been.</param>
    /// <param name="away">How long a shard of the new version has been without a member that answers; zero when none is.</param>
    public static Judgement Judge(UpdateGateInputs inputs, UpdateGateStrategy limits, TimeSpan well, TimeSpan stable, TimeSpan away)
    {
        if (inputs.NotMoved > 0) return Fail($"{inputs.NotMoved} slots or endpoints of the wave could not be moved within the strategy's retrySeconds");
        if (inputs.Gone.Count > DeathsMax) return Fail($"{inputs.Gone.Count} members of the new version died: {string.Join(", ", inputs.Gone)}");
        if (away > AwayMax) return Fail(string.Create(CultureInfo.InvariantCulture, $"a shard of the new version has not answered for {away.TotalSeconds:0} s: {string.Join(", ", inputs.Silent)}"));
        if (ErrorsOf(inputs, limits) is { } errors) return Fail(errors);
        if (SlownessOf("median", inputs.New.P50Ms, inputs.Old.P50Ms, MedianAnswersMin, inputs, limits) is { } median) return Fail(median);
        if (SlownessOf("99th percentile", inputs.New.P99Ms, inputs.Old.P99Ms, TailAnswersMin, inputs, limits) is { } tail) return Fail(tail);
        if (inputs.Parked > limits.ParkedMax) return Fail($"{inputs.Parked} requests were parked; gate.parkedMax is {limits.ParkedMax}");
        if (inputs.Silent.Count > 0) return new(UpdateVerdict.Watching, $"waiting for {string.Join(", ", inputs.Silent)}", IsWell: false);
        return well < stable
            ? new(UpdateVerdict.Watching, string.Create(CultureInfo.InvariantCulture, $"well for {well.TotalSeconds:0} of {stable.TotalSeconds:0} s"), IsWell: true)
            : new(UpdateVerdict.Healthy, string.Create(CultureInfo.InvariantCulture, $"well for {stable.TotalSeconds:0} s: {inputs.New.Answered} answers, {inputs.New.ServerErrors} server errors"), IsWell: true);
    }

    private static string? ErrorsOf(UpdateGateInputs inputs, UpdateGateStrategy limits)
    {
        if (inputs.New.ServerErrors < ErrorsMin) return null;
        var (rate, before) = (Rate(inputs.New), Rate(inputs.Old));
        return rate <= before + limits.ErrorRateMax ? null : string.Create(CultureInfo.InvariantCulture,
            $"{inputs.New.ServerErrors} of {inputs.New.Answered} answers of the new version were server errors ({rate:P2}), of the old one {inputs.Old.ServerErrors} of {inputs.Old.Answered} ({before:P2}); gate.errorRateMax above that is {limits.ErrorRateMax:P2}");
    }

    private static string? SlownessOf(string what, int? present, int? before, int answersMin, UpdateGateInputs inputs, UpdateGateStrategy limits)
    {
        if (inputs.New.Answered < answersMin || inputs.Old.Answered < answersMin || before is not { } old) return null;
        var least = MoreThan(present);
        return least < limits.LatencyFloorMs || least < old * limits.LatencyRatioMax ? null : string.Create(CultureInfo.InvariantCulture,
            $"the {what} of the new version's latency is over {least} ms, that of the old one at most {old} ms; gate.latencyRatioMax is {limits.LatencyRatioMax}");
    }

    private static double Rate(UpdateTraffic traffic) => traffic.Answered == 0 ? 0 : (double)traffic.ServerErrors / traffic.Answered;

    // A latency is told by the bound it does not exceed: it is over the bound before.
    private static int MoreThan(int? bound) => bound is { } known ? MemberTraffic.LatencyBoundsMs.LastOrDefault(lower => lower < known) : MemberTraffic.LatencyBoundsMs[^1];

    private static Judgement Fail(string reason) => new(UpdateVerdict.Unhealthy, reason, IsWell: false);
}

/// <summary>Arithmetic on what members count.</summary>
public static class TrafficSum
{
    /// <summary>Nothing counted.</summary>
    public static readonly MemberTraffic None = new(0, 0, []);

    /// <summary>What came since an earlier look at the same incarnation. One that counts less than before began anew: all of it came since.</summary>
    public static MemberTraffic Since(MemberTraffic now, MemberTraffic? before) => before is null || now.Answered < before.Answered ? now : new MemberTraffic(
        now.Answered - before.Answered, Math.Max(0, now.ServerErrors - before.ServerErrors), [.. now.LatencyCounts.Select((count, i) => Math.Max(0, count - before.LatencyCounts.ElementAtOrDefault(i)))]);

    /// <summary>Adds up, and finds the percentiles.</summary>
    public static UpdateTraffic Of(IEnumerable<MemberTraffic> members)
    {
        var counts = new long[MemberTraffic.LatencyBoundsMs.Count + 1];
        var (answered, errors) = (0L, 0L);
        foreach (var traffic in members)
        {
            answered += traffic.Answered;
            errors += traffic.ServerErrors;
            for (var i = 0; i < Math.Min(counts.Length, traffic.LatencyCounts.Count); i++) counts[i] += traffic.LatencyCounts[i];
        }
        return new UpdateTraffic(answered, errors, At(counts, 0.5), At(counts, 0.99));
    }

    // Nearest rank; null without samples, and where it lies beyond the last bound.
    private static int? At(long[] counts, double share)
    {
        var all = counts.Sum();
        var wanted = (long)Math.Ceiling(all * share);
        for (var i = 0; i < counts.Length - 1 && all > 0; i++)
        {
            wanted -= counts[i];
            if (wanted <= 0) return MemberTraffic.LatencyBoundsMs[i];
        }
        return null;
    }
}
