using ShardCloud.ShardRuntime.Health;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>Composition of the carrier: dialling, roster, drain, and the gate in front.</summary>
internal static class CarrierServices
{
    public static IServiceCollection AddSocketCarrier(this IServiceCollection services)
    {
        services.AddSingleton<LegPool>();
        services.AddSingleton<LegDialler>();
        services.AddSingleton<SocketMetrics>();
        services.AddSingleton<CarrierRoster>();
        services.AddHostedService(p => p.GetRequiredService<CarrierRoster>());
        services.AddSingleton<CarrierDrain>();
        services.AddHostedService(p => p.GetRequiredService<CarrierDrain>());
        services.AddSingleton<IReadiness>(p => p.GetRequiredService<CarrierDrain>());
        services.AddSingleton<CarrierTools>();
        services.AddSingleton<SocketGate>();
        return services;
    }
}
