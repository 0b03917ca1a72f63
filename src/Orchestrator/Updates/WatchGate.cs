using System.Diagnostics;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Updates;

/// <summary>Step 6: looks at both versions until the wave has been well for the strategy's time, or is not. True once there is a verdict.</summary>
public sealed class WatchGate(UpdateTools tools, UpdateLooks looks) : TaskActivity<string, bool>
{
    /// <summary>A pause between two looks that is longer was not watched: the stable time begins anew.</summary>
    public static readonly TimeSpan UnwatchedMax = TimeSpan.FromSeconds(30);

    private const int GoneMax = 16;

    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, string input)
    {
        var cancellationToken = context.CancellationToken;
        var started = Stopwatch.GetTimestamp();
        while (true)
        {
            if (await tools.ReadAtAsync(input, UpdateStep.Gate, cancellationToken) is not { } record) return true;
            var map = await tools.Maps.ReadAsync(cancellationToken);
            var seen = await looks.StatusesAsync(map, withRouters: true, cancellationToken);
            var now = await tools.UpdateAtAsync(input, UpdateStep.Gate, present => Look(present, map, seen), cancellationToken);
            if (!UpdateTools.IsAt(now, UpdateStep.Gate)) return true;

            var poll = TimeSpan.FromSeconds(Math.Clamp(record.Public.Strategy.StableSeconds / 20.0, 0.1, 2));
            if (Stopwatch.GetElapsedTime(started) + poll > BatchWork.ActivityBudget) return false;
            await Task.Delay(poll, cancellationToken);
        }
    }

    /// <summary>The record after one look. Pure but for the clock.</summary>
    private UpdateRecord Look(UpdateRecord record, RoutingMap map, IReadOnlyDictionary<string, MemberStatus> seen)
    {
        var (now, wave) = (tools.Now, LookAtUpdate.WaveOf(record));
        var (inputs, work) = Inputs(record, map, seen, now);
        var isWatched = wave.Gate is not null && work.LookedAt is { } before && now - before <= UnwatchedMax;
        var since = isWatched && inputs.Gone.Count == (wave.Gate!.Inputs.Gone.Count) ? wave.Gate.Since : now;
        var judged = Gate.Judge(inputs, record.Public.Strategy.Gate, now - since, TimeSpan.FromSeconds(record.Public.Strategy.StableSeconds), work.AwaySince is { } away ? now - away : TimeSpan.Zero);
        var report = new UpdateGateReport(inputs, judged.Verdict, judged.Reason, (wave.Gate?.Looks ?? 0) + 1, judged.IsWell ? since : now);
        var state = judged.Verdict switch { UpdateVerdict.Healthy => UpdateWaveState.Passed, UpdateVerdict.Unhealthy => UpdateWaveState.Failed, _ => UpdateWaveState.Watched };
        record = LookAtUpdate.With(record with { Work = work with { LookedAt = now } }, wave with { State = state, Gate = report });
        return judged.Verdict switch
        {
            UpdateVerdict.Unhealthy => tools.Unhealthy(record, $"wave {wave.Number}: {judged.Reason}"),
            UpdateVerdict.Healthy when wave.Number == record.Public.Waves.Count => tools.Next(record, UpdateStep.RemoveOld, "the shards of the old version are removed"),
            UpdateVerdict.Healthy => tools.Next(record, UpdateStep.Wave, $"wave {wave.Number} has passed"),
            _ => record,
        };
    }

    private static (UpdateGateInputs Inputs, UpdateWork Work) Inputs(UpdateRecord record, RoutingMap map, IReadOnlyDictionary<string, MemberStatus> seen, DateTimeOffset now)
    {
        var live = map.Live.Values.Where(member => member.ApplicationVersion == record.Public.Version).ToList();
        var known = record.Work.Known.Union(live.Select(member => member.Incarnation.Value), StringComparer.Ordinal).TakeLast(4 * GoneMax + live.Count).ToList();
        var gone = known.Where(incarnation => !map.Live.ContainsKey(new IncarnationId(incarnation))).Take(GoneMax).ToList();
        var silent = UpdateTools.ShardsOf(record, map, isNew: true)
            .Where(shard => Destinations.Of(map, shard) is not { } member || !seen.ContainsKey(member.Incarnation.Value)).Select(shard => shard.Value).ToList();
        var work = record.Work with { Known = known, AwaySince = silent.Count == 0 ? null : record.Work.AwaySince ?? now };
        var old = Of(record.Public.FromVersion, record.Work.OldBefore);
        var fresh = Of(record.Public.Version, record.Work.NewBefore);
        var parked = seen.Sum(member => Math.Max(0, member.Value.Parked - record.Work.ParkedBefore.GetValueOrDefault(member.Key)));
        return (new UpdateGateInputs(old, fresh, parked, gone, silent, record.Work.NotMoved), work);

        UpdateTraffic Of(string version, IReadOnlyDictionary<string, MemberTraffic> before) => TrafficSum.Of(
            seen.Values.Where(status => status.Version == version && status.Traffic is not null).Select(status => TrafficSum.Since(status.Traffic!, before.GetValueOrDefault(status.Incarnation))));
    }
}
