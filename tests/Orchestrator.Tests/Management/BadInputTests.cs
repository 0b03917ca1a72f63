using System.Net;
using System.Text.Json;
using ShardCloud.Identity;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Management;

/// <summary>Every bad input gets a problem with its code and a remedy, and changes nothing.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class BadInputTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private static readonly string TooMany = JsonSerializer.Serialize(new { endpoints = Enumerable.Range(0, 1_001).Select(i => $"rooms/{i}"), to = "shard-2" });

    private TestCloud _cloud = null!;

    public async ValueTask InitializeAsync() => _cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1", "shard-2");

    public ValueTask DisposeAsync() => _cloud.DisposeAsync();

    [Theory]
    [InlineData("""{"endpoints":["rooms/1"],"to":"shard-2","why":"x"}""", 400, ErrorCodes.UnknownMember)]
    [InlineData("""{"endpoints":["rooms/1"],"to":"shard-2","to":"shard-1"}""", 400, ErrorCodes.MalformedJson)]
    [InlineData("""{"endpoints":["rooms/1"],"to":"shard-2" """, 400, ErrorCodes.MalformedJson)]
    [InlineData("""["rooms/1"]""", 400, ErrorCodes.MalformedJson)]
    [InlineData("", 400, ErrorCodes.MalformedJson)]
    [InlineData("""{"endpoints":[],"to":"shard-2"}""", 400, ErrorCodes.EmptyList)]
    [InlineData("""{"to":"shard-2"}""", 400, ErrorCodes.MissingValue)]
    [InlineData("""{"endpoints":["rooms/1"]}""", 400, ErrorCodes.MissingValue)]
    [InlineData("""{"endpoints":"rooms/1","to":"shard-2"}""", 400, ErrorCodes.BadValue)]
    [InlineData("""{"endpoints":[1],"to":"shard-2"}""", 400, ErrorCodes.BadValue)]
    [InlineData("""{"endpoints":["rooms/1"],"to":2}""", 400, ErrorCodes.BadValue)]
    [InlineData("""{"endpoints":["rooms/1","rooms/1"],"to":"shard-2"}""", 400, ErrorCodes.DuplicateEndpoint)]
    [InlineData("""{"endpoints":["rooms/a","rooms/%61"],"to":"shard-2"}""", 400, ErrorCodes.DuplicateEndpoint)]
    [InlineData("""{"endpoints":["rooms//1"],"to":"shard-2"}""", 400, ErrorCodes.BadEndpoint)]
    [InlineData("""{"endpoints":["rooms/../x"],"to":"shard-2"}""", 400, ErrorCodes.BadEndpoint)]
    [InlineData("""{"endpoints":["slots:0-9"],"to":"shard-2"}""", 400, ErrorCodes.BadEndpoint)]
    [InlineData("""{"endpoints":["rooms/1"],"to":"Shard 2"}""", 400, ErrorCodes.BadShard)]
    [InlineData("""{"endpoints":["rooms/1"],"to":"shard-9"}""", 404, ErrorCodes.UnknownShard)]
    public async Task PostMigrations_BadBody_IsRefusedWithItsCode(string body, int status, string code)
    {
        var response = await _cloud.SendAsync(HttpMethod.Post, "/api/migrations", body);

        var problem = await TestCloud.ProblemAsync(response);
        Assert.Equal((status, code), ((int)response.StatusCode, problem.Code));
        Assert.Empty((await _cloud.Services.ListMigrationsAsync()).Migrations);
    }

    [Fact]
    public async Task PostMigrations_OverTheLimitOfEndpoints_IsRefused() =>
        Assert.Equal(ErrorCodes.OverLimit, (await TestCloud.ProblemAsync(await _cloud.SendAsync(HttpMethod.Post, "/api/migrations", TooMany))).Code);

    [Fact]
    public async Task PostMigrations_LargeBody_Is413()
    {
        var response = await _cloud.SendAsync(HttpMethod.Post, "/api/migrations", $$"""{"endpoints":["rooms/1"],"to":"shard-2","reason":"{{new string('x', 1_100_000)}}"}""");

        Assert.Equal((HttpStatusCode.RequestEntityTooLarge, ErrorCodes.BodyTooLarge), (response.StatusCode, (await TestCloud.ProblemAsync(response)).Code));
    }

    [Fact]
    public async Task PostMigrations_NotJson_Is415()
    {
        var response = await _cloud.SendAsync(HttpMethod.Post, "/api/migrations", "endpoints=rooms/1", contentType: "application/x-www-form-urlencoded");

        Assert.Equal((HttpStatusCode.UnsupportedMediaType, ErrorCodes.UnsupportedMediaType), (response.StatusCode, (await TestCloud.ProblemAsync(response)).Code));
    }

    [Theory]
    [InlineData("PUT", "/api/migrations", 405, ErrorCodes.MethodNotAllowed)]
    [InlineData("DELETE", "/api/migrations/migrate-1", 405, ErrorCodes.MethodNotAllowed)]
    [InlineData("GET", "/api/nothing", 404, ErrorCodes.NotFound)]
    [InlineData("GET", "/api/migrations/migrate-1", 404, ErrorCodes.NotFound)]
    [InlineData("GET", "/api/migrations/a%23b", 404, ErrorCodes.NotFound)]
    [InlineData("POST", "/api/migrations/migrate-1/cancel", 404, ErrorCodes.NotFound)]
    [InlineData("GET", "/api/operations/create-1", 404, ErrorCodes.NotFound)]
    [InlineData("GET", "/api/migrations?limit=0", 400, ErrorCodes.BadValue)]
    [InlineData("GET", "/api/migrations?state=lost", 400, ErrorCodes.BadValue)]
    [InlineData("GET", "/api/affinity?top=0", 400, ErrorCodes.BadValue)]
    [InlineData("GET", "/api/affinity?top=many", 400, ErrorCodes.BadValue)]
    [InlineData("GET", "/api/map", 400, ErrorCodes.MissingValue)]
    [InlineData("GET", "/api/map?endpoint=rooms//1", 400, ErrorCodes.BadEndpoint)]
    [InlineData("DELETE", "/api/shards/shard-9", 404, ErrorCodes.UnknownShard)]
    public async Task AnyCall_WrongMethodOrUnknownThing_IsRefusedWithItsCode(string method, string path, int status, string code)
    {
        var response = await _cloud.SendAsync(new HttpMethod(method), path);

        Assert.Equal((status, code), ((int)response.StatusCode, (await TestCloud.ProblemAsync(response)).Code));
    }

    [Fact]
    public async Task PostMigrations_ToACordonedShard_Is409()
    {
        await _cloud.Store.CommitAsync(_ => new MapCommit("test", "cordon", [new Cordon(new ShardId("shard-2"), true)]));

        var response = await _cloud.MigrateAsync("shard-2", "rooms/1");

        Assert.Equal((HttpStatusCode.Conflict, ErrorCodes.DestinationNotReady), (response.StatusCode, (await TestCloud.ProblemAsync(response)).Code));
    }

    [Fact]
    public async Task PostMigrations_ToAJoiningShard_Is409()
    {
        await _cloud.Leases.RegisterAsync(new MemberRow
        {
            Incarnation = IncarnationId.New(new ShardId("shard-3")),
            LeaseLength = TimeSpan.FromSeconds(30),
            State = MemberState.Joining,
        });

        var response = await _cloud.MigrateAsync("shard-3", "rooms/1");

        Assert.Equal((HttpStatusCode.Conflict, ErrorCodes.DestinationNotReady), (response.StatusCode, (await TestCloud.ProblemAsync(response)).Code));
    }

    [Fact]
    public async Task DeleteShard_TheLastThatCanOwn_Is409()
    {
        await _cloud.Store.CommitAsync(_ => new MapCommit("test", "cordon", [new Cordon(new ShardId("shard-2"), true)]));

        var response = await _cloud.SendAsync(HttpMethod.Delete, "/api/shards/shard-1");

        Assert.Equal((HttpStatusCode.Conflict, ErrorCodes.LastShard), (response.StatusCode, (await TestCloud.ProblemAsync(response)).Code));
    }

    [Theory]
    [InlineData(null, Audiences.Management, "GET", 401, ErrorCodes.Unauthenticated)]
    [InlineData(Roles.Operator, Audiences.Members, "GET", 401, ErrorCodes.Unauthenticated)]
    [InlineData(Roles.Observer, Audiences.Management, "POST", 403, ErrorCodes.Forbidden)]
    [InlineData(Roles.Member, Audiences.Management, "GET", 403, ErrorCodes.Forbidden)]
    public async Task AnyCall_NoOrWrongToken_IsRefused(string? role, string audience, string method, int status, string code)
    {
        using var client = _cloud.Client(role, audience);

        var response = await client.SendAsync(new HttpRequestMessage(new HttpMethod(method), "/api/migrations"));

        Assert.Equal((status, code), ((int)response.StatusCode, (await TestCloud.ProblemAsync(response)).Code));
        Assert.Equal(status == 401, response.Headers.WwwAuthenticate.Count == 1);
    }

    [Fact]
    public async Task AnyCall_BeforeTheBootstrap_SaysSoAndStatusStillAnswers()
    {
        await using var fresh = new TestCloud(azurite);

        var refused = await fresh.MigrateAsync("shard-1", "rooms/1");
        var status = await fresh.SendAsync(HttpMethod.Get, "/api/status");

        Assert.Equal(ErrorCodes.NotBootstrapped, (await TestCloud.ProblemAsync(refused)).Code);
        Assert.Contains("\"bootstrapped\":false", await status.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task RefusedChange_LeavesAnAuditRow()
    {
        await _cloud.SendAsync(HttpMethod.Delete, "/api/shards/shard-9");

        var row = Assert.Single(await _cloud.AuditAsync());
        Assert.Equal(("olga", "DELETE", "/api/shards/shard-9", 404, ErrorCodes.UnknownShard), row);
    }
}
