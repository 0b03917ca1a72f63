using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
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

    /// <summary>The names of the parts with a life of their own, in order.</summary>
    private static async Task<List<string>> ComposeAsync(string role, Action<WebApplicationBuilder>? before = null)
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
                return (App: app, Parts: app.Services.GetServices<IHostedService>().Select(part => part.GetType().Name).ToList());
            }, TestContext.Current.CancellationToken);

            var (app, parts) = await composing.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
            await using (app) return parts;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
