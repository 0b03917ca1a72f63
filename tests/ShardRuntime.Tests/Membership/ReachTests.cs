using System.Net.Http.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Membership;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Membership;

/// <summary>A member is asked whether it reaches another one: step 1 of docs/protocol/take-over.md, A slow shard.</summary>
public sealed class ReachTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    public async Task Reach_SaysWhetherTheOtherAnswersNow()
    {
        var (one, other) = (await StartAsync("shard-1"), await StartAsync("shard-2"));
        var status = other.Get<Status>();

        Assert.True((await ReachAsync(one, other.Self.Value, 3_000)).AnsweredMs > 0);
        status.IsStuck = true;
        Assert.Null((await ReachAsync(one, other.Self.Value, 100)).AnsweredMs);
        (status.IsStuck, status.Name) = (false, "shard-2~another");
        Assert.Null((await ReachAsync(one, other.Self.Value, 3_000)).AnsweredMs); // Another process at its address.
        await other.CrashAsync();
        Assert.Null((await ReachAsync(one, other.Self.Value, 3_000)).AnsweredMs);
    }

    [Theory]
    [InlineData("?member=shard-9~1&timeoutMs=100")]
    [InlineData("?member=shard-1&timeoutMs=100")]
    [InlineData("?timeoutMs=100")]
    [InlineData("?member=shard-9~1&timeoutMs=0")]
    public async Task Reach_OfNobody_IsNoVote(string query)
    {
        using var answer = await AskAsync(await StartAsync("shard-1"), query);
        Assert.False(answer.IsSuccessStatusCode);
    }

    private Task<TestMember> StartAsync(string shard) => _cluster.StartAsync(shard, services: services =>
    {
        services.AddSingleton<MemberPings>();
        services.AddSingleton<IControlPlane, ReachPlane>();
        services.AddSingleton<Status>();
        services.AddSingleton<IControlPlane>(p => p.GetRequiredService<Status>());
    });

    private static async Task<ReachReport> ReachAsync(TestMember asked, string member, int timeoutMs)
    {
        using var answer = await AskAsync(asked, $"?member={member}&timeoutMs={timeoutMs}");
        return (await answer.Content.ReadFromJsonAsync(MemberJson.Default.ReachReport, TestContext.Current.CancellationToken))!;
    }

    private static async Task<HttpResponseMessage> AskAsync(TestMember asked, string query)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/_shard/reach{query}") { Version = new Version(2, 0), VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        request.Headers.Add(ShardHeaders.Token, asked.Token(Roles.Orchestrator));
        return await asked.MemberClient.SendAsync(request, TestContext.Current.CancellationToken);
    }

    /// <summary>The status of a member whose application may be stuck.</summary>
    private sealed class Status(ShardContext shard) : IControlPlane
    {
        public volatile bool IsStuck;
        public volatile string? Name;

        public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapGet("/_shard/status", async (HttpContext context) =>
        {
            if (IsStuck) await Task.Delay(Timeout.Infinite, context.RequestAborted);
            return Results.Json(new MemberStatus(Name ?? shard.Self.Value, "", "shard", "1", "", "", 1, 0, 0, 0, 0, 0, 0, 0, 0, []), MemberJson.Default.MemberStatus);
        });
    }
}
