using System.Text.Json;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Commands;
using ShardCloud.Contracts;

namespace ShardCloud.Cli.Demo;

/// <summary>Two staged updates under the demo's load: one that nobody notices, and one to a broken build, which its gate takes back.</summary>
internal sealed class UpdatesRun(ManagementClient api, RoomsLoad load, ChatLoad chat, string apps, Action<string> say)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(15);

    /// <summary>Few waves and short gates, for nobody waits for a demo as for a deploy; latencies of a process that has just been started on a busy machine are not the version's fault.</summary>
    private static readonly UpdateStrategy Strategy = UpdateStrategy.Default with
    {
        Waves = [10, 50, 100],
        StableSeconds = 3,
        Verify = UpdateStrategy.Default.Verify with { ShadowShare = 0.25, ShadowCompared = 50, Seconds = 20 },
        Gate = UpdateStrategy.Default.Gate with { LatencyFloorMs = 100, LatencyRatioMax = 3 },
    };

    /// <summary>What ships beside the demo: package, and how an update to it must end.</summary>
    private static readonly (string Package, UpdateOutcome Outcome)[] Wanted = [("rooms-2.0.0", UpdateOutcome.Done), ("rooms-2.1.0", UpdateOutcome.RolledBack)];

    /// <summary>One after the other; ends early where one did not end as it must.</summary>
    /// <param name="problem">Told what did not hold.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task<IReadOnlyList<UpdateSection>> RunAsync(Action<string> problem, CancellationToken cancellationToken)
    {
        var sections = new List<UpdateSection>();
        foreach (var (package, outcome) in Wanted)
        {
            var (failed, dropped) = (load.Failed, chat.Dropped);
            var published = await PackageCommand.PublishAsync(api, Path.Combine(apps, package), _ => { }, cancellationToken);
            var id = await api.StartUpdateAsync(new StartUpdateRequest(published.Version, JsonSerializer.SerializeToElement(Strategy, UpdateJson.Default.UpdateStrategy)), null, cancellationToken);
            var step = "";
            var update = await api.WaitForUpdateAsync(id, seen =>
            {
                if (seen.StepText is { } now && now != step) say($"  {id}: {step = now}");
            }, cancellationToken).WaitAsync(Patience, cancellationToken);
            var section = new UpdateSection(
                update.Version, JsonNamingPolicy.CamelCase.ConvertName($"{update.Outcome}"), update.Waves.Count(wave => wave.MovedAt is not null), update.Moves.Count, update.Moves.MovedMoreThanOnce, load.Failed - failed, chat.Dropped - dropped,
                new(update.Verification?.Shadow?.Compared ?? 0, update.Verification?.Shadow?.Different ?? 0));
            sections.Add(section);
            var why = update.RollBack?.Reason ?? update.Error?.Message;
            say($"Update to {section.To}: {section.Outcome} after {section.Waves} waves{(why is null ? "" : $": {why}")}");
            if (section.MovedMoreThanOnce > 0) problem($"{id} moved {section.MovedMoreThanOnce} entries more than once.");
            if (update.Outcome == outcome) continue;
            problem($"{id} ended as {update.Outcome} and not as {outcome}{(why is null ? "" : $": {why}")}");
            break;
        }
        return sections;
    }
}
