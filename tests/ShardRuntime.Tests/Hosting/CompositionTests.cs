using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Hosting;

/// <summary>A real member's parts, all of them: a circle among them that goes through a factory is no error to the container, it waits for ever.</summary>
public sealed class CompositionTests
{
    [Theory]
    [InlineData("Shard")]
    [InlineData("Router")]
    public async Task Member_WithEveryRoom_IsComposed(string role)
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
                builder.AddShardRuntime();
                var app = builder.Build();
                app.UseShardRuntime();
                return (App: app, Services: app.Services.GetServices<IHostedService>().Count());
            }, TestContext.Current.CancellationToken);

            var (app, services) = await composing.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
            await using (app) Assert.True(services > 3);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
