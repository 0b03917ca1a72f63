using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Proxy;

/// <summary>An answer passes the router as the owner gave it: piece by piece, and broken where it broke.</summary>
public sealed class PassedAnswerTests : IAsyncLifetime
{
    private static readonly EndpointId File = new("files/1");
    private readonly TestCluster _cluster = new();
    private readonly TaskCompletionSource _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TestMember _owner = null!, _router = null!;

    public async ValueTask InitializeAsync()
    {
        _owner = await _cluster.StartAsync("shard-1", map: Map);
        _router = await _cluster.StartAsync("router-1", MemberRole.Router);
        var epoch = _cluster.GrantAll(_owner);
        _cluster.Commit(new PublishTemplates("1.0.0", [new TemplateSpec(TestCluster.Template), new TemplateSpec("/files/{file}")]));
        _owner.States.Own(File, epoch);
        _cluster.Publish();
    }

    public ValueTask DisposeAsync()
    {
        _goOn.TrySetResult();
        return _cluster.DisposeAsync();
    }

    [Fact]
    public async Task Streamed_EachPieceArrivesWhenItWasSent()
    {
        using var answer = await _router.Client.GetAsync("/files/1/streamed", HttpCompletionOption.ResponseHeadersRead);
        using var body = await answer.Content.ReadAsStreamAsync();
        var piece = new byte[16];

        Assert.Equal("one"u8.ToArray(), piece[..await body.ReadAtLeastAsync(piece, 3)]); // The second is not written yet.
        _goOn.SetResult();
        Assert.Equal("two"u8.ToArray(), piece[..await body.ReadAtLeastAsync(piece, 3)]);
        Assert.Equal(0, await body.ReadAsync(piece));
    }

    [Fact]
    public async Task BrokenOffHalfWay_DoesNotLookWhole()
    {
        using var answer = await _router.Client.GetAsync("/files/1/broken", HttpCompletionOption.ResponseHeadersRead);
        using var body = await answer.Content.ReadAsStreamAsync();
        var piece = new byte[16];
        Assert.Equal("half"u8.ToArray(), piece[..await body.ReadAtLeastAsync(piece, 4)]);
        _goOn.SetResult();

        await Assert.ThrowsAnyAsync<Exception>(async () => await body.ReadExactlyAsync(piece.AsMemory(0, 1)));
        Assert.Equal(1, _router.Get<ShardMetrics>().ForwardedCount); // Nobody asked again: a part had left.
    }

