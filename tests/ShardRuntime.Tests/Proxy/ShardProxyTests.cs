using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using ShardCloud.LocalCloud.Profiles;
using ShardCloud.Processes;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.State;
using ShardCloud.ShardRuntime.Tests.Hosting;
using static ShardCloud.ShardRuntime.Tests.Hosting.TestCluster;

namespace ShardCloud.ShardRuntime.Tests.Proxy;

/// <summary>Requests over real sockets through router and shards: each ends with its one true answer.</summary>
public sealed class ShardProxyTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private TestMember _router = null!, _source = null!, _destination = null!;

    public async ValueTask InitializeAsync()
    {
        _source = await _cluster.StartAsync("shard-1");
        _destination = await _cluster.StartAsync("shard-2");
        _router = await _cluster.StartAsync("router-1", MemberRole.Router);
        _cluster.GrantAll(_source);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    public async Task ThroughRouter_IsServedByTheOwner()
    {
        Assert.Equal("1 at shard-1", await IncrementAsync(_router));
        Assert.Equal("2 at shard-1", await IncrementAsync(_router));
        Assert.Equal("2 at shard-1", await _router.Client.GetStringAsync("/rooms/1"));
    }

    [Fact]
    public async Task AtAnotherShard_IsForwardedToTheOwner()
    {
        Assert.Equal("1 at shard-1", await IncrementAsync(_destination));
        Assert.Equal(0, _destination.Runs);
    }

    [Fact]
    public async Task PathWithoutEndpoint_AnyShardAnswers()
    {
        Assert.StartsWith("hello from shard-", await _router.Client.GetStringAsync("/hello"));
        Assert.Equal(HttpStatusCode.NotFound, (await _router.Client.GetAsync("/")).StatusCode); // The application's own page, of which this one has none.
    }

    [Fact]
    public async Task Root_WhileNoShardIsThere_IsTheRoutersOwnPage()
    {
        foreach (var shard in (TestMember[])[_source, _destination]) _cluster.Commit(new Cordon(shard.Self.Shard, IsCordoned: true));
        _cluster.Publish();
        Assert.Equal("router", await _router.Client.GetStringAsync("/"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await _router.Client.GetAsync("/hello")).StatusCode);
    }

    /// <summary>A router is asked as soon as it listens: before it has its first map it makes clients wait, and tells nobody that no shard is there.</summary>
    [Fact]
    public async Task BeforeTheFirstMap_ClientsWaitForIt()
    {
        _router.FirstMap = new TaskCompletionSource();
        Assert.Equal(HttpStatusCode.NotFound, (await _router.Client.GetAsync("/")).StatusCode); // A platform's look waits for nothing.
        var waiting = IncrementAsync(_router);
        Assert.Equal(HttpStatusCode.NotFound, (await _router.Client.GetAsync("/")).StatusCode);
        Assert.False(waiting.IsCompleted);

        _router.FirstMap.SetResult();
        Assert.Equal("1 at shard-1", await waiting);
    }

    [Fact]
    public async Task MalformedPath_IsRefused()
    {
        var answer = await _router.Client.GetAsync("/rooms/a%2Fb");
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("SC1001", await answer.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task StaleRouter_IsCorrectedByThe421AndTheClientSeesNothing()
    {
        var before = _cluster.Map;
        var handoff = _cluster.Plan(_source, _destination);
        _cluster.Grant(handoff, _source, _destination);
        _cluster.Publish();
        _router.See(before);

        var answer = await _router.Client.PostAsync("/rooms/1/increment", null);

        Assert.Equal("1 at shard-2", await answer.Content.ReadAsStringAsync());
        Assert.DoesNotContain(answer.Headers, header => header.Key.StartsWith("X-Shard-", StringComparison.OrdinalIgnoreCase));
        Assert.Equal(_cluster.Map.Version.Value, _router.Poked);
    }

    [Fact]
    public async Task Migrating_RouterSendsToDestination_WhichRelays()
    {
        var handoff = _cluster.Plan(_source, _destination);
        _cluster.Publish();
        _destination.Show(Room, HandoffRole.WarmingDestination, handoff);

        Assert.Equal("1 at shard-1", await IncrementAsync(_router));
        Assert.Equal(1, _destination.Get<HandoffMeters>().Of(handoff).Forwarded);
    }

    [Fact]
    public async Task Migrating_DestinationDead_SourceServesAtOnce()
    {
        _cluster.Plan(_source, _destination);
        _cluster.Publish();
        await _destination.CrashAsync();

        Assert.Equal("1 at shard-1", await IncrementAsync(_router));
        Assert.Equal(0, _router.Get<ShardMetrics>().ParkedCount);
    }

    [Fact]
    public async Task Sealed_RequestsWait_AndAreServedOnceByTheDestination()
    {
        Assert.Equal("1 at shard-1", await IncrementAsync(_router));
        var handoff = _cluster.Plan(_source, _destination);
        _cluster.Publish();
        _source.Show(Room, HandoffRole.SealedSource, handoff);
        _destination.Show(Room, HandoffRole.SealingDestination, handoff);

        var throughRouter = IncrementAsync(_router);
        var atSource = IncrementAsync(_source);
        await Eventually.TrueAsync(() => _destination.Get<Parking>().Count == 1 && _source.Get<Parking>().Count == 1, "both wait");

        _cluster.Grant(handoff, _source, _destination);
        _destination.Show(Room, HandoffRole.None, handoff);
        _source.Show(Room, HandoffRole.None, handoff);
        _cluster.Publish();

        Assert.Equal(["2 at shard-2", "3 at shard-2"], (await Task.WhenAll(throughRouter, atSource)).Order());
        Assert.Equal(1, _source.Runs);
        Assert.Equal(1, _destination.Get<HandoffMeters>().Of(handoff).Parked);
        Assert.True(_destination.Get<HandoffMeters>().Of(handoff).LongestPark > TimeSpan.Zero);
    }

    [Fact]
    public async Task CommitMeetsTheSeal_TheRequestRunsAtTheDestinationUnderTheSameId()
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

        Assert.Equal("1 at shard-2", await IncrementAsync(_router));
        Assert.Equal((1, 1), (_source.Runs, _destination.Runs));
        Assert.Equal(1, _destination.States.Of(Room).Fields.Counter("count"));
    }

    [Fact]
    public async Task OwnerDiesAfterTheCommit_TheRepeatGetsTheRecordedAnswer()
    {
        // The answer is held when the owner dies; its delta reached the log, so the next owner's document has changes and record.
        var held = new TaskCompletionSource<bool>();
        _source.States.Log = () => held.Task;
        var request = IncrementAsync(_router);
        await Eventually.TrueAsync(() => _source.States.Of(Room).RequestCount == 1, "committed");
        var document = _source.States.Of(Room);

        await _source.CrashAsync();
        await Eventually.TrueAsync(() => _router.Get<Parking>().Count == 1, "parked");
        var epoch = new Epoch(_cluster.Commit(new Routing.Fence(_source.Self), new Routing.Redirect(_source.Self, _destination.Self)));
        _destination.States.Own(Room, epoch, document);
        _router.See(_cluster.Map);
        _destination.See(_cluster.Map);

        Assert.Equal("1 at shard-1", await request); // What the first run answered; not run again.
        Assert.Equal(0, _destination.Runs);
        Assert.Equal(1, _destination.States.Of(Room).Fields.Counter("count"));
    }

    [Fact]
    public async Task AnswerRejected_LegIsClosedWithoutAByte_AndTheRequestRunsAtTheNextOwner()
    {
        var handoff = _cluster.Plan(_source, _destination);
        _cluster.Publish();
        _source.States.Log = () =>
        {
            // The write landed behind the destination's Grant: it counts for no one, so the destination starts without it.
            _source.States.Lose(Room);
            _destination.States.Own(Room, new Epoch(_cluster.Commit(new Routing.GrantMove(handoff, [Routing.EntryKey.Of(Room)], _destination.Self))));
            _cluster.Publish();
            return Task.FromResult(false);
        };

        Assert.Equal("1 at shard-2", await IncrementAsync(_router));
        Assert.Equal((1, 1), (_source.Runs, _destination.Runs));
    }

    [Fact]
    public async Task LeaseLost_RequestWaitsAtTheRouter_UntilItIsBack()
    {
        _source.IsValid = false;
        var request = IncrementAsync(_router);
        await Eventually.TrueAsync(() => _router.Get<Parking>().Count == 1, "parked");
        Assert.Equal(0, _source.Runs);

        _source.IsValid = true;
        Assert.Equal("1 at shard-1", await request);
    }

    [Fact]
    public async Task LeaseLost_AtAConvergentEndpoint_IsServedThroughTheRouterAndDirectly()
    {
        (_source.IsValid, _source.States.AreConvergent) = (false, true);
        Assert.Equal("1 at shard-1", await IncrementAsync(_router));
        Assert.Equal("2 at shard-1", await IncrementAsync(_source));
        using var read = await _source.Client.GetAsync("/rooms/1");
        Assert.True(read.IsSuccessStatusCode);
    }

    [Fact]
    public async Task OldEpoch_IsNotServed()
    {
        var answer = await _source.MemberClient.SendAsync(_source.Leg(HttpMethod.Post, "/rooms/1/increment", new Epoch(1)));

        Assert.Equal(HttpStatusCode.MisdirectedRequest, answer.StatusCode);
        Assert.Contains($"\"owner\":\"{_source.Self}\"", answer.Headers.GetValues("X-Shard-Entry").Single());
        Assert.Equal(0, _source.Runs);
    }

    [Fact]
    public async Task NobodyServes_EndsWith503AfterTheParkingTime()
    {
        var router = await _cluster.StartAsync("router-2", MemberRole.Router, settings: new() { ["ShardCloud:Parking:TotalMax"] = "1" });
        await _source.CrashAsync();
        var waiting = router.Client.GetAsync("/rooms/1");
        await Eventually.TrueAsync(() => router.Get<Parking>().Count == 1, "parked");

        HttpResponseMessage refused;
        do refused = await router.Client.GetAsync("/rooms/1");
        while (refused.StatusCode != HttpStatusCode.ServiceUnavailable);

        Assert.Contains("SC4003", await refused.Content.ReadAsStringAsync());
        Assert.NotNull(refused.Headers.RetryAfter);
        var ended = await waiting; // 1.1 x 2 s + 10 s.
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ended.StatusCode);
        Assert.Contains("SC4004", await ended.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task LargeBody_OfARefusedLeg_IsStillWholeAtTheNextOwner()
    {
        // 1 MB is not held; the leg waits for the owner's word before a byte of it leaves.
        var owner = await _cluster.StartAsync("shard-3", map: app => app.MapShardEndpoint("/files/{file}").MapPost("", async (HttpContext context) =>
        {
            var copy = new MemoryStream();
            await context.Request.Body.CopyToAsync(copy);
            return $"{copy.Length} {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(copy.ToArray()))}";
        }));
        _cluster.Commit(new Routing.PublishTemplates("1.0.0", [new Routing.TemplateSpec(Template), new Routing.TemplateSpec("/files/{file}")]));
        var file = new EndpointId("files/1");
        _cluster.Publish();
        var before = _cluster.Map;
        var handoff = _cluster.Commit(new Routing.PlanMove([Routing.EntryKey.Of(file)], _source.Self, owner.Self));
        var epoch = _cluster.Commit(new Routing.GrantMove(new HandoffId(handoff), [Routing.EntryKey.Of(file)], owner.Self));
        owner.States.Own(file, new Epoch(epoch));
        _cluster.Publish();
        _router.See(before);

        var bytes = new byte[1_000_000];
        new Random(7).NextBytes(bytes);
        var answer = await _router.Client.PostAsync("/files/1", new ByteArrayContent(bytes));

        Assert.Equal($"1000000 {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(bytes))}", await answer.Content.ReadAsStringAsync());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task BodyOverTheLimit_Is413(bool saysItsLength)
    {
        var router = await _cluster.StartAsync("router-2", MemberRole.Router, settings: new() { ["ShardCloud:Proxy:BodyBytesMax"] = "100000" });
        var request = new HttpRequestMessage(HttpMethod.Post, "/rooms/1/increment") { Content = new ByteArrayContent(new byte[200_000]), Headers = { TransferEncodingChunked = !saysItsLength } };

        var answer = await router.Client.SendAsync(request);

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, answer.StatusCode);
        Assert.Contains("SC4006", await answer.Content.ReadAsStringAsync());
        Assert.Equal(0, _source.Runs);
    }

    [Fact]
    public async Task OwnerIsSilent_PingsEndTheLeg_AndItsSuccessorAnswers()
    {
        using var silent = new SilentMember();
        _cluster.PlaceAt(silent, Room, _source);
        var increment = IncrementAsync(_router);
        await Eventually.TrueAsync(() => _router.Get<ShardMetrics>().LegCount == 1, "sent");

        _cluster.TakeOver(silent, Room, _source);

        Assert.Equal("1 at shard-1", await increment); // After a ping and its timeout.
        Assert.Single(_router.Get<Confirmations>().Take(Room)); // What the lost leg carried names an earlier grant: whenever it comes, it is refused.
        Assert.Equal(0, _router.Get<ShardMetrics>().LegCount);
    }

    /// <summary>The owner is cut off for as long as a leg lives, and stays the owner: what the leg carried may reach it late, under the same grant, and its record must be there then.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task LegToTheOwnerIsLost_AndItAnswersAnotherUnderTheSameGrant_TheAnswerIsNotConfirmed(bool isRelays)
    {
        var port = Ports.Free();
        await using var gate = new CutGate(port);
        var owner = await _cluster.StartAsync("shard-3", settings: new() { ["ShardCloud:Member:Url"] = $"http://127.0.0.1:{port}", ["ShardCloud:Member:AdvertisedUrl"] = $"http://127.0.0.1:{gate.Port}" });
        var router = await _cluster.StartAsync("router-2", MemberRole.Router, settings: new() { ["ShardCloud:Proxy:SuspectFor"] = "00:00:30" }); // So long it does not try again by itself.
        _cluster.Place(Room, _source, owner);
        if (isRelays) router.Get<Reachability>().Failed(owner.Self);
        gate.Cut();
        var increment = router.Client.PostAsync("/rooms/1/increment", null);
        TestMember[] senders = isRelays ? [_source, _destination] : [router];
        await Eventually.TrueAsync(() => senders.Any(member => member.Get<ShardMetrics>().LegCount == 1), "sent");
        await Eventually.TrueAsync(() => senders.All(member => member.Get<ShardMetrics>().LegCount == 0), "lost");

        gate.Mend();
        router.Get<Reachability>().Answered(owner.Self);
        _cluster.PublishTo(router);

        Assert.Equal("1 at shard-3", await (await increment).Content.ReadAsStringAsync());
        Assert.Empty(router.Get<Confirmations>().Take(Room));
        Assert.Equal((1, 1), (owner.Runs, owner.States.Of(Room).RequestCount));
    }

    /// <summary>The leg that is lost is not the first member's own: only the member that lost it knows, and says so with its answer.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task RelaysLegToASilentOwnerIsLost_AndItHasAnAnswer_TheAnswerIsNotConfirmed(bool isSuccessor)
    {
        using var silent = new SilentMember();
        _cluster.PlaceAt(silent, Room, _source);
        var router = await _cluster.StartAsync("router-2", MemberRole.Router, settings: new() { ["ShardCloud:Proxy:SuspectFor"] = "00:00:30" }); // So long it does not try the owner itself.
        router.Get<Reachability>().Failed(silent.Self);
        var increment = router.Client.PostAsync("/rooms/1/increment", null);
        TestMember? relay = null;
        await Eventually.TrueAsync(() => (relay = Array.Find([_source, _destination], member => member.Get<ShardMetrics>().LegCount == 1)) is not null, "passed on by a third member");

        var successor = isSuccessor ? relay! : relay == _source ? _destination : _source;
        _cluster.TakeOver(silent, Room, successor);

        var answer = await increment;
        Assert.Equal($"1 at {successor.Self.Shard.Value}", await answer.Content.ReadAsStringAsync());
        Assert.DoesNotContain(answer.Headers, header => header.Key.StartsWith("X-Shard-", StringComparison.OrdinalIgnoreCase));
        Assert.Empty(router.Get<Confirmations>().Take(Room));
        Assert.Equal(1, successor.States.Of(Room).RequestCount);
    }

    [Fact]
    public async Task CutOffFromTheOwner_OneRelayThroughAThirdMember()
    {
        _router.Get<Reachability>().Failed(_source.Self);

        Assert.Equal("1 at shard-1", await IncrementAsync(_router));
        Assert.Equal(1, _destination.Get<ShardMetrics>().ForwardedCount);
    }

    [Fact]
    public async Task Answers_AreConfirmedWithALaterLeg_AndTheirRecordsDropped()
    {
        var confirmations = _router.Get<Confirmations>();
        for (var i = 1; i <= 5; i++)
        {
            Assert.Equal($"{i} at shard-1", await IncrementAsync(_router));
            await Eventually.TrueAsync(() => Waiting(Room) == 1, "confirmed"); // After the answer has left.
        }

        // Each write brings the record of its own request and takes along what was confirmed before it.
        Assert.Equal(1, _source.States.Of(Room).RequestCount);
        Assert.Equal(0, Waiting(new EndpointId("rooms/2")));

        int Waiting(EndpointId endpoint)
        {
            var ids = confirmations.Take(endpoint);
            foreach (var id in ids) confirmations.Add(endpoint, id);
            return ids.Count;
        }
    }

    private static async Task<string> IncrementAsync(TestMember at)
    {
        var answer = await at.Client.PostAsync("/rooms/1/increment", null);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, $"{answer.StatusCode}: {text}");
        return text;
    }
}
