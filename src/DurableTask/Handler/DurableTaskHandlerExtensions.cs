using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using ShardCloud.DurableTask.Client;

namespace ShardCloud.DurableTask.Handler;

/// <summary>Turns an ASP.NET Core app into a Functions custom handler with orchestrations.</summary>
public static class DurableTaskHandlerExtensions
{
    /// <summary>Port on 127.0.0.1 that the host expects the handler on.</summary>
    public const string PortVariable = "FUNCTIONS_CUSTOMHANDLER_PORT";

    /// <summary>Largest call of the host. A turn carries its whole history; keep histories short with ContinueAsNew long before this.</summary>
    private const long RequestBytesMax = 256L * 1024 * 1024;

    /// <summary>Registers the app's orchestrators, activities and timers, a scoped <see cref="DurableTaskClient"/>, and the host's port.</summary>
    public static IServiceCollection AddDurableTaskHandler(this IServiceCollection services, Action<DurableTaskHandlerBuilder> configure)
    {
        var builder = new DurableTaskHandlerBuilder();
        configure(builder);
        services.AddSingleton(builder);
        services.AddSingleton<FunctionInvoker>();
        services.AddSingleton<HandlerPipeline>();
        services.AddSingleton<InProcessHttp>();
        services.TryAddSingleton(new DurableClients(builder.Json, builder.Version));
        services.AddScoped<InvocationClient>();
        services.TryAddScoped(s => s.GetRequiredService<DurableClients>().Get(s.GetRequiredService<InvocationClient>().Binding));
        services.AddSingleton<IStartupFilter, HandlerPipelineFilter>();
        services.AddSingleton<IConfigureOptions<KestrelServerOptions>>(new ConfigureOptions<KestrelServerOptions>(Listen));
        return services;
    }

    /// <summary>Maps the host's calls (<c>POST /FunctionName</c>) and its start-up probe (<c>GET /</c>). The app's own routes live under /api.</summary>
    public static IEndpointRouteBuilder MapDurableTaskHandler(this IEndpointRouteBuilder app)
    {
        app.MapGet("/", () => Results.Text("ready")).ExcludeFromDescription();
        app.MapPost("/{functionName}", (string functionName, HttpContext context, FunctionInvoker invoker) => invoker.InvokeAsync(functionName, context))
            .ExcludeFromDescription()
            .AllowAnonymous(); // the host calls over loopback and has no identity to show; the inner request is checked as usual
        return app;
    }

    private static void Listen(KestrelServerOptions kestrel)
    {
        if (!int.TryParse(Environment.GetEnvironmentVariable(PortVariable), NumberStyles.None, CultureInfo.InvariantCulture, out var port)) return;
        kestrel.Limits.MaxRequestBodySize = RequestBytesMax;
        kestrel.Listen(IPAddress.Loopback, port);
    }
}

/// <summary>The durable client binding of the call that a scope serves.</summary>
internal sealed class InvocationClient
{
    public DurableClientBinding? Binding { get; set; }
}

/// <summary>The app's whole request pipeline, so that a request inside an envelope can take it from the start.</summary>
internal sealed class HandlerPipeline
{
    public RequestDelegate? Entry { get; set; }
}

internal sealed class HandlerPipelineFilter(HandlerPipeline pipeline) : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use(rest =>
        {
            pipeline.Entry = rest;
            return rest;
        });
        next(app);
    };
}
