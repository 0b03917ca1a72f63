using Microsoft.AspNetCore.SignalR;

namespace ShardCloud.ShardRuntime.Sockets.Hubs;

/// <summary>Composition of SignalR over legs. It costs nothing where the application has no hub.</summary>
internal static class HubServices
{
    /// <summary>Adds it, whether <c>AddSignalR</c> came before or comes after.</summary>
    public static IServiceCollection AddShardedHubs(this IServiceCollection services)
    {
        services.AddSingleton<HubHeartbeat>();
        services.AddSingleton<HubEndpoints>();
        services.AddSingleton<IHubProtocolResolver, TrackedProtocols>();
        services.AddSingleton(typeof(HubLifetimeManager<>), typeof(ShardHubLifetime<>));
        services.AddSingleton<HubSweep>();
        services.Configure<HubOptions>(hubs => hubs.AddFilter<HubGate>());
        return services;
    }

    /// <summary>Behind the proxy and in front of authentication. Without SignalR in the application there is nothing to look for in its requests.</summary>
    public static void UseShardedHubs(this IApplicationBuilder app)
    {
        if (!app.ApplicationServices.GetRequiredService<IServiceProviderIsService>().IsService(typeof(HubConnectionHandler<Hub>))) return;
        var hubs = app.ApplicationServices.GetRequiredService<HubEndpoints>();
        app.Use(next => context =>
        {
            hubs.Replace(context);
            return next(context);
        });
    }
}
