using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Client;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.State;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sockets;

/// <summary>A hub as anybody writes it and SignalR's own client: moved and killed behind the router, and neither knows.</summary>
public sealed class HubTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private readonly HubLog _log = new();
    private TestMember _router = null!, _source = null!, _destination = null!;

    public async ValueTask InitializeAsync()
    {
        _source = await StartShardAsync("shard-1");
        _destination = await StartShardAsync("shard-2");
        _router = await _cluster.StartAsync("router-1", MemberRole.Router);
        _cluster.GrantAll(_source);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Hub_OverAHandoff_KeepsConnectionIdGroupsAndAnswers(bool isMessagePack)
    {
        await using var ann = await ConnectAsync(isMessagePack);
        await using var bob = await ConnectAsync(isMessagePack);
        Assert.Equal(ann.Hub.ConnectionId, await ann.Hub.InvokeAsync<string>("WhoAmI"));
        await ann.Hub.InvokeAsync("Join", "tea");
        Assert.Equal("shard-1", await ann.Hub.InvokeAsync<string>("Where"));

        await MoveAsync();

        Assert.Equal("shard-2", await ann.Hub.InvokeAsync<string>("Where"));
        Assert.Equal(ann.Hub.ConnectionId, await ann.Hub.InvokeAsync<string>("WhoAmI"));
        await bob.Hub.InvokeAsync("SayTo", "tea", "to those who drink tea");
        await bob.Hub.InvokeAsync("SayToAll", "to all");
        Assert.Equal(["to those who drink tea", "to all"], await ann.HearAsync(2));
        Assert.Equal(["to all"], await bob.HearAsync(1));
        Assert.Equal((2, 0), (_log.Connected, _log.Disconnected)); // The moves are not the hub's business.
        Assert.Empty(ann.Ends);
        Assert.Empty(bob.Ends);
    }

    /// <summary>Each invocation that was sent is carried out once and answered, in order, while the endpoint moves to and fro.</summary>
    [Fact]
    public async Task Invocations_WhileTheEndpointMoves_AreEachAnsweredOnce()
    {
        await using var ann = await ConnectAsync();
        using var stop = new CancellationTokenSource();
        var calls = Task.Run(async () =>
        {
            var count = 0;
            for (; !stop.IsCancellationRequested; count++)
            {
                Assert.Equal(count, await ann.Hub.InvokeAsync<int>("Next", count));
                await ann.Hub.SendAsync("Note", count);
            }
            return count;
        });
        for (var turn = 0; turn < 3; turn++)
        {
            await MoveAsync();
            (_source, _destination) = (_destination, _source);
        }
        await stop.CancelAsync();
        var made = await calls;
        await ann.Hub.InvokeAsync<string>("WhoAmI"); // Behind the last note.
        Assert.Equal(Enumerable.Range(0, made), _log.Numbers);
        Assert.Equal(Enumerable.Range(0, made), _log.Notes);
        Assert.Empty(ann.Ends);
    }

    [Fact]
    public async Task Hub_WhoseShardDies_GoesOnAtTheNext()
    {
        await using var ann = await ConnectAsync();
        await ann.Hub.InvokeAsync("Join", "tea");

        await KillAsync();

        Assert.Equal("shard-2", await ann.Hub.InvokeAsync<string>("Where"));
        await ann.Hub.InvokeAsync("SayTo", "tea", "still here");
        Assert.Equal(["still here"], await ann.HearAsync(1));
        Assert.Empty(ann.Ends);
    }

    /// <summary>A stream cannot go on elsewhere. Its client hears that it ended, instead of waiting for ever; also after a crash.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Stream_OfAHubThatMoves_EndsWithAnErrorAndCanBeStartedAgain(bool isKilled)
    {
        await using var ann = await ConnectAsync();
        var items = ann.Hub.StreamAsync<int>("Count", TestContext.Current.CancellationToken).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        Assert.True(await items.MoveNextAsync());
        await Eventually.TrueAsync(() => _source.States.Of(TestCluster.Room).Fields.Map(SystemFields.Hubs) is var hubs && hubs.Map(hubs.Keys.Single()).Set("streams").Count == 1, "the stream is on record");

        if (isKilled) await KillAsync();
        else await MoveAsync();

        var error = await Assert.ThrowsAsync<HubException>(async () =>
        {
            while (await items.MoveNextAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(20))) { }
        });
        Assert.Contains("start it again", error.Message, StringComparison.Ordinal);
        await foreach (var first in ann.Hub.StreamAsync<int>("Count", TestContext.Current.CancellationToken))
        {
            Assert.Equal(0, first);
            break;
        }
        Assert.Empty(ann.Ends);
    }

    [Fact]
    public async Task Client_ThatStops_IsDisconnectedAndForgotten()
    {
        var ann = await ConnectAsync();
        await ann.Hub.InvokeAsync("Join", "tea");
        await ann.DisposeAsync();
        await Eventually.TrueAsync(() => _log.Disconnected == 1, "the hub hears that its client left");
        await Eventually.TrueAsync(() => _source.States.Of(TestCluster.Room).Fields.Count == 0, "nothing is kept of the connection");
    }

    [Fact]
    public async Task Connection_ThatNoLegComesFor_IsForgotten()
    {
        var time = new FakeTimeProvider();
        using var sweep = ActivatorUtilities.CreateInstance<ConnectionSweep>(_source.Get<IServiceProvider>(), new Absences(time));
        await using var ann = await ConnectAsync();
        await ann.Hub.InvokeAsync("Join", "tea");
        await _source.Get<EndpointChanges>().RunAsync(TestCluster.Room, state =>
        {
            state.Transaction.Map(SystemFields.Hubs).Map("left-behind").Register("handshake").Set("x"u8.ToArray());
            return ValueTask.FromResult(true);
        }, TestContext.Current.CancellationToken);

        await sweep.SweepAsync(TestContext.Current.CancellationToken);
        time.Advance(_source.Get<Parking>().TimeMax - TimeSpan.FromSeconds(1));
        await sweep.SweepAsync(TestContext.Current.CancellationToken);
        Assert.Equal(2, _source.States.Of(TestCluster.Room).Fields.Map(SystemFields.Hubs).Count);
        time.Advance(TimeSpan.FromSeconds(1));
        await sweep.SweepAsync(TestContext.Current.CancellationToken);
        Assert.DoesNotContain("left-behind", Assert.Single(_source.States.Of(TestCluster.Room).Fields.Map(SystemFields.Hubs).Keys));
    }

    private Task<TestMember> StartShardAsync(string shard) => _cluster.StartAsync(shard,
        map: app => app.MapHub<TestHub>($"{TestCluster.Template}/hub"),
        services: services =>
        {
            services.AddSingleton(_log);
            services.AddSignalR().AddMessagePackProtocol();
        });

    private async Task<Client> ConnectAsync(bool isMessagePack = false)
    {
        var builder = new HubConnectionBuilder().WithUrl($"{_router.Shard.PublicAddress}/rooms/1/hub");
        if (isMessagePack) builder.AddMessagePackProtocol();
        var client = new Client(builder.Build());
        await client.Hub.StartAsync(TestContext.Current.CancellationToken);
        return client;
    }

    private async Task MoveAsync() => Assert.True(await _cluster.MoveAsync(_source, _destination, TimeSpan.FromSeconds(5)));

    private Task KillAsync() => _cluster.TakeOverAsync(_source, _destination, _router);

    /// <summary>SignalR's client, what it heard, and whether it ever noticed anything.</summary>
    private sealed class Client : IAsyncDisposable
    {
        private readonly System.Threading.Channels.Channel<string> _said = System.Threading.Channels.Channel.CreateUnbounded<string>();

        public Client(HubConnection hub)
        {
            Hub = hub;
            hub.On<string>("said", text => _said.Writer.TryWrite(text));
            hub.Closed += error => End($"closed: {error?.Message}");
            hub.Reconnecting += error => End($"reconnecting: {error?.Message}");
        }

        public HubConnection Hub { get; }

        public ConcurrentQueue<string> Ends { get; } = new();

        public async Task<string[]> HearAsync(int count)
        {
            using var late = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            var heard = new string[count];
            for (var i = 0; i < count; i++) heard[i] = await _said.Reader.ReadAsync(late.Token);
            return heard;
        }

        public ValueTask DisposeAsync() => Hub.DisposeAsync();

        private Task End(string how)
        {
            Ends.Enqueue(how);
            return Task.CompletedTask;
        }
    }
}

