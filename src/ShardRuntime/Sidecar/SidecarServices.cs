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
    /// <exception cref="ShardCloudException">SC1003: not a template, or the same one twice. SC1012: a probe or rule of its contract that cannot be meant so.</exception>
    public static bool MapSidecar(this WebApplication app)
    {
        if (app.Services.GetService<AppForwarder>() is not { } forwarder) return false;
        var (settings, templates) = (app.Services.GetRequiredService<AppSettings>(), app.Services.GetRequiredService<ShardTemplates>());
        foreach (var template in settings.Templates()) templates.Add(template);
        if (settings.Contract.Length > 0) AppContract.Declare(Path.Combine(settings.WorkingDirectory ?? "", settings.Contract), templates);
        app.MapFallback("{**path}", forwarder.InvokeAsync);
        return true;
    }
}
