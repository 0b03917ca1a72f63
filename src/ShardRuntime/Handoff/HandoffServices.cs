using Microsoft.Extensions.DependencyInjection.Extensions;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>Composition of the handoff room. Map, lease and replication are registered by whoever composes the member.</summary>
internal static class HandoffServices
{
    /// <summary>Control endpoints of every member, and for a shard the handoffs.</summary>
    public static IServiceCollection AddHandoff(this IServiceCollection services, MemberRole role)
    {
        services.AddSingleton<IControlPlane, MemberPlane>();
        if (role is MemberRole.Router) return services;
        services.AddSingleton<HandoffService>();
        services.Replace(ServiceDescriptor.Singleton<IHandoffTable>(p => p.GetRequiredService<HandoffService>()));
        services.AddSingleton<IControlPlane, HandoffPlane>();
        return services;
    }
}
