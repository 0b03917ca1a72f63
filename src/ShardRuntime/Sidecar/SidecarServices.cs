using ShardCloud.ShardRuntime.Health;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sidecar.StateApi;

namespace ShardCloud.ShardRuntime.Sidecar;

/// <summary>Composition of the sidecar room: the runtime as a process of its own beside an application in any language.</summary>
internal static class SidecarServices
{
    /// <summary>Adds what runs the application, where the settings name one. Before the runtime itself: what is added first is stopped last.</summary>
    public static WebApplicationBuilder AddSidecar(this WebApplicationBuilder builder)
    {
        if (!string.IsNullOrWhiteSpace(builder.Configuration[$"{ShardRuntimeOptions.SectionName}:App:Command"])) builder.Services.AddSidecar();
        return builder;
    }

    internal static void AddSidecar(this IServiceCollection services)
    {
        services.AddSingleton(p => p.GetRequiredService<ShardRuntimeOptions>().App);
        services.AddSingleton(p => new AppPresence(p.GetRequiredService<AppSettings>(), p.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IReadiness>(p => p.GetRequiredService<AppPresence>());
        services.AddSingleton<AppForwarder>();
        services.AddSingleton<StateCalls>();
        services.AddSingleton<StateServer>();
        services.AddHostedService(p => p.GetRequiredService<StateServer>()); // Before the application, which is told where it is.
        services.AddHostedService<AppService>();
    }

    /// <summary>Declares the application's endpoints and sends every request to it that is not the runtime's own. False: there is none.</summary>
    /// <exception cref="ShardCloudException">SC1003: not a template, or the same one twice.</exception>
    public static bool MapSidecar(this WebApplication app)
    {
        if (app.Services.GetService<AppForwarder>() is not { } forwarder) return false;
        foreach (var template in app.Services.GetRequiredService<AppSettings>().Templates()) app.Services.GetRequiredService<ShardTemplates>().Add(template);
        app.MapFallback("{**path}", forwarder.InvokeAsync);
        return true;
    }
}
