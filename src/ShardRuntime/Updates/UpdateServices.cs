using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>Composition of a shard's part in updates.</summary>
internal static class UpdateServices
{
    /// <summary>Beside the data path: how handlers fare, what is in use, probes and shadow reads.</summary>
    public static IServiceCollection AddUpdateChecks(this IServiceCollection services)
    {
        services.AddSingleton<OwnerTraffic>();
        services.AddSingleton<EndpointUses>();
        services.AddSingleton<ScratchRuns>();
        services.AddSingleton<ContractProbes>();
        services.AddSingleton<ShadowSampler>();
        services.AddHostedService<ShadowSender>();
        services.AddSingleton<ShadowReads>();
        services.AddSingleton<IControlPlane, UpdatePlane>();
        return services;
    }

    /// <summary>Where there is a log: replicas for as long as an update asks for them.</summary>
    public static IServiceCollection AddWarmReplicas(this IServiceCollection services)
    {
        services.AddSingleton<WarmReplicas>();
        services.AddHostedService(p => p.GetRequiredService<WarmReplicas>());
        services.AddSingleton<IControlPlane, WarmPlane>();
        return services;
    }
}
