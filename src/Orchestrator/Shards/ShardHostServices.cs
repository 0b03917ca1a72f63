using Azure.Core;
using Azure.Core.Pipeline;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using ShardCloud.Identity;
using ShardCloud.Orchestrator.Shards.AppService;
using ShardCloud.Packages;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Registers who makes instances, by the settings: sites of App Service where <c>ShardCloud:AppService</c> is filled in, else the shard host at <c>ShardCloud:ShardHost:Url</c>.</summary>
internal static class ShardHostServices
{
    public static IServiceCollection AddShardHost(this IServiceCollection services)
    {
        services.TryAddSingleton<IShardHost>(provider =>
        {
            var settings = provider.GetRequiredService<IOptions<OrchestratorSettings>>().Value;
            return settings.AppService.IsUsed ? AppService(provider, settings) : new LocalShardHost(
                new HttpClient { Timeout = Timeout.InfiniteTimeSpan }, settings.ShardHost.Url!, provider.GetRequiredService<ITokenSource>());
        });
        return services;
    }

    private static AppServiceShardHost AppService(IServiceProvider provider, OrchestratorSettings settings)
    {
        var (sites, time) = (settings.AppService, provider.GetRequiredService<TimeProvider>());
        var arm = new ArmCalls(provider.GetRequiredService<TokenCredential>(), sites.SubscriptionId!, sites.Calls, time, provider.GetService<HttpPipelineTransport>());
        return new AppServiceShardHost(
            arm, sites, settings.Application, ShardEnvironment.Read(provider.GetRequiredService<IConfiguration>()), provider.GetRequiredService<PackageStore>().FindAsync, time);
    }
}