    /// <summary>The owner dies between the last byte of its answer and the end of its stream: the client has all of it, and keeps its connection for the next request.</summary>
    [Fact]
    public async Task BrokenOffBehindTheLastByte_TheClientsConnectionGoesOn()
    {
        var connections = 0;
        using var client = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (target, cancellation) =>
            {
                Interlocked.Increment(ref connections);
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(target.DnsEndPoint, cancellation);
                return new NetworkStream(socket, ownsSocket: true);
            },
        })
        { BaseAddress = new Uri(_router.Shard.PublicAddress) };
        Assert.Equal("whole", await client.GetStringAsync("/files/1/whole", TestContext.Current.CancellationToken));
        _goOn.SetResult();
        await Eventually.TrueAsync(() => _router.Get<ShardMetrics>().LegCount == 0, "the leg has ended");

        Assert.Equal("text", await client.GetStringAsync("/files/1/text", TestContext.Current.CancellationToken));
        Assert.Equal(1, connections);
    }

    /// <summary>The owner dies in the middle of a small answer: nothing of it has left the router yet, so it asks again.</summary>
    [Fact]
    public async Task SmallAnswer_BrokenOffHalfWay_IsAskedForAgain()
    {
        Assert.Equal("halfhalf", await _router.Client.GetStringAsync("/files/1/halved", TestContext.Current.CancellationToken));
        Assert.Equal(2, _owner.Runs);
    }

    [Fact]
    public async Task ClientLeaves_TheOwnersHandlerHearsOfIt()
    {
        using var leaves = new CancellationTokenSource();
        var left = _router.Client.GetAsync("/files/1/waiting", leaves.Token);
        await Eventually.TrueAsync(() => _owner.Runs == 1, "the handler runs");

        await leaves.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        await Eventually.TrueAsync(() => _owner.Runs == 2, "the handler was cancelled");
        Assert.True(_router.Get<ShardCloud.ShardRuntime.Proxy.Reachability>().IsReachable(_owner.Self));
    }

    [Theory]
    [InlineData("HEAD", "/files/1/text", 200, 4)]
    [InlineData("GET", "/files/1/nothing", 204, null)]
    [InlineData("GET", "/files/1/text", 200, 4)]
    public async Task StatusAndLength_AreTheOwners(string method, string path, int status, int? length)
    {
        using var answer = await _router.Client.SendAsync(new HttpRequestMessage(new HttpMethod(method), path));
        Assert.Equal((status, (long?)length), ((int)answer.StatusCode, answer.Content.Headers.ContentLength is 0 && length is null ? null : answer.Content.Headers.ContentLength));
        Assert.Equal(method == "GET" && length is 4 ? "text" : "", await answer.Content.ReadAsStringAsync());
    }

    // HTTP/2 clients refuse to send such a header by default: the request waited to the end, and the owner was taken for dead.
    [Fact]
    public async Task HeaderBeyondAscii_Arrives()
    {
        var request = new HttpRequestMessage(HttpMethod.Get, _router.Shard.PublicAddress + "/files/1/echo");
        request.Headers.TryAddWithoutValidation("X-Name", "Jos\u00e9 \u4e2d");
        using var client = new HttpMessageInvoker(new SocketsHttpHandler { RequestHeaderEncodingSelector = (_, _) => Encoding.UTF8 });

        using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);

        Assert.Equal("Jos\u00e9 \u4e2d", await answer.Content.ReadAsStringAsync());
    }

    private async Task BreakOffAsync(HttpContext context, string text, long? length)
    {
        await SendAsync(context, text, length);
        await _goOn.Task.WaitAsync(context.RequestAborted);
        context.Abort();
    }

    /// <summary>Leaves at once.</summary>
    private static async Task SendAsync(HttpContext context, string text, long? length)
    {
        context.Features.GetRequiredFeature<IHttpResponseBodyFeature>().DisableBuffering();
        context.Response.ContentLength = length;
        await context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes(text));
        await context.Response.Body.FlushAsync();
    }

    private void Map(WebApplication app)
    {
        var files = app.MapShardEndpoint("/files/{file}");
        files.MapGet("/streamed", async (HttpContext context) =>
        {
            await SendAsync(context, "one", length: null);
            await _goOn.Task.WaitAsync(context.RequestAborted);
            await context.Response.Body.WriteAsync("two"u8.ToArray());
        });
        files.MapGet("/broken", (HttpContext context) => BreakOffAsync(context, "half", length: null));
        files.MapGet("/whole", (HttpContext context) => BreakOffAsync(context, "whole", length: 5));
        files.MapGet("/halved", async (HttpContext context) =>
        {
            await SendAsync(context, "half", length: 8);
            if (Interlocked.Increment(ref _owner.Runs) == 1) context.Abort();
            else await context.Response.Body.WriteAsync("half"u8.ToArray());
        });
        files.MapGet("/waiting", async (HttpContext context) =>
        {
            Interlocked.Increment(ref _owner.Runs);
            var aborted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using var registered = context.RequestAborted.Register(() => aborted.TrySetResult());
            await aborted.Task;
            Interlocked.Increment(ref _owner.Runs);
        });
        files.MapMethods("/text", ["GET", "HEAD"], () => Results.Text("text"));
        files.MapGet("/nothing", () => Results.NoContent());
        files.MapGet("/echo", (HttpContext context) => Results.Text(context.Request.Headers["X-Name"].ToString()));
    }
}
