using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Security;

/// <summary>Requests whose end two servers might see in different places (RFC 9112, 11.2): what reaches the application is one request, or none, the answer is 400, and the connection is closed.</summary>
public sealed class SmugglingTests : IAsyncLifetime
{
    private const string Smuggled = "GET /rooms/1/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

    private readonly TestCluster _cluster = new();
    private readonly ConcurrentQueue<string> _reached = new();
    private TestMember _router = null!, _shard = null!;

    public async ValueTask InitializeAsync()
    {
        _shard = await _cluster.StartAsync("shard-1", map: Map);
        _router = await _cluster.StartAsync("router-1", MemberRole.Router);
        _cluster.GrantAll(_shard);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    public static readonly TheoryData<string, string> Ambiguous = new()
    {
        { "CL and TE", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "TE and CL", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: {5 + Smuggled.Length}\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "two CLs", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: {Smuggled.Length}\r\n\r\n{Smuggled}" },
        { "two equal CLs", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi{Smuggled}" },
        { "a list of CLs", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nhi{Smuggled}" },
        { "CL with a minus", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n\r\nhi{Smuggled}" },
        { "CL in hex", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\nhi{Smuggled}" },
        { "CL overflows", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551618\r\n\r\nhi{Smuggled}" },
        { "TE unknown", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "TE identity", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi{Smuggled}" },
        { "TE not last", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "TE twice", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "TE chunked twice", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "TE with another coding", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "space before the colon", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "obs-fold", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "folded TE", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "bare CR in a value", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nX-A: 1\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n{Smuggled}" },
        { "NUL in a value", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nX-A: \0\r\nContent-Length: 0\r\n\r\n{Smuggled}" },
        { "bare LF ends a chunk's extension", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\n2e\r\n0\r\n\r\n{Smuggled}" },
        { "chunk size with a sign", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nhi\r\n0\r\n\r\n{Smuggled}" },
        { "chunk size overflows", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff2\r\nhi\r\n0\r\n\r\n{Smuggled}" },
        { "chunk without its end", $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiXX0\r\n\r\n{Smuggled}" },
        { "two Hosts", $"GET /rooms/1/echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{Smuggled}" },
        { "no Host", $"GET /rooms/1/echo HTTP/1.1\r\n\r\n{Smuggled}" },
        { "quoted Host", $"GET /rooms/1/echo HTTP/1.1\r\nHost: a\"b\r\n\r\n{Smuggled}" },
        { "Host with a path", $"GET /rooms/1/echo HTTP/1.1\r\nHost: a/b\r\n\r\n{Smuggled}" },
        { "absolute-form with another Host", $"GET http://b/rooms/1/echo HTTP/1.1\r\nHost: a\r\n\r\n{Smuggled}" },
        { "a space in the target", $"GET /rooms/1/echo x HTTP/1.1\r\nHost: a\r\n\r\n{Smuggled}" },
    };

    [Theory]
    [MemberData(nameof(Ambiguous))]
    public async Task Ambiguous_Is400_AndTheConnectionCloses(string what, string request)
    {
        foreach (var member in new[] { _router, _shard })
        {
            var answer = await RawClient.SendAsync(member, request);
            Assert.True(RawClient.StatusesOf(answer) is [400], $"{what} at {member.Self}: {answer}");
            Assert.DoesNotContain(_reached, path => path.Contains("smuggled", StringComparison.Ordinal));
        }
    }

    [Theory]
    [InlineData("Content-Length: 2\r\n\r\nhi")]
    [InlineData("Content-Length: +2\r\n\r\nhi")] // Kestrel takes the sign, though RFC 9110 does not; it goes on as 2.
    [InlineData("Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n2;name=\"value\"\r\nhi\r\n0;x\r\n\r\n")] // Extensions are dropped (RFC 9112, 7.1.1).
    [InlineData("Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Shard-Token: evil\r\nTrailer: x\r\n\r\n")]
    public async Task Plain_IsTwoRequests_EachWhole(string framing)
    {
        foreach (var member in new[] { _router, _shard })
        {
            _reached.Clear();
            var answer = await RawClient.SendAsync(member, $"POST /rooms/1/echo HTTP/1.1\r\nHost: a\r\n{framing}GET /rooms/1/second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            Assert.Equal([200, 404], RawClient.StatusesOf(answer));
            Assert.Equal(["POST /rooms/1/echo hi"], _reached);
            Assert.DoesNotContain("evil", answer);
        }
    }

    [Fact]
    public async Task BareLf_EndsALine_OrTheRequestIsRefused()
    {
        foreach (var member in new[] { _router, _shard })
        {
            _reached.Clear();
            var answer = await RawClient.SendAsync(member, "POST /rooms/1/echo HTTP/1.1\nHost: a\nContent-Length: 2\nConnection: close\n\nhi");
            if (RawClient.StatusesOf(answer) is [400]) Assert.Empty(_reached);
            else Assert.Equal(["POST /rooms/1/echo hi"], _reached);
        }
    }

    private void Map(WebApplication app) => app.MapGroup(TestCluster.Template).Map("/{what}", async (HttpContext context, string what) =>
    {
        if (what == "second") return Results.NotFound();
        using var reader = new StreamReader(context.Request.Body);
        var body = await reader.ReadToEndAsync();
        _reached.Enqueue($"{context.Request.Method} {context.Request.Path} {body}");
        return Results.Text(string.Join('\n', context.Request.Headers.Select(header => $"{header.Key}={header.Value}")));
    });
}
