using System.Runtime.CompilerServices;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.ShardRuntime.Sidecar;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sidecar;

/// <summary>A member of a <see cref="TestCluster"/> beside a real program.</summary>
internal static class AppHost
{
    /// <summary>Starts it; the program is app.js in this folder unless another command is given.</summary>
    public static Task<TestMember> StartAppAsync(this TestCluster cluster, string shard = "shard-1", string? command = null, Dictionary<string, string?>? settings = null, TimeProvider? time = null) =>
        cluster.StartAsync(shard, map: app => app.MapSidecar(), settings: new Dictionary<string, string?>(settings ?? [])
        {
            ["ShardCloud:App:Command"] = command ?? $"node \"{PathOf("app.js")}\"",
            ["ShardCloud:App:Endpoints:0"] = TestCluster.Template,
        }, services: services =>
        {
            services.AddSidecar();
            if (time is not null) services.AddSingleton(time);
        }, rooms: false);

    /// <summary>A file, from this folder.</summary>
    public static string PathOf(string file, [CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, file));
}
