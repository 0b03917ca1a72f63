using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.LocalCloud.Shards;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Membership;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Membership;

/// <summary>Steps 0a to 0c of docs/protocol/take-over.md: from a leg that breaks to a death that its host confirms.</summary>
public sealed class SuspectsTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    /// <summary>A request finds its owner gone at the router, which owns nothing; the backup hears of it, asks the host, and looks at once.</summary>
    [Fact]
    public async Task Leg_BreaksAtTheRouter_TheShardsAskTheHost_AndKnowOfTheDeath()
    {
        var witness = new Witness();
        var dead = await StartAsync("shard-1", witness);
        var backup = await StartAsync("shard-2", witness);
        var router = await StartAsync("router-1", witness, MemberRole.Router);
        _cluster.GrantAll(dead);
        _cluster.Publish();
        backup.Get<Suspects>().Observed([RowOf(dead), RowOf(backup)]);
        witness.Ended = dead.Self;
        await dead.CrashAsync();

        using var stop = new CancellationTokenSource();
        var request = router.Client.PostAsync("/rooms/1/increment", null, stop.Token); // Parked there: nobody takes over in this test.
        await Eventually.TrueAsync(() => backup.Get<Suspects>().Confirmed.Contains(dead.Self), "the backup knows of the death");
        Assert.Single(backup.Get<Suspects>().Confirmed);
        Assert.DoesNotContain(router.Self, witness.AskedBy); // A router takes nothing over.
        backup.Get<Suspects>().Observed([RowOf(dead) with { State = MemberState.Fenced }, RowOf(backup)]);
        Assert.Empty(backup.Get<Suspects>().Confirmed);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request);
    }

    /// <summary>0a at the copies of <c>ack: replica</c>: no request goes to an idle backup, so its owner's batches are the first to notice.</summary>
    [Fact]
    public async Task Leg_OfABackup_Breaks_ItIsSuspected()
    {
        var (owner, backup) = (await StartAsync("shard-1", new Witness()), await StartAsync("shard-2", new Witness()));
        await backup.CrashAsync();

        await Assert.ThrowsAsync<HttpRequestException>(() => owner.Get<BackupLegs>().SendAsync(0, new BackupBatch(backup.Self, []), TestContext.Current.CancellationToken));

        var suspicion = Assert.Single(owner.Get<Suspects>().All);
        Assert.Equal((backup.Self.Value, owner.Self.Value), (suspicion.Member, Assert.Single(suspicion.By)));
    }

    /// <summary>Whoever is only suspected, by however many, is asked after, and nothing else.</summary>
    [Fact]
    public async Task Suspect_WhoseHostHasSeenNothing_IsNotOver()
    {
        var witness = new Witness();
        var (one, other) = (await StartAsync("shard-1", witness), await StartAsync("shard-2", witness));
        other.Get<Suspects>().Observed([RowOf(one), RowOf(other)]);

        foreach (var by in (string[])["shard-8~1", "shard-9~1"]) other.Get<Suspects>().Reported(one.Self, new IncarnationId(by));
        await Eventually.TrueAsync(() => witness.Asked >= 3, "it was asked after again and again");

        Assert.Empty(other.Get<Suspects>().Confirmed);
        Assert.Equal(["shard-8~1", "shard-9~1"], Assert.Single(other.Get<Suspects>().All).By.Order());
    }

    /// <summary>A wait begins when a row's last change is first read: the sooner the shard looks, the sooner it is over.</summary>
    [Fact]
    public async Task FirstReport_WakesTheLook()
    {
        var witness = new Witness();
        var (one, other) = (await StartAsync("shard-1", witness), await StartAsync("shard-2", witness));
        using var late = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        late.CancelAfter(TimeSpan.FromSeconds(20));

        other.Get<Suspects>().Reported(one.Self, new IncarnationId("shard-9~1"));

        await other.Get<Suspects>().WaitAsync(Timeout.InfiniteTimeSpan, late.Token);
        Assert.Empty(other.Get<Suspects>().Confirmed);
    }

    [Fact]
    public async Task Report_OfAMemberThatTheMapDoesNotList_OrOfOneself_IsIgnored()
    {
        var one = await StartAsync("shard-1", new Witness());
        one.Get<Suspects>().Reported(new IncarnationId("shard-7~1"), new IncarnationId("shard-8~1"));
        one.Get<Suspects>().Reported(one.Self, new IncarnationId("shard-8~1"));
        Assert.Empty(one.Get<Suspects>().All);
    }

    [Theory]
    [InlineData("{\"member\":\"shard-7~1\",\"by\":[]}", Roles.Member, 202)]
    [InlineData("{\"member\":\"nobody\",\"by\":[]}", Roles.Member, 400)]
    [InlineData("{\"member\":\"shard-7~1\",\"by\":[]}", null, 401)]
    public async Task Report_IsTakenFromMembersOnly(string body, string? role, int status)
    {
        var one = await StartAsync("shard-1", new Witness());
        using var report = new HttpRequestMessage(HttpMethod.Post, "/_shard/suspects") { Content = new StringContent(body, null, "application/json"), Version = new Version(2, 0), VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        if (role is not null) report.Headers.Add(ShardHeaders.Token, one.Token(role));
        using var answer = await one.MemberClient.SendAsync(report, TestContext.Current.CancellationToken);
        Assert.Equal(status, (int)answer.StatusCode);
    }

    /// <summary>A real host and real processes: running says nothing, and so does the end of another process than the one that registered.</summary>
    [Fact]
    public async Task Host_ConfirmsTheEndOfTheVeryProcess_AndOfNoOther()
    {
        var folder = Directory.CreateTempSubdirectory("shardcloud-witness-").FullName;
        var key = LocalKey.LoadOrCreate(Path.Combine(folder, "key"));
        await using var host = await LocalShardHostServer.StartAsync(new LocalShardHostOptions { Versions = new Dictionary<string, ApplicationVersion> { ["1"] = new() { FileName = "sleep", Arguments = ["600"] } } }, key);
        using var witness = new HostWitness(new WitnessSettings { Url = host.Address, Timeout = TimeSpan.FromSeconds(10) }, new LocalTokenSource(new TokenIssuer(key), "shard-2~1", Roles.Member));
        var instance = host.Processes.Create(new CreateInstanceRequest("op", "shard-1", "1"));
        var row = new MemberRow { Incarnation = new IncarnationId("shard-1~1"), LeaseLength = TimeSpan.FromSeconds(2), HostHandle = instance.Handle, Pid = instance.Pid!.Value };
        var late = TestContext.Current.CancellationToken;

        Assert.False(await witness.HasSeenEndAsync(row, late));
        Assert.True(host.Processes.Crash(instance.Handle));
        await Eventually.TrueAsync(() => host.Processes.Find(instance.Handle)!.ConfirmedEnded, "the host has seen it");
        Assert.True(await witness.HasSeenEndAsync(row, late));
        Assert.False(await witness.HasSeenEndAsync(row with { Pid = row.Pid + 1 }, late));
        Assert.False(await witness.HasSeenEndAsync(row with { HostHandle = "local-9" }, late));
        Assert.False(await witness.HasSeenEndAsync(row with { HostHandle = "" }, late));
        Directory.Delete(folder, recursive: true);
    }

    private Task<TestMember> StartAsync(string shard, Witness witness, MemberRole role = MemberRole.Shard) => _cluster.StartAsync(shard, role, services: services =>
    {
        services.AddSingleton<IDeathWitness>(p => new WitnessOf(witness, p.GetRequiredService<ShardContext>()));
        services.AddSingleton<Suspects>();
        services.AddSingleton<BackupLegs>();
        services.AddHostedService(p => p.GetRequiredService<Suspects>());
        services.AddSingleton<IControlPlane, SuspectPlane>();
    });

    private static MemberRow RowOf(TestMember member) => new() { Incarnation = member.Self, LeaseLength = TimeSpan.FromSeconds(2) };

    /// <summary>What happened in this test, and who asked.</summary>
    private sealed class Witness
    {
        private int _asked;

        public IncarnationId? Ended { get; set; }

        public int Asked => Volatile.Read(ref _asked);

        public System.Collections.Concurrent.ConcurrentBag<IncarnationId> AskedBy { get; } = [];

        public bool Ask(IncarnationId member, IncarnationId by)
        {
            AskedBy.Add(by);
            Interlocked.Increment(ref _asked);
            return member == Ended;
        }
    }

    private sealed class WitnessOf(Witness witness, ShardContext shard) : IDeathWitness
    {
        public Task<bool> HasSeenEndAsync(MemberRow row, CancellationToken cancellationToken) => Task.FromResult(witness.Ask(row.Incarnation, shard.Self));
    }
}
