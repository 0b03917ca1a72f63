using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Management;

/// <summary><c>/api/level</c>: raises the cloud's protocol level once all have it (docs/upgrading.md).</summary>
public sealed class LevelApi(MapReader maps, MapStore store, MemberDirectory directory, MapHerald herald)
{
    /// <summary>Raises it to the next one; that it is there already is an answer too.</summary>
    public async Task<IResult> RaiseAsync(HttpContext context)
    {
        var body = await StrictBody.ReadAsync(context, "level");
        var level = body.RequireInt32("level", 1, int.MaxValue);
        var map = await maps.ReadAsync(context.RequestAborted);
        if (map.Level < level)
        {
            // The map knows the releases of shards alone, and checks them in the commit itself.
            var rows = await directory.ListAsync(context.RequestAborted);
            var below = rows.Where(row => !row.IsFinal).Select(row => (row.Incarnation.Value, row.Release)).Append(("The Orchestrator", CloudRelease.Own)).ToList();
            if (CloudLevel.WhyNotRaised(level, map.Level, below) is { } refusal) throw refusal;
            var commit = await store.CommitAsync(now => now.Level >= level ? null : new MapCommit("level", $"asked for by {ManagementGate.CallerOf(context).Subject}", [new RaiseLevel(level)]), context.RequestAborted);
            if (commit.Refusal is { } refused) throw refused;
            await herald.TellAsync(commit.Version, context.RequestAborted);
            map = commit.Map;
        }
        return Results.Json(new CloudLevelState(map.Level), ManagementJson.Default.CloudLevelState);
    }
}
