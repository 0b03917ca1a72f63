using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using ShardCloud.Replication;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>Export of metrics and traces by OTLP, with OpenTelemetry's standard variables; off unless an endpoint is named.</summary>
internal static class Telemetry
{
    /// <summary>The variable that switches it on (OpenTelemetry, "OTLP Exporter Configuration").</summary>
    public const string Endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";

    private const string ServiceName = "OTEL_SERVICE_NAME";

    public static void AddTelemetry(this WebApplicationBuilder builder)
    {
        var configuration = builder.Configuration;
        if (string.IsNullOrWhiteSpace(configuration[Endpoint])) return;
        var section = configuration.GetSection(ShardRuntimeOptions.SectionName);
        var name = configuration[ServiceName] ?? section[nameof(ShardRuntimeOptions.Application)] ?? "shardcloud";
        builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService(name, serviceVersion: section[nameof(ShardRuntimeOptions.ApplicationVersion)])
                .AddAttributes([new("shardcloud.shard", section[nameof(ShardRuntimeOptions.Shard)] ?? "")]))
            .WithMetrics(metrics => metrics.AddMeter(LogMetrics.MeterName, ShardMetrics.MeterName, "Microsoft.AspNetCore.Hosting").AddOtlpExporter())
            .WithTracing(traces => traces.AddAspNetCoreInstrumentation().AddSource(LogTraces.SourceName, EndpointExecutor.TraceSource).AddOtlpExporter());
    }
}
