using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.State;
using ShardCloud.ShardRuntime.Tests.Hosting;
using ShardCloud.ShardRuntime.Tests.Security;
using static ShardCloud.ShardRuntime.Tests.Hosting.TestCluster;

namespace ShardCloud.ShardRuntime.Tests.Proxy;

/// <summary>100 MB each way through router and shard: what is under way between the two ends stays bounded, counted in bytes that one side has given and the other not taken.</summary>
public sealed class LargeBodyTests : IAsyncLifetime
{
    private const int Piece = 64 * 1024;
    private const long Large = 1_600L * Piece; // 100 MiB.

    /// <summary>Pipes of two servers, windows of one HTTP/2 connection and the sockets' own buffers; far from 100 MB.</summary>
    private const long UnderWayMax = 32L * 1024 * 1024;

    private static readonly Dictionary<string, string?> Settings = new() { ["ShardCloud:Proxy:BodyBytesMax"] = "200000000" };

    private readonly TestCluster _cluster = new();
    private readonly TaskCompletionSource _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TestMember _router = null!, _source = null!, _destination = null!;
    private long _whole = 128L * Piece, _given, _taken;
    private int _running;

    public async ValueTask InitializeAsync()
    {
        _source = await _cluster.StartAsync("shard-1", map: Map, settings: Settings);
        _destination = await _cluster.StartAsync("shard-2", map: Map, settings: Settings);
        _router = await _cluster.StartAsync("router-1", MemberRole.Router, settings: Settings);
        _cluster.GrantAll(_source);
    }

