using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Scaling;

namespace ShardCloud.Orchestrator.Management;

/// <summary><c>/api/scaling</c>: how many shards there may be, and what was made of their load.</summary>
public sealed class ScalingApi(MapReader maps, ScalingRecords records)
{
    /// <summary>Most shards that may be asked for.</summary>
    public const int ShardsMax = 500;

    /// <summary>Bounds, the last look, the last change.</summary>
    public async Task<IResult> GetAsync(HttpContext context)
    {
        var (stored, seen) = (await records.ReadAsync(context.RequestAborted), await records.ReadSeenAsync(context.RequestAborted));
        var shards = (await maps.TryReadAsync(context.RequestAborted))?.Live.Values.Where(member => member.Ready).Select(member => member.Incarnation.Shard).Distinct().Count() ?? 0;
        var reason = stored is null ? "No bounds are set: nothing is added or removed." : seen?.Reason ?? "No look was taken yet.";
        return Results.Json(new ScalingState(stored?.Value.Policy, shards, stored is null ? [] : seen?.Use ?? [], reason, stored?.Value.Last, stored is null ? null : seen?.At), ScalingJson.Default.ScalingState);
    }

    /// <summary>Sets the bounds.</summary>
    public async Task<IResult> SetAsync(HttpContext context)
    {
        var body = await StrictBody.ReadAsync(context, "min", "max", "paused", "high", "low", "looks", "coolDownSeconds", "perShard");
        var usual = new ScalingPolicy(1, 1);
        var limits = body.OptionalObject("perShard", "cpu", "requests", "connections", "stateBytes");
        var policy = new ScalingPolicy(
            body.RequireInt32("min", 1, ShardsMax), body.RequireInt32("max", 1, ShardsMax), body.Flag("paused"), body.OptionalNumber("high", 0.05, 1) ?? usual.High, body.OptionalNumber("low", 0, 1) ?? usual.Low,
            body.OptionalInt32("looks", 1, 1_000, usual.Looks), body.OptionalInt32("coolDownSeconds", 0, 86_400, usual.CoolDownSeconds),
            limits is null ? null : new ShardLimits(limits.OptionalNumber("cpu", 0.01, 1_000), limits.OptionalNumber("requests", 0.01, 1e9), limits.OptionalNumber("connections", 1, 1e9), limits.OptionalNumber("stateBytes", 1, 1e15)));
        if (policy.Min > policy.Max) throw new ShardCloudException(ErrorCodes.BadValue, $"'min' ({policy.Min}) is above 'max' ({policy.Max}).", "Let 'max' be the larger one.");
        if (policy.Low >= policy.High)
            throw new ShardCloudException(ErrorCodes.BadValue, $"'low' ({policy.Low}) is not below 'high' ({policy.High}): shards would come and go for the same load.", "Leave some room between them, like 0.5 and 0.7.");
        await records.SetAsync(policy, context.RequestAborted);
        return await GetAsync(context);
    }
}
