using System.IO.Compression;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Affinity;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Affinity;

/// <summary>What members observe, over real sockets: rooms/2 is at shard-2, everything else at shard-1; clients come to a router.</summary>
public sealed class AffinityTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private TestMember _first = null!, _second = null!, _router = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _first = await _cluster.StartAsync("shard-1", map: Map);
        _second = await _cluster.StartAsync("shard-2", map: Map);
        _router = await _cluster.StartAsync("router-1", MemberRole.Router);
        var epoch = _cluster.GrantAll(_first);
        foreach (var room in new[] { 3, 7 }) _first.States.Own(new EndpointId($"rooms/{room}"), epoch);
        _cluster.Place(new EndpointId("rooms/2"), _first, _second);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Theory]
    [InlineData("Cookie", "theme=dark; .AspNetCore.Session=ada; lang=en", "Cookie", ".AspNetCore.Session=bob")]
    [InlineData("Authorization", "Bearer ada", "Authorization", "Bearer bob")]
    public async Task Client_IsKnownByItsCookieOrToken_AndCountedWhereItArrives(string header, string ada, string otherHeader, string bob)
    {
        await GetAsync("/rooms/1", header, ada);
        await GetAsync("/rooms/7", otherHeader, bob);
        await GetAsync("/rooms/2", header, ada);

        Assert.Equal("rooms/1-rooms/2", Edges(await ReadAsync(_router)));
        Assert.All(new[] { _first, _second }, member => Assert.Equal("", Edges(ReadAsync(member).Result)));
        Assert.Equal(["rooms/1", "rooms/7"], (await ReadAsync(_first)).Vertices.Select(vertex => vertex.Endpoint.Value));
        Assert.All((await ReadAsync(_first)).Vertices, vertex => Assert.True(vertex.Load is { Requests: > 0, Cpu: > 0, Bytes: > 0 }));
        Assert.Equal(["rooms/2"], (await ReadAsync(_second)).Vertices.Select(vertex => vertex.Endpoint.Value));
    }

    [Fact]
    public async Task Call_OfAHandler_IsAnEdge_AndCountedByWhetherItCrosses()
    {
        for (var i = 0; i < 2; i++) await GetAsync("/rooms/1/call?path=/rooms/2");
        await GetAsync("/rooms/1/call?path=/rooms/3");

        var map = await ReadAsync(_first);
        Assert.Equal("rooms/1-rooms/2 rooms/1-rooms/3", Edges(map));
        Assert.Equal(2, map.Edges[0].Weight / map.Edges[1].Weight, 0.01);
        Assert.Equal((1L, 2L), (_first.Get<ShardMetrics>().CallsHere, _first.Get<ShardMetrics>().CallsCrossed));
        Assert.Equal("", Edges(await ReadAsync(_second))); // The callee's owner does not count it again.
    }

    [Fact]
    public async Task StateOfAnEndpoint_HasItsSize()
    {
        using var answer = await _router.Client.PostAsync("/rooms/1/increment", null, Cancelled);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.InRange((await ReadAsync(_first)).Vertices.Single(vertex => vertex.Endpoint.Value == "rooms/1").Load.StateBytes, 10, 1_000);
    }

    /// <summary>With as much as is kept at the default: members are asked once a minute, all of them.</summary>
    [Fact]
    public async Task FullObservation_IsPackedForWhoTakesIt_AndSmall()
    {
        var observer = _first.Get<AffinityObserver>();
        var endpoints = Enumerable.Range(0, 4_000).Select(room => new EndpointId($"rooms/{room}")).ToArray();
        for (var call = 0; call < 40_000; call++)
        {
            var from = endpoints[call * 7 % endpoints.Length];
            observer.Called(from, endpoints[((call * 31) + (call / 4_000)) % endpoints.Length]);
            observer.Ran(from, observer.Paused(observer.Begin()), call * 13 % 5_000);
        }

        var plain = await AskAsync(_first, null);
        var packed = await AskAsync(_first, "br");

        Assert.Equal(("", "br", ""), (plain.Encoding, packed.Encoding, (await AskAsync(_first, "br;q=0")).Encoding));
        using var unpacked = new MemoryStream();
        await using (var brotli = new BrotliStream(new MemoryStream(packed.Body), CompressionMode.Decompress)) await brotli.CopyToAsync(unpacked, Cancelled);
        var map = AffinityFile.Read(unpacked.ToArray());
        Assert.InRange(map.Edges.Count, 5_000, 10_000);
        Assert.Equal(Edges(AffinityFile.Read(plain.Body)), Edges(map));
        Assert.True(packed.Body.Length < plain.Body.Length / 2, $"{plain.Body.Length} bytes, packed {packed.Body.Length}");
    }

    [Fact]
    public async Task SwitchedOff_NothingIsObserved()
    {
        var member = await _cluster.StartAsync("router-2", MemberRole.Router, settings: new Dictionary<string, string?> { ["ShardCloud:Affinity:Enabled"] = "false" });
        _cluster.Publish();
        foreach (var path in new[] { "/rooms/1", "/rooms/2" })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path) { Headers = { { "Cookie", ".AspNetCore.Session=ada" } } };
            using var answer = await member.Client.SendAsync(request, Cancelled);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
        Assert.Equal((0, 0, 0), (await ReadAsync(member)) is var map ? (map.Vertices.Count, map.Edges.Count, map.Slots.Count) : default);
    }

    [Fact]
    public void Arrival_OnceWarm_AllocatesNothing()
    {
        var (observer, endpoints) = (_router.Get<AffinityObserver>(), new[] { new EndpointId("rooms/1"), new EndpointId("rooms/2") });
        var byCookie = new DefaultHttpContext { Request = { Headers = { Cookie = "theme=dark; .AspNetCore.Session=CfDJ8M2n0WqQmGVKkSx9" } } };
        var byToken = new DefaultHttpContext { Request = { Headers = { Authorization = "Bearer eyJhbGciOiJIUzI1NiJ9" } } };
        Loop();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Loop();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal("rooms/1-rooms/2", Edges(observer.Read(new Dictionary<EndpointId, int>(), _ => 0)));

        void Loop()
        {
            for (var i = 0; i < 1_000; i++)
            {
                observer.Arrived(byCookie, endpoints[i & 1]);
                observer.Arrived(byToken, endpoints[i & 1]);
                observer.Ran(endpoints[0], observer.Paused(observer.Begin()), 100);
            }
        }
    }

    [Theory]
    [InlineData(".AspNetCore.Session=1", "1")]
    [InlineData("a=2; .AspNetCore.Session=1; b=3", "1")]
    [InlineData("a=2;.AspNetCore.Session=1", "1")]
    [InlineData("a.AspNetCore.Session=2; .AspNetCore.Sessions=3", null)]
    [InlineData(".AspNetCore.Session=", null)]
    [InlineData(".AspNetCore.Session", null)]
    [InlineData("", null)]
    public void Cookie_IsFoundByItsWholeName(string cookies, string? expected) =>
        Assert.Equal(expected, ClientCookies.TryFind(cookies, ".AspNetCore.Session", out var value) ? value.ToString() : null);

    private async Task GetAsync(string path, string? header = null, string? value = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        if (header is not null) request.Headers.TryAddWithoutValidation(header, value);
        using var answer = await _router.Client.SendAsync(request, Cancelled);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    private static async Task<AffinityMap> ReadAsync(TestMember member) => AffinityFile.Read((await AskAsync(member, null)).Body);

    private static async Task<(byte[] Body, string Encoding)> AskAsync(TestMember member, string? accepts)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/_shard/affinity") { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        request.Headers.Add("X-Shard-Token", member.Token());
        if (accepts is not null) request.Headers.Add("Accept-Encoding", accepts);
        using var answer = await member.MemberClient.SendAsync(request, Cancelled);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return (await answer.Content.ReadAsByteArrayAsync(Cancelled), string.Join(',', answer.Content.Headers.ContentEncoding));
    }

    private static string Edges(AffinityMap map) => string.Join(' ', map.Edges.Select(edge => $"{map.Vertices[edge.A].Endpoint}-{map.Vertices[edge.B].Endpoint}"));

    private void Map(WebApplication app) => app.MapGet("/rooms/{room}/call", async (HttpContext context, string path) => await context.ShardClient().GetStringAsync(path));
}