    public ValueTask DisposeAsync()
    {
        _goOn.TrySetResult();
        return _cluster.DisposeAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Upload_ToAHandlerThatDoesNotRead_StopsAtTheClient_AndArrivesWhole(bool saysItsLength)
    {
        _whole = Large;
        var upload = UploadAsync("/rooms/1/upload", saysItsLength);
        await StandsStillAsync(() => Interlocked.Read(ref _given));
        Assert.InRange(_given, 1, UnderWayMax);

        _goOn.SetResult();
        using var answer = await upload;
        Assert.Equal($"{_whole}", await answer.Content.ReadAsStringAsync());
        await NothingIsLeftAsync();
    }

    [Theory]
    [InlineData("/rooms/1/download")]
    [InlineData("/download")]
    public async Task Download_ByAClientThatDoesNotRead_StopsAtTheHandler_AndArrivesWhole(string path)
    {
        _whole = Large;
        using var answer = await _router.Client.GetAsync(path, HttpCompletionOption.ResponseHeadersRead);
        await StandsStillAsync(() => Interlocked.Read(ref _given));
        Assert.InRange(_given, 1, UnderWayMax);

        using var body = await answer.Content.ReadAsStreamAsync();
        var (piece, length) = (new byte[Piece], 0L);
        while (await body.ReadAsync(piece) is var read and > 0) length += read;
        Assert.Equal(_whole, length);
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task Upload_WhileTheEndpointIsSealed_CompletesAtTheSource()
    {
        var upload = UploadAsync("/rooms/1/upload");
        await Eventually.TrueAsync(() => _running == 1, "the handler runs");
        var handoff = _cluster.Plan(_source, _destination);
        _cluster.Publish();
        _source.Show(Room, HandoffRole.SealedSource, handoff);
        var drained = _source.Get<EndpointLanes>().WaitForIdleAsync(endpoint => endpoint == Room, TimeSpan.FromSeconds(15), default);
        Assert.False(drained.IsCompleted);

        _goOn.SetResult();
        using var answer = await upload;
        Assert.Equal($"{_whole}", await answer.Content.ReadAsStringAsync());
        Assert.True(await drained);
        Assert.Equal(1, _source.States.Of(Room).Fields.Counter("uploads"));
    }

    [Fact]
    public async Task Upload_ThatMeetsTheSeal_ChangesNothing_AndSaysSo()
    {
        var upload = UploadAsync("/rooms/1/upload");
        await Eventually.TrueAsync(() => _running == 1, "the handler runs");
        _source.States.NextCommit = StateCommit.Sealed; // The drain's time was over.
        _cluster.Grant(_cluster.Plan(_source, _destination), _source, _destination);
        _cluster.Publish();
        _goOn.SetResult();

        using var answer = await upload;
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.Contains(ErrorCodes.NotOwner, await answer.Content.ReadAsStringAsync());
        Assert.NotNull(answer.Headers.RetryAfter);
        Assert.True(_destination.States.Of(Room).IsEmpty);
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task Download_WhileTheEndpointMoves_ArrivesWhole()
    {
        using var answer = await _router.Client.GetAsync("/rooms/1/download", HttpCompletionOption.ResponseHeadersRead);
        await Eventually.TrueAsync(() => Interlocked.Read(ref _given) > 0, "it has begun");
        _cluster.Grant(_cluster.Plan(_source, _destination), _source, _destination);
        _cluster.Publish();
        Assert.Equal(_whole, (await answer.Content.ReadAsByteArrayAsync()).Length); // The document of its beginning, to its end.
    }

    [Fact]
    public async Task Upload_WhoseClientVanishes_ChangesNothing_AndTheOwnerIsNotSuspected()
    {
        using (var client = new RawConnection(_router))
        {
            await client.SendAsync($"POST /rooms/1/upload HTTP/1.1\r\nHost: x\r\nContent-Length: {_whole}\r\n\r\n{new string('x', Piece)}");
            await Eventually.TrueAsync(() => _running == 1, "the handler runs");
            _goOn.SetResult();
            await Eventually.TrueAsync(() => Interlocked.Read(ref _taken) == Piece, "the handler waits for the rest");
        }
        await NothingIsLeftAsync();
        Assert.True(_source.States.Of(Room).IsEmpty);
        Assert.True(_router.Get<ShardRuntime.Proxy.Reachability>().IsReachable(_source.Self));
    }

    [Fact]
    public async Task Upload_WithABadChunk_Is400_AndTheOwnerIsNotSuspected()
    {
        using (var client = new RawConnection(_router))
        {
            await client.SendAsync($"POST /rooms/1/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{2 * Piece:x}\r\n{new string('x', 2 * Piece)}\r\n");
            await Eventually.TrueAsync(() => _running == 1, "the handler runs");
            _goOn.SetResult();
            await Eventually.TrueAsync(() => Interlocked.Read(ref _taken) == 2 * Piece, "the handler waits for the rest");
            await client.SendAsync("fffffffff2\r\n");
            Assert.StartsWith("HTTP/1.1 400", await client.ReadAsync());
        }
        await NothingIsLeftAsync();
        Assert.True(_source.States.Of(Room).IsEmpty);
        Assert.True(_router.Get<ShardRuntime.Proxy.Reachability>().IsReachable(_source.Self));
    }

    [Fact]
    public async Task Download_WhoseClientVanishes_EndsAtTheHandler()
    {
        using (await _router.Client.GetAsync("/rooms/1/download", HttpCompletionOption.ResponseHeadersRead)) { }
        await NothingIsLeftAsync();
        Assert.True(_router.Get<ShardRuntime.Proxy.Reachability>().IsReachable(_source.Self));
    }

    [Fact]
    public async Task Clients_ThatVanishWhileTheyWait_LeaveTheirPlaces()
    {
        using var leave = new CancellationTokenSource();
        var queued = Enumerable.Range(0, 20).Select(_ => _router.Client.PostAsync("/rooms/1/upload", new ByteArrayContent(new byte[100]), leave.Token)).ToArray();
        await Eventually.TrueAsync(() => _running == 1 && _router.Get<ShardMetrics>().LegCount == 20, "one runs, the others wait for its turn");
        _source.Show(new EndpointId("rooms/2"), HandoffRole.SealedSource, default);
        var parked = Enumerable.Range(0, 20).Select(_ => _router.Client.GetAsync("/rooms/2", leave.Token)).ToArray();
        await Eventually.TrueAsync(() => _source.Get<Parking>().Count == 20, "they are parked at the owner");

        await leave.CancelAsync();
        foreach (var request in queued.Concat(parked)) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request);
        await NothingIsLeftAsync();
        Assert.True(_source.States.Of(Room).IsEmpty);
    }

    private Task NothingIsLeftAsync() => Eventually.TrueAsync(
        () => _running == 0 && _source.Get<EndpointLanes>().Count + _source.Get<Parking>().Count + _router.Get<Parking>().Count + _router.Get<ShardMetrics>().LegCount == 0, "no handler, turn, stay or leg is left");

    private static async Task StandsStillAsync(Func<long> count)
    {
        var (last, still) = (-1L, 0);
        await Eventually.TrueAsync(() =>
        {
            var now = count();
            (last, still) = (now, now == last && now > 0 ? still + 1 : 0);
            return still == 20 || now > UnderWayMax;
        }, "nothing more goes through");
    }

    private Task<HttpResponseMessage> UploadAsync(string path, bool saysItsLength = true) =>
        _router.Client.SendAsync(new HttpRequestMessage(HttpMethod.Post, path) { Content = new Counted(this, saysItsLength) });

    private void Map(WebApplication app)
    {
        app.MapGet("/download", DownloadAsync);
        var room = app.MapGroup(Template);
        room.MapGet("/download", DownloadAsync);
        room.MapPost("/upload", async (HttpContext context) =>
        {
            Interlocked.Increment(ref _running);
            try
            {
                await _goOn.Task.WaitAsync(context.RequestAborted);
                var (piece, length) = (new byte[Piece], 0L);
                while (await context.Request.Body.ReadAsync(piece, context.RequestAborted) is var read and > 0) Interlocked.Exchange(ref _taken, length += read);
                context.EndpointState().Counter("uploads").Increment();
                return $"{length}";
            }
            finally
            {
                Interlocked.Decrement(ref _running);
            }
        });
    }

    private async Task DownloadAsync(HttpContext context)
    {
        Interlocked.Increment(ref _running);
        try
        {
            context.Response.ContentLength = _whole;
            var piece = new byte[Piece];
            for (var sent = 0L; sent < _whole; sent += Piece)
            {
                await context.Response.Body.WriteAsync(piece, context.RequestAborted);
                Interlocked.Add(ref _given, Piece);
            }
        }
        finally
        {
            Interlocked.Decrement(ref _running);
        }
    }

    /// <summary>A body that counts what was taken of it.</summary>
    private sealed class Counted(LargeBodyTests test, bool saysItsLength) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            var piece = new byte[Piece];
            for (var sent = 0L; sent < test._whole; sent += Piece)
            {
                await stream.WriteAsync(piece);
                Interlocked.Add(ref test._given, Piece);
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = test._whole;
            return saysItsLength;
        }
    }
}
