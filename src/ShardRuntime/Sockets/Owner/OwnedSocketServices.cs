using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>Composition of the owner's side of sockets.</summary>
internal static class OwnedSocketServices
{
    /// <summary>Legs, what runs for them, and the drain that moves them.</summary>
    public static IServiceCollection AddOwnedSockets(this IServiceCollection services)
    {
        services.AddSingleton<IStartupFilter, LegArrival>();
        services.AddSingleton<OwnedLegs>();
        services.AddSingleton<ConnectedEndpoints>();
        services.AddSingleton<ConnectionChanges>();
        services.AddSingleton<Absences>();
        services.AddSingleton<OwnedSocketMetrics>();
        services.AddSingleton(p => p.GetRequiredService<ShardRuntimeOptions>().Sockets);
        services.AddSingleton<SocketTools>();
        services.AddSingleton<LegRunner>();
        services.AddSingleton<IDrain>(p => new SocketDrain(p.GetRequiredService<EndpointLanes>(), new Lazy<OwnedLegs>(p.GetRequiredService<OwnedLegs>), p.GetRequiredService<TimeProvider>()));
        services.AddHostedService<LegSweep>();
        services.AddSingleton<SocketSweep>();
        services.AddSingleton<ConnectionSweep>();
        services.AddHostedService(p => p.GetRequiredService<ConnectionSweep>());
        return services;
    }
}
