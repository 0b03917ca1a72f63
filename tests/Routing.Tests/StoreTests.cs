using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Data.Tables;
using Azure.Storage.Blobs;
using ShardCloud.Tests;
using static ShardCloud.Routing.Tests.Build;

namespace ShardCloud.Routing.Tests;

[Collection(AzuriteCollection.Name)]
public sealed class StoreTests(AzuriteFixture azurite)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private readonly string _application = AzuriteFixture.NewApplication();

    [Fact]
    public async Task Commit_TwoCommittersRacing_EveryVersionHasExactlyOneWinner()
    {
        var stores = new[] { await StoreAsync(), await StoreAsync() };
        await MustCommitAsync(stores[0], new Join(Member(S)));
        var results = await Task.WhenAll(stores.Select((store, who) => Task.Run(async () =>
        {
            var mine = new List<(long Version, string Cause)>();
            for (var i = 0; i < 15; i++)
            {
                var cause = $"{who}-{i}";
                var result = await store.CommitAsync(map => new MapCommit(cause, "race", [new Cordon(new ShardId("s"), !map.Live[S].Cordoned)]));
                Assert.Equal(CommitOutcome.Committed, result.Outcome);
                mine.Add((result.Version.Value, cause));
            }
            return mine;
        })));

        var won = results.SelectMany(r => r).ToDictionary(r => r.Version, r => r.Cause); // Throws if two won one version.
        Assert.Equal(Enumerable.Range(2, 30).Select(v => (long)v), won.Keys.Order());
        Assert.All(await stores[0].ReadChangesAsync(new MapVersion(1)), change => Assert.Equal(won[change.Version.Value], change.Commit.Cause));
        Assert.Equal(Describe(await stores[0].LoadAsync()), Describe(await stores[1].LoadAsync()));
    }

    [Fact]
    public async Task Commit_AnswerLostAfterTheServerApplied_IsDecidedByAReRead()
    {
        var lossy = new LoseAnswer();
        var store = await StoreAsync(lossy);
        lossy.Armed = true;
        var result = await store.CommitAsync(_ => Commit(new Join(Member(S))));
        Assert.Equal((CommitOutcome.Committed, 1L, 1), (result.Outcome, result.Version.Value, lossy.Lost));
        Assert.Single(await store.ReadChangesAsync(MapVersion.None)); // Once, not twice.
    }

    [Fact]
    public async Task Commit_RequestLostBeforeTheServer_IsSentAgain()
    {
        var lossy = new LoseAnswer { BeforeServer = true };
        var store = await StoreAsync(lossy);
        lossy.Armed = true;
        Assert.Equal(1, (await store.CommitAsync(_ => Commit(new Join(Member(S))))).Version.Value);
        Assert.Equal(1, lossy.Lost);
    }

    [Fact]
    public async Task Commit_AnswerLostAndAnotherWon_IsBuiltAgainOnTheNewHead()
    {
        var lossy = new LoseAnswer { BeforeServer = true };
        var (store, other) = (await StoreAsync(lossy), await StoreAsync());
        lossy.OnLoss = () => MustCommitAsync(other, new Join(Member(D)));
        lossy.Armed = true;
        var built = new List<long>();
        var result = await store.CommitAsync(map => { built.Add(map.Version.Value); return Commit(new Join(Member(S))); });
        Assert.Equal((2L, true), (result.Version.Value, result.Map.Live.ContainsKey(D)));
        Assert.Equal([0, 1], built);
    }

    [Fact]
    public async Task Commit_Prepared_ReadsNoHeadAndLosesToAnotherOnce()
    {
        var (lossy, reads) = (new LoseAnswer(), 0);
        lossy.OnRead = () => reads++;
        var (store, other) = (await StoreAsync(lossy), await StoreAsync());
        await store.PrepareAsync();
        reads = 0;
        Assert.Equal(1, (await store.CommitAsync(_ => Commit(new Join(Member(S))))).Version.Value);
        Assert.Equal(0, reads);

        await store.PrepareAsync();
        await MustCommitAsync(other, new Join(Member(D)));
        var built = new List<long>();
        var result = await store.CommitAsync(map => { built.Add(map.Version.Value); return Commit(new MarkReady(S)); });
        Assert.Equal((3L, true), (result.Version.Value, result.Map.Live.ContainsKey(D)));
        Assert.Equal([1, 2], built);

        // What the prepared head does not allow may be allowed by now.
        await store.PrepareAsync();
        await MustCommitAsync(other, new MarkReady(D));
        Assert.Equal(5, (await store.CommitAsync(map => map.Live[D].Ready ? Commit(new Cordon(new ShardId("d"), true)) : null)).Version.Value);
    }

    [Fact]
    public async Task Commit_StoreStalls_IsSentAgainAndDoneOnce()
    {
        var stall = new TaskCompletionSource();
        var lossy = new LoseAnswer { Stall = stall.Task };
        var store = await StoreAsync(lossy);
        lossy.Armed = true;
        Assert.Equal(1, (await store.CommitAsync(_ => Commit(new Join(Member(S))))).Version.Value); // While the first try still hangs.
        stall.SetResult();
        Assert.Single(await store.ReadChangesAsync(MapVersion.None));
    }

    [Fact]
    public async Task Commit_RefusedOrNothingToDo_ChangesNothing()
    {
        var store = await StoreAsync();
        var refused = await store.CommitAsync(_ => Commit(new GrantSlots(SlotRange.All, S)));
        Assert.Equal((CommitOutcome.Refused, ErrorCodes.NotLive), (refused.Outcome, refused.Refusal!.Code));
        Assert.Equal(CommitOutcome.NothingToDo, (await store.CommitAsync(_ => null)).Outcome);
        Assert.Equal(MapVersion.None, await store.ReadHeadVersionAsync());
    }

    [Fact]
    public async Task Load_SnapshotAndTail_EqualsReplay()
    {
        var store = await StoreAsync();
        await MustCommitAsync(store, new Join(Member(S)), new Join(Member(D)));
        await MustCommitAsync(store, new GrantSlots(SlotRange.All, S), new PublishTemplates("1.0.0", [new("/rooms/{room}")]));
        for (var i = 0; i < 6; i++) // Six snapshots: three are kept, the newest is read.
        {
            await MustCommitAsync(store, new PlanMove(Entries(new EndpointId($"rooms/{i}")), S, D), new SetBackup(i, S, D));
            await store.WriteSnapshotAsync(await store.LoadAsync());
        }
        await MustCommitAsync(store, new Fence(S), new Redirect(S, D));

        var replay = RoutingMap.Empty(16, "log");
        foreach (var change in await store.ReadChangesAsync(MapVersion.None)) replay = replay.Apply(change);
        Assert.Equal(Describe(replay), Describe(await (await StoreAsync()).LoadAsync()));
        Assert.Equal(MapStore.SnapshotsKept, new BlobServiceClient(azurite.ConnectionString).GetBlobContainerClient(MapStore.ContainerName).GetBlobs(Azure.Storage.Blobs.Models.BlobTraits.None, Azure.Storage.Blobs.Models.BlobStates.None, _application, default).Count());
        Assert.Equal("test", (await store.ReadChangeAsync(new MapVersion(3)))!.Commit.Cause);
        Assert.Null(await store.ReadChangeAsync(new MapVersion(99)));
    }

    [Fact]
    public async Task EnsureCreated_AnotherLog_IsRefused()
    {
        var store = await StoreAsync();
        await store.EnsureCreatedAsync(16, "log");
        Assert.Equal(ErrorCodes.LogReplaced, (await Assert.ThrowsAsync<ShardCloudException>(() => store.EnsureCreatedAsync(16, "another"))).Code);
        Assert.Equal(ErrorCodes.LogReplaced, (await Assert.ThrowsAsync<ShardCloudException>(() => store.EnsureCreatedAsync(32, "log"))).Code);
        var none = new MapStore(Tables(), new BlobServiceClient(azurite.ConnectionString), AzuriteFixture.NewApplication());
        Assert.Equal(ErrorCodes.NotBootstrapped, (await Assert.ThrowsAsync<ShardCloudException>(() => none.LoadAsync())).Code);
    }

    [Fact]
    public async Task Follower_WakesByPokeAndByPoll()
    {
        var store = await StoreAsync();
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        using var follower = new MapFollowerService(await StoreAsync(), time);
        await follower.StartAsync(default);
        using var deadline = new CancellationTokenSource(Deadline);

        await MustCommitAsync(store, new Join(Member(S)));
        follower.Poke(new MapVersion(1)); // The fake clock stands: only the poke can have woken it.
        Assert.True((await follower.WaitForAsync(new MapVersion(1), deadline.Token)).Live.ContainsKey(S));

        var seen = new TaskCompletionSource<RoutingMap>(TaskCreationOptions.RunContinuationsAsynchronously);
        follower.Changed += map => seen.TrySetResult(map);
        await MustCommitAsync(store, new Join(Member(D)));
        while (!seen.Task.IsCompleted) // Nobody pokes; every advance of the clock may be the one that ends a wait.
        {
            time.Advance(MapFollowerService.PollInterval);
            await Task.WhenAny(seen.Task, Task.Run(() => store.ReadHeadVersionAsync(deadline.Token))); // A round trip, as a pace.
        }
        Assert.True((await seen.Task).Live.ContainsKey(D));
        await follower.StopAsync(default);
    }

    [Fact]
    public async Task Member_RenewAndFenceRace_ExactlyOneWins()
    {
        var directory = await DirectoryAsync();
        for (var i = 0; i < 20; i++)
        {
            var row = await directory.RegisterAsync(NewRow());
            var renewing = Task.Run(() => directory.RenewAsync(row with { RenewalCount = 2 }));
            var fencing = Task.Run(() => directory.TryFenceAsync(row));
            var (renewed, fenced) = ((await renewing).Outcome == RenewOutcome.Renewed, await fencing);
            Assert.True(renewed ^ fenced);
            Assert.Equal(fenced ? MemberState.Fenced : MemberState.Ready, (await directory.ReadAsync(row.Incarnation))!.State);
        }
    }

    [Fact]
    public async Task Member_RegistrationAnswerLost_IsDecidedByAReRead()
    {
        var lossy = new LoseAnswer();
        var directory = await DirectoryAsync(lossy);
        lossy.Armed = true;
        var row = await directory.RegisterAsync(NewRow());
        Assert.Equal(RenewOutcome.Renewed, (await directory.RenewAsync(row with { RenewalCount = 2 })).Outcome);
        Assert.Equal(ErrorCodes.LeaseLost, (await Assert.ThrowsAsync<ShardCloudException>(() => directory.RegisterAsync(row with { RenewalCount = 1, Pid = 99 }))).Code);
    }

    [Fact]
    public async Task LeaseService_LostAnswers_KeepTheLeaseAndAFenceEndsIt()
    {
        var lossy = new LoseAnswer();
        var directory = await DirectoryAsync(lossy);
        using var lease = new LeaseService(directory, NewRow(), row => row with { AppliedMapVersion = new MapVersion(7), Load = """{"rps":1}""" });
        var lost = new TaskCompletionSource<ShardCloudException>(TaskCreationOptions.RunContinuationsAsynchronously);
        lease.Lost += error => lost.TrySetResult(error);
        await lease.StartAsync(default);
        Assert.True(lease.IsValid);
        Assert.Null(lease.WhyInvalid());

        lossy.Armed = true; // The renewal takes effect, its answer is lost: the service must find out and go on.
        lease.RenewSoon();
        var seen = await UntilAsync(async () => await directory.ReadAsync(lease.Incarnation), row => row!.RenewalCount >= 4);
        Assert.Equal((1, new MapVersion(7)), (lossy.Lost, seen!.AppliedMapVersion));
        Assert.Null(lease.LostBecause);

        await UntilAsync(async () => await directory.TryFenceAsync((await directory.ReadAsync(lease.Incarnation))!), fenced => fenced);
        Assert.Equal(ErrorCodes.Fenced, (await lost.Task.WaitAsync(Deadline)).Code);
        Assert.False(lease.IsValid);
    }

    [Fact]
    public async Task LeaseService_Leaves_RowIsFinal()
    {
        var directory = await DirectoryAsync();
        using var lease = new LeaseService(directory, NewRow(), row => row);
        await lease.StartAsync(default);
        Assert.True(await lease.LeaveAsync());
        Assert.False(lease.IsValid);
        var row = (await directory.ReadAsync(lease.Incarnation))!;
        Assert.Equal(MemberState.Leaving, row.State);
        await directory.RemoveAsync(row);
        Assert.Null(await directory.ReadAsync(lease.Incarnation));
    }

    [Fact]
    public async Task LeaseWatch_SilentMember_IsFencedAndSeenByEveryPoll()
    {
        var directory = await DirectoryAsync();
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        var watch = new LeaseWatch(directory, time);
        var (silent, lively) = (await directory.RegisterAsync(NewRow()), await directory.RegisterAsync(NewRow()));
        Assert.Empty(await watch.PollAsync());
        for (var part = 0; part < 5; part++)
        {
            time.Advance(silent.LeaseLength * 0.2);
            Assert.Empty(await watch.PollAsync());
        }
        time.Advance(silent.LeaseLength * 0.1);
        await directory.RenewAsync(lively with { RenewalCount = 2 });
        Assert.Equal(silent.Incarnation, Assert.Single(await watch.PollAsync()).Incarnation);
        Assert.Equal(lively.Incarnation, Assert.Single(watch.Alive).Incarnation);
        Assert.Single(await new LeaseWatch(directory, time).PollAsync()); // Another observer finds the state, not the event.
    }

    private MemberRow NewRow() => new() { Incarnation = IncarnationId.New(new ShardId("s")), LeaseLength = TimeSpan.FromSeconds(20), State = MemberState.Ready, MemberAddress = "http://127.0.0.1:1", Pid = 1 };

    private TableServiceClient Tables(LoseAnswer? lossy = null)
    {
        var options = StorageClients.NoRetries();
        if (lossy is not null) options.AddPolicy(lossy, HttpPipelinePosition.PerRetry);
        return new TableServiceClient(azurite.ConnectionString, options);
    }

    private async Task<MapStore> StoreAsync(LoseAnswer? lossy = null)
    {
        var store = new MapStore(Tables(lossy), new BlobServiceClient(azurite.ConnectionString), _application);
        await store.EnsureCreatedAsync(16, "log");
        return store;
    }

    private async Task<MemberDirectory> DirectoryAsync(LoseAnswer? lossy = null)
    {
        var directory = new MemberDirectory(Tables(lossy), _application);
        await directory.EnsureCreatedAsync();
        return directory;
    }

    private static async Task MustCommitAsync(MapStore store, params MapOperation[] operations) =>
        Assert.Equal(CommitOutcome.Committed, (await store.CommitAsync(_ => Commit(operations))).Outcome);

    private static async Task<T> UntilAsync<T>(Func<Task<T>> read, Func<T, bool> holds)
    {
        using var deadline = new CancellationTokenSource(Deadline);
        while (true)
        {
            var value = await read();
            if (holds(value)) return value;
            deadline.Token.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Loses one write, once armed: its answer after the server applied it, or the request before it got there.</summary>
    private sealed class LoseAnswer : HttpPipelinePolicy
    {
        public bool Armed { get; set; }
        public bool BeforeServer { get; init; }
        public int Lost { get; private set; }
        public Func<Task>? OnLoss { get; set; }
        public Action? OnRead { get; set; }

        /// <summary>The request hangs until then, or until its sender gives it up; null: it is lost at once.</summary>
        public Task? Stall { get; init; }

        public override void Process(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline) => ProcessNext(message, pipeline);

        public override async ValueTask ProcessAsync(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
        {
            if (message.Request.Method == RequestMethod.Get) OnRead?.Invoke();
            var lose = Armed && message.Request.Method != RequestMethod.Get;
            if (lose) Armed = false;
            if (lose && Stall is not null) await Stall.WaitAsync(message.CancellationToken);
            if (!lose || !BeforeServer) await ProcessNextAsync(message, pipeline);
            if (!lose) return;
            Lost++;
            if (OnLoss is not null) await OnLoss();
            throw new IOException("The connection was closed.");
        }
    }
}
