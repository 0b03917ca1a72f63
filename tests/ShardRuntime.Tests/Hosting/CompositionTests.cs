using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using ShardCloud.ShardRuntime.Sidecar;

namespace ShardCloud.ShardRuntime.Tests.Hosting;

/// <summary>A real member's parts, all of them: a circle among them that goes through a factory is no error to the container, it waits for ever.</summary>
public sealed class CompositionTests
{
    [Theory]
    [InlineData("Shard")]
    [InlineData("Router")]
    public async Task Member_WithEveryRoom_IsComposed(string role) => Assert.True((await ComposeAsync(role)).Count > 3);

    /// <summary>Parts are started in this order and stopped in the other one: requests are served, and the member leaves, while the program still runs.</summary>
    [Fact]
    public async Task Sidecar_StartsBeforeTheMemberJoins_AndStopsAfterItHasLeft()
    {
        var parts = await ComposeAsync("Shard", builder =>
        {
            builder.Configuration["ShardCloud:App:Command"] = "node app.js";
            builder.AddSidecar();
        });

        var program = parts.IndexOf(nameof(AppService));
        Assert.InRange(program, parts.IndexOf("StateServer") + 1, parts.IndexOf("MembershipService") - 1);
    }

    /// <summary>The framework's half a minute would cut short how a member stops: a shard's handing over, a router's sockets.</summary>
    [Theory]
    [InlineData("Shard")]
    [InlineData("Router")]
    public async Task Member_HasTheTimeToStopThatItsSettingsSay(string role)
    {
        var within = await ComposeAsync(role, app => app.Services.GetRequiredService<IOptions<HostOptions>>().Value.ShutdownTimeout, builder => builder.Configuration["ShardCloud:Stop:Within"] = "00:01:15");
        Assert.Equal(TimeSpan.FromSeconds(75), within);
    }

    /// <summary>A scope of each connection costs 150 bytes a socket, and no line shows it unless a formatter is told to.</summary>
    [Theory]
    [InlineData("Router", null, false)]
    [InlineData("Router", "Logging:CaptureScopes", true)]
    [InlineData("Router", "Logging:Console:FormatterOptions:IncludeScopes", true)]
    [InlineData("Shard", null, true)]
    public async Task Scopes_OfLogLines_AreKeptByARouterOnlyWhereTheyAreShown(string role, string? setting, bool areKept)
    {
        var log = await ComposeAsync(role, app => app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("any").BeginScope("connection 1")?.GetType().Name, builder =>
        {
            builder.Logging.AddSimpleConsole();
            if (setting is not null) builder.Configuration[setting] = "true";
        });
        Assert.Equal(areKept, log != "NullScope");
    }

    /// <summary>The names of the parts with a life of their own, in order.</summary>
    private static Task<List<string>> ComposeAsync(string role, Action<WebApplicationBuilder>? before = null) =>
        ComposeAsync(role, app => app.Services.GetServices<IHostedService>().Select(part => part.GetType().Name).ToList(), before);

    /// <summary>Composes a member, and reads something off it.</summary>
    private static async Task<T> ComposeAsync<T>(string role, Func<WebApplication, T> read, Action<WebApplicationBuilder>? before = null)
    {
        var folder = Directory.CreateTempSubdirectory("shardcloud-runtime-");
        try
        {
            var composing = Task.Run(() =>
            {
                var builder = WebApplication.CreateSlimBuilder();
                builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
                {
                    ["ShardCloud:Application"] = "rooms",
                    ["ShardCloud:Shard"] = "shard-1",
                    ["ShardCloud:Role"] = role,
                    ["ShardCloud:Auth:KeyFile"] = Path.Combine(folder.FullName, "key"),
                    ["ShardCloud:Log:BootstrapServers"] = "127.0.0.1:1",
                    ["ShardCloud:Storage:ConnectionString"] = "UseDevelopmentStorage=true",
                });
                before?.Invoke(builder);
                builder.AddShardRuntime();
                var app = builder.Build();
                app.UseShardRuntime();
                return (App: app, Read: read(app));
            }, TestContext.Current.CancellationToken);

            var (app, what) = await composing.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
            await using (app) return what;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
