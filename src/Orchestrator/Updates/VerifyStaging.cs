using System.Diagnostics;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Updates;

/// <summary>Step 3: contract probes, then shadow reads, until there are enough comparisons or the time for them is over. True once there is a verdict.</summary>
public sealed class VerifyStaging(UpdateTools tools) : TaskActivity<string, bool>
{
    /// <summary>How long the application's probes may take together, in seconds.</summary>
    public const int ProbeSeconds = 60;

    /// <summary>How long owners repeat reads at a time, in seconds; asked again well before.</summary>
    private const int ShadowSeconds = 60;

    private const int ResultsMax = 100, TextMax = 500;

    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(500), Renew = TimeSpan.FromSeconds(20);

    /// <summary>How long the staging shard may be silent.</summary>
    private static readonly TimeSpan SilentMax = TimeSpan.FromSeconds(60);

    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, string input)
    {
        var cancellationToken = context.CancellationToken;
        var (started, heard, asked) = (Stopwatch.GetTimestamp(), Stopwatch.GetTimestamp(), 0L);
        for (; Stopwatch.GetElapsedTime(started) < BatchWork.ActivityBudget; await Task.Delay(Poll, cancellationToken))
        {
            if (await tools.ReadAtAsync(input, UpdateStep.Verify, cancellationToken) is not { Public.Staging: { } staging } record) return true;
            var map = await tools.Maps.ReadAsync(cancellationToken);
            if (Destinations.Of(map, new ShardId(staging.Shard)) is not { } member || member.Incarnation.Value != staging.Incarnation)
                return await GoBackAsync(input, record.Public.Verification, $"the staging shard {staging.Incarnation} died while it was verified", cancellationToken);
            try
            {
                if (asked == 0 || Stopwatch.GetElapsedTime(asked) > Renew)
                {
                    await tools.Members.WarmAsync(member.MemberAddress, null, WarmShards.KeepSeconds, null, cancellationToken);
                    await ShadowAsync(record, map, record.Public.Strategy.Verify.ShadowShare, cancellationToken);
                    asked = Stopwatch.GetTimestamp();
                }
                if (await LookAsync(record, member, cancellationToken))
                {
                    await ShadowAsync(record, map, 0, cancellationToken);
                    return true;
                }
                heard = Stopwatch.GetTimestamp();
            }
            catch (ShardCloudException error)
            {
                if (Stopwatch.GetElapsedTime(heard) < SilentMax && Stopwatch.GetElapsedTime(started) < BatchWork.ActivityBudget - Poll) continue;
                return await GoBackAsync(input, record.Public.Verification, error.Message, cancellationToken);
            }
        }
        return false;
    }

    /// <summary>One look; true when it came to a verdict.</summary>
    private async Task<bool> LookAsync(UpdateRecord record, LiveMember staging, CancellationToken cancellationToken)
    {
        var strategy = record.Public.Strategy.Verify;
        var probes = record.Public.Verification?.Probes;
        if (probes is null && strategy.Probes)
        {
            probes = Short(await tools.Members.ProbesAsync(staging.MemberAddress, ProbeSeconds, cancellationToken));
            var seen = new UpdateVerification(probes, null, UpdateVerdict.Watching, "probes were run");
            await tools.UpdateAtAsync(record.Public.Id, UpdateStep.Verify, now => now with { Public = now.Public with { Verification = seen } }, cancellationToken);
        }
        if (probes?.Results.Where(probe => !probe.Passed).ToList() is { Count: > 0 } failed)
        {
            var first = failed[0];
            var why = $"{failed.Count} of {probes.Results.Count} contract probes did not pass, first {first.Template} '{first.Name}' ({first.Method} {first.Path}): {first.Error ?? $"status {first.Status}"}";
            return await GoBackAsync(record.Public.Id, new UpdateVerification(probes, null, UpdateVerdict.Unhealthy, why), why, cancellationToken);
        }
        var shadow = strategy.ShadowShare > 0 ? await tools.Members.ShadowReportAsync(staging.MemberAddress, cancellationToken) : null;
        if (shadow?.Different > strategy.ShadowDifferentMax)
        {
            var example = shadow.Examples.Count > 0 ? $", last {shadow.Examples[^1].Endpoint} {shadow.Examples[^1].Path}: {shadow.Examples[^1].Reason}" : "";
            var why = $"{shadow.Different} of {shadow.Compared} shadow reads were answered differently; verify.shadowDifferentMax is {strategy.ShadowDifferentMax}{example}";
            return await GoBackAsync(record.Public.Id, new UpdateVerification(probes, shadow, UpdateVerdict.Unhealthy, why), why, cancellationToken);
        }
        var isLate = tools.Now - record.Work.Since > TimeSpan.FromSeconds(strategy.Seconds);
        if (shadow is not null && shadow.Compared < strategy.ShadowCompared && !isLate) return false;

        var note = shadow is not null && shadow.Compared < strategy.ShadowCompared
            ? $"{shadow.Compared} shadow reads were compared in {strategy.Seconds} s; verify.shadowCompared is {strategy.ShadowCompared}" : null;
        var reason = $"{probes?.Results.Count(probe => probe.Name is not null) ?? 0} probes passed; {shadow?.Compared ?? 0} shadow reads were compared, {shadow?.Different ?? 0} differed";
        await tools.UpdateAtAsync(record.Public.Id, UpdateStep.Verify, now => tools.Next(
            now with { Public = now.Public with { Verification = new UpdateVerification(probes, shadow, UpdateVerdict.Healthy, reason, note) } }, UpdateStep.Grow, "shards of the new version are made"), cancellationToken);
        return true;
    }

    private async Task<bool> GoBackAsync(string id, UpdateVerification? seen, string why, CancellationToken cancellationToken)
    {
        await tools.UpdateAtAsync(id, UpdateStep.Verify, now => tools.Unhealthy(now with
        {
            Public = now.Public with { Verification = (seen ?? new UpdateVerification(null, null, UpdateVerdict.Unhealthy, why)) with { Verdict = UpdateVerdict.Unhealthy, Reason = why } },
        }, why), cancellationToken);
        return true;
    }

    // An owner that does not answer now samples nothing: there are others, and the next round asks it again.
    private Task ShadowAsync(UpdateRecord record, RoutingMap map, double share, CancellationToken cancellationToken) =>
        record.Public.Strategy.Verify.ShadowShare == 0 ? Task.CompletedTask : Task.WhenAll(map.Live.Values.Where(member => member.ApplicationVersion == record.Public.FromVersion).Select(async member =>
        {
            try
            {
                await tools.Members.ShadowAsync(member.MemberAddress, record.Public.Staging!.Incarnation, share, ShadowSeconds, cancellationToken);
            }
            catch (ShardCloudException)
            {
            }
        }));

    // A record is bounded: what did not pass comes first.
    private static ProbeReport Short(ProbeReport report) =>
        new([.. report.Results.OrderBy(probe => probe.Passed).Take(ResultsMax).Select(probe => probe.Error is { Length: > TextMax } error ? probe with { Error = error[..TextMax] } : probe)]);
}
