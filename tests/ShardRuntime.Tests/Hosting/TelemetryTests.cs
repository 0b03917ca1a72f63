using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Hosting;

public sealed class TelemetryTests
{
    [Fact]
    public async Task Export_IsOnlyThereWhereAnEndpointIsNamed()
    {
        await using var without = Build(null);
        Assert.Null(without.Services.GetService<TracerProvider>());
        await using var with = Build("http://127.0.0.1:4317");
        Assert.NotNull(with.Services.GetService<TracerProvider>());
        Assert.NotNull(with.Services.GetService<MeterProvider>());

        static WebApplication Build(string? endpoint)
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Configuration[Telemetry.Endpoint] = endpoint;
            builder.AddTelemetry();
            return builder.Build();
        }
    }
}
