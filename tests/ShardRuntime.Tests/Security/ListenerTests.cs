using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using ShardCloud.Identity;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Security;

/// <summary>What each listener lets through, and what the application gets to see.</summary>
public sealed class ListenerTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private TestMember _router = null!, _shard = null!;

    public async ValueTask InitializeAsync()
    {
        _shard = await _cluster.StartAsync("shard-1", map: Map);
        _router = await _cluster.StartAsync("router-1", MemberRole.Router);
        _cluster.GrantAll(_shard);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Theory]
    [InlineData("/_shard")]
    [InlineData("/_shard/status")]
    [InlineData("/_SHARD/status")]
    [InlineData("//_shard/status")]
    [InlineData("/%5Fshard/status")]
    [InlineData("/./_shard/status")]
    [InlineData("/x/../_shard/status")]
    [InlineData("/_shardx")]
    public async Task PublicListener_RefusesMemberPaths(string path)
    {
        // Over a raw socket: HttpClient would tidy the path.
        foreach (var member in new[] { _shard, _router })
        {
            var answer = await RawAsync(member, $"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Shard-Token: {member.Token()}\r\n\r\n");
            Assert.StartsWith("HTTP/1.1 404", answer);
            Assert.DoesNotContain("control", answer);
        }
    }

    [Fact]
    public async Task MemberListener_WithoutToken_RefusesEveryPath()
    {
        foreach (var path in new[] { "/_shard/test", "/rooms/1", "/hello", "/healthz" })
        {
            var answer = await _shard.MemberClient.GetAsync(path);
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
            Assert.Contains(ErrorCodes.MemberOnly, await answer.Content.ReadAsStringAsync());
        }
    }

    [Fact]
    public async Task MemberListener_WrongAudienceRoleOrKey_Refuses()
    {
        Assert.Equal(HttpStatusCode.Unauthorized, (await ControlAsync(_shard.Token(audience: Audiences.Management))).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await ControlAsync(_shard.Token(Roles.Operator))).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await ControlAsync(_shard.Token()[..^2] + "xx")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await ControlAsync("nonsense")).StatusCode);
    }

    [Theory]
    [InlineData(Roles.Member)]
    [InlineData(Roles.Orchestrator)]
    public async Task MemberListener_WithToken_ReachesControlPaths(string role) =>
        Assert.Equal($"control for {role}", await (await ControlAsync(_shard.Token(role))).Content.ReadAsStringAsync());

    [Fact]
    public async Task Application_NeverSeesTokensNorWhatClientsClaim()
    {
        foreach (var member in new[] { _shard, _router })
        {
            var request = new HttpRequestMessage(HttpMethod.Get, "/rooms/1/headers");
            foreach (var name in new[] { "X-Shard-Token", "X-Shard-To", "X-Shard-Request", "x-shard-anything" }) request.Headers.TryAddWithoutValidation(name, "injected");
            foreach (var name in new[] { "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host" }) request.Headers.TryAddWithoutValidation(name, "injected");
            request.Headers.Add("X-Mine", "kept");

            var seen = await (await member.Client.SendAsync(request)).Content.ReadAsStringAsync();

            Assert.DoesNotContain("injected", seen);
            Assert.DoesNotContain("X-Shard-Token", seen, StringComparison.OrdinalIgnoreCase);
            Assert.Contains("X-Mine=kept", seen, StringComparison.OrdinalIgnoreCase);
            Assert.Contains("remote=127.0.0.1", seen);
            Assert.Contains($"host={new Uri(member.Shard.PublicAddress).Authority}", seen);
        }
    }

    [Fact]
    public async Task RequestIdOfAClient_IsNotTaken()
    {
        for (var i = 0; i < 2; i++)
        {
            var request = new HttpRequestMessage(HttpMethod.Post, "/rooms/1/increment");
            request.Headers.Add("X-Shard-Request", "r:a-1");
            (await _router.Client.SendAsync(request)).EnsureSuccessStatusCode();
        }
        Assert.Equal(2, _shard.Runs);
    }

    [Fact]
    public async Task HeadersOfOurs_SetByTheApplication_DoNotReachTheClientOrSteerTheRouter()
    {
        var answer = await _router.Client.GetAsync("/rooms/1/mislead");
        Assert.Equal(HttpStatusCode.MisdirectedRequest, answer.StatusCode);
        Assert.Equal("the application's own 421", await answer.Content.ReadAsStringAsync());
        Assert.False(answer.Headers.Contains("X-Shard-Entry"));
    }

    [Fact]
    public async Task Health_IsAnonymousAndSaysWhatIsMissing()
    {
        Assert.Equal("alive\n", await _shard.Client.GetStringAsync("/healthz"));
        var notReady = await _shard.Client.GetAsync("/readyz");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, notReady.StatusCode);
        Assert.Contains("not joined", await notReady.Content.ReadAsStringAsync());

        _shard.Shard.IsJoined = true;
        Assert.Equal("ready\n", await _shard.Client.GetStringAsync("/readyz"));

        _shard.IsValid = false;
        Assert.Contains("lease", await (await _shard.Client.GetAsync("/readyz")).Content.ReadAsStringAsync());
    }

    private static void Map(WebApplication app)
    {
        app.MapGet("/_shard/test", (HttpContext context) => $"control for {context.MemberCaller()!.Role}");
        app.MapGet("/_shard/status", () => "control");
        var room = app.MapGroup(TestCluster.Template);
        room.MapGet("/headers", (HttpContext context) =>
            string.Join('\n', context.Request.Headers.Select(h => $"{h.Key}={h.Value}").Append($"remote={context.Connection.RemoteIpAddress}").Append($"host={context.Request.Host}")));
        room.MapGet("/mislead", (HttpContext context) =>
        {
            context.Response.Headers["X-Shard-Entry"] = "{\"version\":99,\"owner\":\"evil-1~x\",\"epoch\":99}";
            return Results.Text("the application's own 421", statusCode: 421);
        });
    }

    private Task<HttpResponseMessage> ControlAsync(string token)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, "/_shard/test") { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        request.Headers.TryAddWithoutValidation("X-Shard-Token", token);
        return _shard.MemberClient.SendAsync(request);
    }

    private static async Task<string> RawAsync(TestMember member, string request)
    {
        var address = new Uri(member.Shard.PublicAddress);
        using var client = new TcpClient();
        await client.ConnectAsync(address.Host, address.Port);
        var stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(request));
        using var reader = new StreamReader(stream);
        return await reader.ReadToEndAsync();
    }
}
