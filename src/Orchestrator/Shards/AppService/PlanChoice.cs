using System.Text.Json.Nodes;

namespace ShardCloud.Orchestrator.Shards.AppService;

/// <summary>Which plans can take a shard: Linux, with per-site scaling, and with room.</summary>
internal sealed class PlanChoice(ArmCalls arm, AppServiceSettings settings)
{
    /// <summary>Those with room, the emptiest first, in the order of the settings where they are even.</summary>
    /// <exception cref="ShardCloudException">SC5062: none has. SC5066: none could ever. Those of <see cref="ArmCalls.SendAsync"/>.</exception>
    public async Task<IReadOnlyList<string>> OrderAsync(CancellationToken cancellationToken)
    {
        var (room, full, unfit) = (new List<(string Plan, int Sites)>(), new List<string>(), new List<string>());
        foreach (var plan in settings.Plans)
        {
            var answer = await arm.GetAsync(plan, cancellationToken);
            var properties = answer.Body?["properties"] as JsonObject;
            var name = plan[(plan.LastIndexOf('/') + 1)..];
            var sites = (int?)properties?["numberOfSites"] ?? 0;
            if (answer.IsMissing) unfit.Add($"{name} is not there");
            else if ((bool?)properties?["reserved"] != true) unfit.Add($"{name} is not a Linux plan");
            else if ((bool?)properties["perSiteScaling"] != true) unfit.Add($"{name} has no per-site scaling, so every site would run on all of its workers");
            else if (sites >= settings.SitesPerPlanMax) full.Add($"{name} has {sites} sites");
            else room.Add((plan, sites));
        }
        if (room.Count > 0) return [.. room.OrderBy(candidate => candidate.Sites).Select(candidate => candidate.Plan)];
        var facts = string.Join("; ", full.Concat(unfit));
        throw full.Count > 0
            ? new ShardCloudException(ErrorCodes.HostFull, $"No App Service plan has room for another shard: {facts}; at most {settings.SitesPerPlanMax} a plan.",
                "Add a plan under ShardCloud:AppService:Plans, or raise SitesPerPlanMax.")
            : new ShardCloudException(ErrorCodes.HostRefused, $"No App Service plan can take shards: {facts}.", "Name Linux plans with perSiteScaling under ShardCloud:AppService:Plans.");
    }
}
