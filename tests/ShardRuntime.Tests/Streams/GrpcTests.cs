using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.State;
using ShardCloud.ShardRuntime.Tests.Hosting;
using static ShardCloud.ShardRuntime.Tests.Hosting.TestCluster;

namespace ShardCloud.ShardRuntime.Tests.Streams;

/// <summary>A real gRPC client and a real service, with a router between: on HTTP/2 without TLS.</summary>
public sealed class GrpcTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private readonly TaskCompletionSource _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TestMember _source = null!, _destination = null!;
    private GrpcChannel _channel = null!;
    private CallInvoker _calls = null!;

    public async ValueTask InitializeAsync()
    {
        _source = await _cluster.StartAsync("shard-1", map: Map, services: Services);
        _destination = await _cluster.StartAsync("shard-2", map: Map, services: Services);
        var router = await _cluster.StartAsync("router-1", MemberRole.Router, settings: new() { ["ShardCloud:Public:Http2Url"] = "http://127.0.0.1:0" });
        _cluster.GrantAll(_source);
        _channel = GrpcChannel.ForAddress(router.Get<Listeners>().PublicHttp2Address(router.Shard.Options)!);
        _calls = _channel.CreateCallInvoker();
    }

    public ValueTask DisposeAsync()
    {
        _goOn.TrySetResult();
        _channel.Dispose();
        return _cluster.DisposeAsync();
    }

    [Fact]
    public async Task Unary_WithoutAnEndpoint_AnswerStatusAndTrailersArrive()
    {
        using var call = Unary("Unary", "hello");
        Assert.Equal("hello", await call.ResponseAsync);
        Assert.Equal("hello", call.GetTrailers().GetValue("x-trailer"));
        Assert.DoesNotContain(call.GetTrailers(), trailer => trailer.Key.StartsWith("x-shard", StringComparison.Ordinal));

        using var failed = Unary("Unary", "fail");
        var error = await Assert.ThrowsAsync<RpcException>(() => failed.ResponseAsync);
        Assert.Equal((StatusCode.FailedPrecondition, "as asked", "fail"), (error.StatusCode, error.Status.Detail, error.Trailers.GetValue("x-trailer")));
    }

    [Fact]
    public async Task ServerStreaming_WithoutAnEndpoint_EachAnswerArrivesWhenItWasGiven()
    {
        using var call = _calls.AsyncServerStreamingCall(EchoBase.Method(MethodType.ServerStreaming, "Server"), null, Soon(), "wait");
        Assert.True(await call.ResponseStream.MoveNext(default));
        Assert.Equal("one", call.ResponseStream.Current);
        _goOn.SetResult();
        Assert.True(await call.ResponseStream.MoveNext(default));
        Assert.False(await call.ResponseStream.MoveNext(default));
        Assert.Equal("end", call.GetTrailers().GetValue("x-trailer"));
    }

    [Fact]
    public async Task Bidirectional_WithoutAnEndpoint_EachSideHearsTheOtherAtOnce()
    {
        using var call = _calls.AsyncDuplexStreamingCall(EchoBase.Method(MethodType.DuplexStreaming, "Both"), null, Soon());
        for (var i = 0; i < 5; i++)
        {
            await call.RequestStream.WriteAsync($"{i}");
            Assert.True(await call.ResponseStream.MoveNext(default));
            Assert.Equal($"{i}", call.ResponseStream.Current);
        }
        await call.RequestStream.CompleteAsync();
        Assert.False(await call.ResponseStream.MoveNext(default));
        Assert.Equal("end", call.GetTrailers().GetValue("x-trailer"));
    }

    [Fact]
    public async Task Unary_AtAnEndpoint_IsAChange_AndItsRepeatIsTheSameAnswer()
    {
        var key = new Metadata { { "Idempotency-Key", "key-1" } };
        Assert.Equal("1", await Unary("Count", "", "rooms/1/", key).ResponseAsync);
        Assert.Equal("1", await Unary("Count", "", "rooms/1/", key).ResponseAsync);
        Assert.Equal("2", await Unary("Count", "", "rooms/1/").ResponseAsync);
        Assert.Equal(2, _source.States.Of(Room).Fields.Counter("count"));
    }

    [Fact]
    public async Task Unary_AtAnEndpoint_ThatFails_ChangesNothing()
    {
        var error = await Assert.ThrowsAsync<RpcException>(() => Unary("Count", "fail", "rooms/1/", new Metadata { { "Idempotency-Key", "key-1" } }).ResponseAsync);
        Assert.Equal(StatusCode.FailedPrecondition, error.StatusCode);
        Assert.True(_source.States.Of(Room).IsEmpty);
    }

    [Fact]
    public async Task Unary_AtAnEndpointThatMoves_RunsOnceAtTheNextOwner()
    {
        var handoff = _cluster.Plan(_source, _destination);
        _cluster.Publish();
        _source.States.NextCommit = StateCommit.Sealed;
        _source.States.OnCommit = () =>
        {
            _source.Show(Room, HandoffRole.SealedSource, handoff);
            _cluster.Grant(handoff, _source, _destination);
            _cluster.Publish();
        };
        Assert.Equal("1", await Unary("Count", "", "rooms/1/").ResponseAsync);
        Assert.Equal(1, _destination.States.Of(Room).Fields.Counter("count"));
    }

    [Fact]
    public async Task ServerStreaming_AtAnEndpoint_ArrivesWholeAfterTheCommit()
    {
        using var call = _calls.AsyncServerStreamingCall(EchoBase.Method(MethodType.ServerStreaming, "Server", "rooms/1/"), null, Soon(), "");
        Assert.Equal(["one", "two"], await call.ResponseStream.ReadAllAsync().ToListAsync());
        Assert.Equal("end", call.GetTrailers().GetValue("x-trailer"));
    }

    private AsyncUnaryCall<string> Unary(string name, string request, string prefix = "", Metadata? headers = null) =>
        _calls.AsyncUnaryCall(EchoBase.Method(MethodType.Unary, name, prefix), null, Soon().WithHeaders(headers ?? []), request);

    private static CallOptions Soon() => new(deadline: DateTime.UtcNow.AddSeconds(15));

    private void Services(IServiceCollection services)
    {
        services.AddSingleton(_goOn);
        services.AddGrpc();
    }

    private static void Map(WebApplication app)
    {
        app.MapGrpcService<EchoService>();
        app.MapGroup(Template).MapGrpcService<EchoService>();
    }
}
