using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Crdt;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Calls;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Tests.Hosting;
using static ShardCloud.ShardRuntime.Tests.Hosting.TestCluster;

namespace ShardCloud.ShardRuntime.Tests.Calls;

/// <summary>Messages from rooms/1 at shard-1 to rooms/2 at shard-2, over real sockets; shard-3 takes over.</summary>
public sealed class OutboxTests : IAsyncLifetime
{
    private static readonly EndpointId Target = new("rooms/2");

    private readonly TestCluster _cluster = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);
    private TestMember _sender = null!, _receiver = null!, _third = null!;
    private HttpStatusCode _answer = HttpStatusCode.OK;
    private int _deliveries;

    public async ValueTask InitializeAsync()
    {
        _sender = await _cluster.StartAsync("shard-1", map: Map, services: AddSender, settings: new() { ["ShardCloud:Outbox:MessagesMax"] = "64" });
        _receiver = await _cluster.StartAsync("shard-2", map: Map, services: AddSender, settings: new() { ["ShardCloud:Outbox:SendersMax"] = "2" });
        _third = await _cluster.StartAsync("shard-3", map: Map, services: AddSender);
        _cluster.GrantAll(_sender);
        _cluster.Place(Target, _sender, _receiver);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    public async Task Message_IsSentWhenItsChangeCounts_AndNotBefore()
    {
        var log = new TaskCompletionSource<bool>();
        _sender.States.Log = () => log.Task;
        var post = PostAsync("a");
        await Eventually.TrueAsync(() => _sender.States.Of(Room).Fields.Counter("posted") == 1, "committed");
        Assert.Equal("0 at shard-2", await _receiver.Client.GetStringAsync("/rooms/2"));
        Assert.Equal(0, _deliveries);

        log.SetResult(true);
        await post;
        await DeliveredAsync(_sender);
        Assert.Equal(["a text/plain"], Received(_receiver));
        await Eventually.TrueAsync(() => !OutboxMessage.HasAny(_sender.States.Of(Room).Fields), "taken out of the sender's document");
    }

    [Theory]
    [InlineData("throw")]
    [InlineData("500")]
    public async Task Handler_ThatFails_PostsNothing(string how)
    {
        Assert.Equal(HttpStatusCode.InternalServerError, (await _sender.Client.PostAsync($"/rooms/1/post?text=a&then={how}", null)).StatusCode);
        await PostAsync("b");
        await DeliveredAsync(_sender);
        Assert.Equal(["b text/plain"], Received(_receiver));
    }

    [Fact]
    public async Task Messages_ToOneTarget_ArriveInOrder_AlsoFromOneHandlerAndAfterFailures()
    {
        _answer = HttpStatusCode.ServiceUnavailable;
        for (var i = 0; i < 10; i++) await PostAsync($"{2 * i},{(2 * i) + 1}");
        await Eventually.TrueAsync(() => Volatile.Read(ref _deliveries) >= 3, "some tries failed");
        _answer = HttpStatusCode.OK;
        await DeliveredAsync(_sender);
        Assert.Equal(Enumerable.Range(0, 20).Select(i => $"{i} text/plain"), Received(_receiver));
    }

    [Fact]
    public async Task Sender_Moves_TheNextOwnerSendsWhatIsLeft()
    {
        _answer = HttpStatusCode.ServiceUnavailable;
        await PostAsync("a,b");
        await Eventually.TrueAsync(() => Volatile.Read(ref _deliveries) >= 1, "the first owner tries");

        _cluster.Place(Room, _sender, _third);
        _answer = HttpStatusCode.OK;

        await DeliveredAsync(_third);
        Assert.Equal(["a text/plain", "b text/plain"], Received(_receiver));
    }

    [Fact]
    public async Task Receiver_DiesAfterItsCommit_TheMessageTakesEffectOnce()
    {
        var held = new TaskCompletionSource<bool>();
        _receiver.States.Log = () => held.Task;
        await PostAsync("a");
        await Eventually.TrueAsync(() => _receiver.States.Of(Target).Fields.List("received").Count == 1, "committed");
        var document = _receiver.States.Of(Target);

        await _receiver.CrashAsync();
        var epoch = new Epoch(_cluster.Commit(new Fence(_receiver.Self), new Redirect(_receiver.Self, _third.Self)));
        _third.States.Own(Target, epoch, document);
        foreach (var member in new[] { _sender, _third }) member.See(_cluster.Map);

        await PostAsync("b");
        await DeliveredAsync(_sender);
        Assert.Equal(["a text/plain", "b text/plain"], Received(_third));
    }

    [Fact]
    public async Task Refusal_EndsAMessage_AndItCanBeRead()
    {
        _answer = HttpStatusCode.Conflict;
        await PostAsync("a");
        await Eventually.TrueAsync(() => SetAside().Count == 1, "set aside");
        _answer = HttpStatusCode.OK;
        await PostAsync("b");
        await DeliveredAsync(_sender);

        Assert.Equal(["a text/plain", "b text/plain"], Received(_receiver)); // A refusal may change the target, as any request's may.
        var aside = SetAside().Single();
        Assert.Equal(("/rooms/2/receive", "a", "answered 409"), (aside.Path, Encoding.UTF8.GetString(aside.Body.Span), aside.GivenUp));
        Assert.Equal("1", await _sender.Client.GetStringAsync("/rooms/1/aside"));
    }

    [Fact]
    public async Task Message_ThatIsNeverAnswered_IsSetAsideAfterItsTime()
    {
        var slow = await _cluster.StartAsync("shard-4", map: Map, services: services =>
        {
            services.AddSingleton<TimeProvider>(_time);
            AddSender(services);
        });
        _cluster.Place(Room, _sender, slow);
        _answer = HttpStatusCode.InternalServerError;
        await PostAsync("a", slow);
        await Eventually.TrueAsync(() =>
        {
            _time.Advance(TimeSpan.FromMinutes(10));
            return OutboxMessage.SetAsideIn(slow.States.Of(Room).Fields).Count == 1;
        }, "set aside");
        Assert.False(OutboxMessage.HasAny(slow.States.Of(Room).Fields));
    }

    [Fact]
    public async Task Outbox_PastItsBound_RefusesThePost_AndNothingIsChanged()
    {
        _answer = HttpStatusCode.ServiceUnavailable;
        await PostAsync(string.Join(',', Enumerable.Range(0, 63)));
        var refused = await _sender.Client.PostAsync("/rooms/1/post?text=a,b", null);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Contains(ErrorCodes.OutboxFull, await refused.Content.ReadAsStringAsync());
        await PostAsync("last");
        Assert.Contains(ErrorCodes.OutboxFull, await TextAsync("/rooms/3/post?length=70000"));
        Assert.Equal(64, OutboxMessage.WaitingIn(_sender.States.Of(Room).Fields).Count);
    }

    [Fact]
    public async Task Post_ThatCannotBe_SaysWhy()
    {
        Assert.Contains(ErrorCodes.NoEndpoint, await TextAsync("/rooms/1/post?text=a&to=/hello"));
        Assert.Contains(ErrorCodes.BadEndpoint, await TextAsync("/rooms/1/post?text=a&to=/rooms/%252E%252E/x"));
        Assert.Contains(ErrorCodes.ReadOnlyRequest, await (await _sender.Client.GetAsync("/rooms/1/post?text=a")).Content.ReadAsStringAsync());
        _sender.States.AreConvergent = true;
        Assert.Contains(ErrorCodes.OutboxNotExclusive, await TextAsync("/rooms/1/post?text=a"));
    }

    [Fact]
    public async Task Change_OutsideARequest_PostsToo()
    {
        var change = await _sender.Get<EndpointChanges>().RunAsync(Room, state =>
        {
            state.Outbox.PostAsJson("/rooms/2/receive", new { text = "a" });
            return new(true);
        }, TestContext.Current.CancellationToken);
        Assert.True(await change.IsKeptAsync(TestContext.Current.CancellationToken));
        await DeliveredAsync(_sender);
        Assert.Equal(["{\"text\":\"a\"} application/json"], Received(_receiver));
    }

    [Fact]
    public void Receipts_PastTheirBound_RefuseANewSender_UntilOneIsOldEnough()
    {
        var settings = new OutboxSettings { SendersMax = 2 };
        var (document, now) = (Document.Empty, DateTimeOffset.UnixEpoch);
        bool Take(string sender, long number, DateTimeOffset at)
        {
            var transaction = new DocumentTransaction(document, new Epoch(5), document.NextSequence(new Epoch(5)));
            var message = OutboxId.Of(new EndpointId(sender), new Dot(new Epoch(3), number));
            Assert.Equal(message, OutboxId.From($"{message}"));
            if (OutboxReceipts.Has(document.Fields, message) || !OutboxReceipts.MakeRoom(transaction, message, settings, at)) return false;
            OutboxReceipts.Add(transaction, message, settings, at);
            transaction.Commit(out document, out _);
            return true;
        }

        Assert.True(Take("rooms/1", 7, now));
        Assert.True(Take("rooms/2", 1, now + TimeSpan.FromHours(1)));
        Assert.False(Take("rooms/1", 7, now));
        Assert.False(Take("rooms/1", 6, now));
        Assert.True(Take("rooms/1", 9, now));
        Assert.False(Take("rooms/3", 1, now + TimeSpan.FromHours(47)));
        Assert.True(Take("rooms/3", 1, now + TimeSpan.FromHours(48)));
        Assert.False(Take("rooms/2", 1, now + TimeSpan.FromHours(48))); // Still known.
    }

    private static void AddSender(IServiceCollection services) => services.AddOutboxSender();

    private void Map(WebApplication app)
    {
        app.MapMethods("/rooms/{room}/post", ["GET", "POST"], (HttpContext context, string? text, string? to, string? then, int? length) =>
        {
            var state = context.EndpointState();
            if (!HttpMethods.IsGet(context.Request.Method)) state.Counter("posted").Increment();
            if (length is { } bytes) state.Outbox.Post("/rooms/2/receive", new byte[bytes]);
            foreach (var part in (text ?? "").Split(',')) state.Outbox.Post(to ?? "/rooms/2/receive", Encoding.UTF8.GetBytes(part), "text/plain");
            if (then == "throw") throw new InvalidOperationException("after it has posted");
            return then is null ? Results.Ok() : Results.StatusCode(500);
        });
        app.MapPost("/rooms/{room}/receive", async (HttpContext context) =>
        {
            Interlocked.Increment(ref _deliveries);
            using var reader = new StreamReader(context.Request.Body);
            context.EndpointState().List("received").Append($"{await reader.ReadToEndAsync()} {context.Request.ContentType}");
            context.Response.StatusCode = (int)_answer;
        });
        app.MapGet("/rooms/{room}/aside", (HttpContext context) => context.EndpointState().Outbox.SetAside.Count);
    }

    private async Task PostAsync(string text, TestMember? at = null) => (await (at ?? _sender).Client.PostAsync($"/rooms/1/post?text={text}", null)).EnsureSuccessStatusCode();

    private async Task<string> TextAsync(string path)
    {
        _sender.States.Own(new EndpointId("rooms/3"), _cluster.Map.Lookup(new EndpointId("rooms/3").KeyHash)!.Epoch);
        return await (await _sender.Client.PostAsync(path, null)).Content.ReadAsStringAsync();
    }

    private IReadOnlyList<OutboxMessage> SetAside() => OutboxMessage.SetAsideIn(_sender.States.Of(Room).Fields);

    private static string[] Received(TestMember at) => [.. at.States.Of(Target).Fields.List("received").Items.Select(item => item.AsString())];

    private static Task DeliveredAsync(TestMember sender) => Eventually.TrueAsync(() => !OutboxMessage.HasAny(sender.States.Of(Room).Fields), "the outbox is empty");
}
