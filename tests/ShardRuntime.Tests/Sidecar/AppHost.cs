using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Builder;
using ShardCloud.ShardRuntime.Sidecar;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sidecar;

/// <summary>A member of a <see cref="TestCluster"/> beside a real program: app.js in this folder.</summary>
internal static class AppHost
{
    public static Task<TestMember> StartAppAsync(this TestCluster cluster, string shard = "shard-1", Dictionary<string, string?>? settings = null, Action<WebApplication>? map = null) =>
        cluster.StartAsync(shard, map: app =>
        {
            map?.Invoke(app);
            app.MapSidecar();
        }, settings: new Dictionary<string, string?>(settings ?? [])
        {
            ["ShardCloud:App:Command"] = settings?.GetValueOrDefault("ShardCloud:App:Command") ?? $"node \"{Script()}\"",
        }, services: services => services.AddSidecar());

    private static string Script([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "app.js");
}
