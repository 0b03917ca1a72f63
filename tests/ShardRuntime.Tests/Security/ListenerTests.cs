using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using ShardCloud.Identity;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Tests.Hosting;
using ShardCloud.Tests;

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
    [InlineData("/_shard-sessions/x")]
    [InlineData("/_Shard-Sessions/x")]
    [InlineData("/%5fshard-sessions/x")]
    [InlineData("/%5F%73hard/status")]
    [InlineData("/.%2e/_shard/status")]
    [InlineData("/%2e/_shard/status")]
    [InlineData("/rooms/1/%2e%2e/../_shard/status")]
    [InlineData("http://x/_shard/status")]
    [InlineData("http://x//_shard/status")]
    [InlineData("http://x/a/../_shard/status")]
    [InlineData("http://x/%5Fshard/status")]
    public async Task PublicListener_RefusesMemberPaths(string path)
    {
        // Over a raw socket: HttpClient would tidy the path.
        foreach (var member in new[] { _shard, _router })
        {
            var answer = await RawClient.SendAsync(member, $"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Shard-Token: {member.Token()}\r\n\r\n");
            Assert.StartsWith("HTTP/1.1 404", answer);
            Assert.DoesNotContain("control", answer);
        }
    }

    // A path of its own, and no other spelling of a member's: whatever answers it, it is not the member's.
    [Theory]
    [InlineData("/%255Fshard/status")]
    [InlineData("/_shard%2Fstatus")]
    [InlineData("/%2F_shard/status")]
    [InlineData("/%2f%2f_shard/status")]
    [InlineData("/x%2F..%2F_shard/status")]
    [InlineData("/\\_shard/status")]
    [InlineData("/%5C_shard/status")]
    [InlineData("/%255Fshard-sessions/x")]
    [InlineData("http://x/%255Fshard/status")] // The server's own path of it is decoded once: sent on as that, the next member would decode it again.
    [InlineData("http://x/%255Fshard-sessions/x")]
    [InlineData("http://x/%252e%252e/_shard/status")]
    [InlineData("http://x/x%2F..%2F_shard/status")]
    [InlineData("http://x\\_shard/status")]
    [InlineData("http://x?/../_shard/status")]
    [InlineData("HTTP://x/_SHARD/status")]
    public async Task PublicListener_PathsThatOnlyLookLikeMembers_AreNotTheirs(string path)
    {
        foreach (var member in new[] { _shard, _router })
        {
            var answer = await RawClient.SendAsync(member, $"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            Assert.StartsWith("HTTP/1.1 40", answer);
            Assert.DoesNotContain("control", answer);
        }
    }

    [Fact]
    public async Task Leg_ToAMembersPath_IsNotRunWithItsToken()
    {
        var leg = _shard.Leg(HttpMethod.Get, "/_shard/status", Epoch.None);
        Assert.Equal(HttpStatusCode.NotFound, (await _shard.MemberClient.SendAsync(leg)).StatusCode);
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
    public async Task MemberListener_WrongAudienceOrKey_Refuses()
    {
        Assert.Equal(HttpStatusCode.Unauthorized, (await ControlAsync(_shard.Token(audience: Audiences.Management))).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await ControlAsync(_shard.Token()[..^2] + "xx")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await ControlAsync("nonsense")).StatusCode);
    }

    public static TheoryData<string, string, string> Cells() => AuthorisationTable.Cells(call => call.Contains("listener", StringComparison.Ordinal));

    /// <summary>The table of docs/operating/identity.md.</summary>
    [Theory]
    [MemberData(nameof(Cells))]
    public async Task Cell_OfTheTable_IsSo(string call, string caller, string expected)
    {
        var atMember = call.Contains("member", StringComparison.Ordinal);
        var request = new HttpRequestMessage(HttpMethod.Get, "/_shard/test") { Version = atMember ? HttpVersion.Version20 : HttpVersion.Version11, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        if (caller != "nobody") request.Headers.Add("X-Shard-Token", _shard.Token(caller));

        using var response = await (atMember ? _shard.MemberClient : _shard.Client).SendAsync(request);

        Assert.Equal(expected, response.StatusCode is HttpStatusCode.OK ? "yes" : $"{(int)response.StatusCode}");
        if (expected == "yes") Assert.Equal($"control for {caller}", await response.Content.ReadAsStringAsync());
    }

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
            Assert.DoesNotContain("X-Shard-", seen, StringComparison.OrdinalIgnoreCase);
            Assert.Contains("X-Mine=kept", seen, StringComparison.OrdinalIgnoreCase);
            Assert.Contains("remote=127.0.0.1", seen);
            Assert.Contains($"host={new Uri(member.Shard.PublicAddress).Authority}", seen);
        }
    }

    [Fact]
    public async Task HopByHopHeaders_EndHere()
    {
        foreach (var member in new[] { _shard, _router })
        {
            var seen = await RawClient.SendAsync(member, "GET /rooms/1/headers HTTP/1.1\r\nHost: x\r\nConnection: X-Hop ,x-other\r\nX-Hop: 1\r\nX-Other: 2\r\nX-Mine: kept\r\n"
                + "Connection: Host, X-Third\r\nX-Third: 3\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            Assert.StartsWith("HTTP/1.1 200", seen);
            foreach (var name in new[] { "X-Hop", "X-Other", "X-Third" }) Assert.DoesNotContain(name + "=", seen, StringComparison.OrdinalIgnoreCase);
            Assert.Contains("X-Mine=kept", seen, StringComparison.OrdinalIgnoreCase);
            Assert.Contains("host=x", seen);
        }
    }

    [Theory]
    [InlineData("X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\nX-Forwarded-Proto: http, https\r\n", "203.0.113.7", "https")]
    [InlineData("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.7:4711\r\nX-Forwarded-Proto: HTTPS\r\n", "203.0.113.7", "https")] // App Service writes a port.
    [InlineData("X-Forwarded-For: [2001:db8::7]:4711\r\n", "2001:db8::7", "http")]
    [InlineData("X-Forwarded-For: 203.0.113.7, unknown\r\nX-Forwarded-Proto: javascript\r\nForwarded: for=6.6.6.6;proto=https\r\n", "127.0.0.1", "http")]
    [InlineData("", "127.0.0.1", "http")]
    public async Task TrustedHop_ItsOwnWordIsBelieved_AndNobodyElses(string fields, string client, string scheme)
    {
        var settings = new Dictionary<string, string?> { ["ShardCloud:Public:TrustedHops"] = "1" };
        var members = new[] { await _cluster.StartAsync("router-2", MemberRole.Router, settings: settings), await _cluster.StartAsync("shard-2", map: Map, settings: settings) };
        foreach (var member in members) // Both pass it on to the owner.
        {
            var seen = await RawClient.SendAsync(member, $"GET /rooms/1/headers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}X-Forwarded-Host: evil\r\n\r\n");
            Assert.Contains($"remote={client}\nhost=x\nscheme={scheme}", seen);
            Assert.Contains($"X-Forwarded-For={client}", seen);
            Assert.Contains($"proto={scheme};host=\"x\"", seen);
            Assert.DoesNotContain("evil", seen);
            Assert.DoesNotContain("6.6.6.6", seen);
        }
    }

    [Theory]
    [InlineData("X-Mine: a\rX-Shard-Token: b")]
    [InlineData("X-Mine: a\0b")]
    [InlineData("X-Forwarded-For: 1.2.3.4\rX-Evil: 1")]
    public async Task ControlCharactersInAValue_AreRefused(string field)
    {
        foreach (var member in new[] { _shard, _router })
            Assert.StartsWith("HTTP/1.1 400", await RawClient.SendAsync(member, $"GET /rooms/1/headers HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n"));
    }

    [Fact]
    public async Task EncodedLineBreaks_InThePath_StayThere()
    {
        foreach (var member in new[] { _shard, _router })
        {
            var seen = await RawClient.SendAsync(member, "GET /rooms/1/headers?x=%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            Assert.StartsWith("HTTP/1.1 200", seen);
            Assert.DoesNotContain("X-Evil=", seen);
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

    [Theory]
    [InlineData("/mislead")]
    [InlineData("/rooms/1/stream")]
    [InlineData("/rooms/1/trailers")]
    public async Task HeadersOfOurs_SetByTheApplication_AreTakenOffEveryAnswer(string path)
    {
        foreach (var member in new[] { _shard, _router })
        {
            var answer = await member.Client.GetAsync(path);
            Assert.Equal("the application's own", await answer.Content.ReadAsStringAsync());
            Assert.DoesNotContain(answer.Headers.Concat(answer.TrailingHeaders), header => header.Key.StartsWith("X-Shard-", StringComparison.OrdinalIgnoreCase));
        }
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
            string.Join('\n', context.Request.Headers.Select(h => $"{h.Key}={h.Value}").Append($"remote={context.Connection.RemoteIpAddress}").Append($"host={context.Request.Host}").Append($"scheme={context.Request.Scheme}")));
        app.MapGet("/mislead", (HttpContext context) =>
        {
            context.Response.Headers["X-Shard-Entry"] = "{\"version\":99,\"owner\":\"evil-1~x\",\"epoch\":99}";
            return Results.Text("the application's own", statusCode: 503);
        });
        room.MapGet("/stream", async (HttpContext context) =>
        {
            context.Response.Headers["X-Shard-Entry"] = "{\"version\":99,\"owner\":\"evil-1~x\",\"epoch\":99}";
            context.Response.StatusCode = 503;
            context.Features.GetRequiredFeature<IHttpResponseBodyFeature>().DisableBuffering();
            await context.Response.WriteAsync("the application's own");
        });
        room.MapGet("/trailers", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("the application's own");
            if (context.Response.SupportsTrailers()) context.Response.AppendTrailer("X-Shard-Moved", "1");
        });
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
}
