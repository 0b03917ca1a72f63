using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>Composition of the owner's side of sockets.</summary>
internal static class OwnedSocketServices
{
    /// <summary>Legs, what runs for them, and the drain that moves them.</summary>
    public static IServiceCollection AddOwnedSockets(this IServiceCollection services)
    {
        services.AddSingleton<IStartupFilter, LegArrival>();
        services.AddSingleton<OwnedLegs>();
        services.AddSingleton(p => new SocketTools(p.GetRequiredService<ShardRuntimeOptions>().Sockets, p.GetRequiredService<OwnedLegs>(), p.GetRequiredService<EndpointChanges>(),
            p.GetRequiredService<ILeaseView>(), p.GetRequiredService<TimeProvider>()));
        services.AddSingleton<LegRunner>();
        services.AddSingleton<IDrain>(p => new SocketDrain(p.GetRequiredService<EndpointLanes>(), new Lazy<OwnedLegs>(p.GetRequiredService<OwnedLegs>), p.GetRequiredService<TimeProvider>()));
        services.AddHostedService<LegSweep>();
        return services;
    }
}
