using Microsoft.Extensions.DependencyInjection.Extensions;
using ShardCloud.Identity;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Composition of the membership room: stores, the map as it is followed, the member's life, and the views of them that the data path uses.</summary>
internal static class MembershipServices
{
    public static IServiceCollection AddMembership(this IServiceCollection services)
    {
        services.AddSingleton(p => StorageClients.Create(p.GetRequiredService<ShardRuntimeOptions>().Storage, p.GetRequiredService<Azure.Core.TokenCredential>));
        services.AddSingleton(p => new MapStore(p.GetRequiredService<StorageClients>().Decisions, p.GetRequiredService<StorageClients>().Blobs,
            p.GetRequiredService<ShardRuntimeOptions>().Application, p.GetRequiredService<TimeProvider>(), p.GetRequiredService<ILogger<MapStore>>()));
        services.AddSingleton(p => new MemberDirectory(p.GetRequiredService<StorageClients>().Decisions, p.GetRequiredService<ShardRuntimeOptions>().Application));
        services.AddSingleton(p => new MapFollowerService(p.GetRequiredService<MapStore>(), p.GetRequiredService<TimeProvider>(), p.GetRequiredService<ILogger<MapFollowerService>>()));
        services.AddSingleton<LevelCheck>();
        services.AddSingleton<MemberParts>();
        services.AddSingleton<TenureClaims>();
        services.AddSingleton<BackupLegs>();
        services.AddSingleton<IDeathWitness>(p => p.GetRequiredService<ShardRuntimeOptions>().Witness is { Url: not null } witness ? new HostWitness(witness, p.GetRequiredService<ITokenSource>()) : new NoWitness());
        services.AddSingleton<Suspects>();
        services.AddHostedService(p => p.GetRequiredService<Suspects>());
        services.AddSingleton<IControlPlane, SuspectPlane>();
        services.AddSingleton<MemberPings>();
        services.AddSingleton<IControlPlane, ReachPlane>();
        services.AddSingleton(p => new TakeOverReports(p.GetRequiredService<ShardRuntimeOptions>().Orchestrator, p.GetRequiredService<ITokenSource>(), p.GetRequiredService<TimeProvider>(), p.GetRequiredService<ILogger<TakeOverReports>>()));
        services.AddHostedService(p => p.GetRequiredService<TakeOverReports>());
        services.AddSingleton<IControlPlane, BackupPlane>();
        services.AddSingleton<IControlPlane, RepairPlane>();
        services.TryAddSingleton<IMapView, FollowedMap>();
        services.TryAddSingleton<ILeaseView, HeldLease>();
        services.TryAddSingleton<IEndpointStates, ReplicatedStates>();
        services.TryAddSingleton<IReplicas, ReplicatedStates>();
        services.AddHostedService<MembershipService>();
        return services;
    }

}