/// <summary>What the hubs of all shards did.</summary>
public sealed class HubLog
{
    public int Connected, Disconnected;
    public readonly ConcurrentQueue<int> Numbers = new(), Notes = new();
}

/// <summary>Knows nothing of shards, but for saying where it runs.</summary>
public sealed class TestHub(HubLog log) : Hub
{
    public override Task OnConnectedAsync()
    {
        Interlocked.Increment(ref log.Connected);
        return base.OnConnectedAsync();
    }

    public override Task OnDisconnectedAsync(Exception? exception)
    {
        Interlocked.Increment(ref log.Disconnected);
        return base.OnDisconnectedAsync(exception);
    }

    public string WhoAmI() => Context.ConnectionId;

    public string Where() => Context.GetHttpContext()!.Shard().Id.Value;

    public Task Join(string group) => Groups.AddToGroupAsync(Context.ConnectionId, group);

    public Task SayTo(string group, string text) => Clients.Group(group).SendAsync("said", text);

    public Task SayToAll(string text) => Clients.All.SendAsync("said", text);

    public async Task<int> Next(int number)
    {
        await Task.Yield();
        log.Numbers.Enqueue(number);
        return number;
    }

    public async IAsyncEnumerable<int> Count([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        for (var i = 0; ; i++)
        {
            yield return i;
            await timer.WaitForNextTickAsync(cancellationToken);
        }
    }

    public void Note(int number) => log.Notes.Enqueue(number);
}
