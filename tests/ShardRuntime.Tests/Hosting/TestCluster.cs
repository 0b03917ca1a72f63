using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using ShardCloud.Identity;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Tests.Hosting;

/// <summary>Members in one process, on real sockets: production listeners, gates, proxy and executor; the map is the test's, the state is in memory.</summary>
public sealed class TestCluster : IAsyncDisposable
{
    public const string Template = "/rooms/{room}";
    public static readonly EndpointId Room = new("rooms/1");

    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-runtime-").FullName;
    private readonly List<TestMember> _members = [];

    public string KeyFile => Path.Combine(_folder, "key");

    /// <summary>The newest map; members see it when told (<see cref="Publish"/>).</summary>
    public RoutingMap Map { get; private set; } = RoutingMap.Empty(16, "log-1");

    public async Task<TestMember> StartAsync(string shard, MemberRole role = MemberRole.Shard, Action<WebApplication>? map = null, Dictionary<string, string?>? settings = null,
        Action<IServiceCollection>? services = null, bool rooms = true)
    {
        var member = await TestMember.StartAsync(this, shard, role, map, settings, services, rooms);
        _members.Add(member);
        if (role is MemberRole.Shard)
        {
            Commit(new Join(new LiveMember(member.Self, member.Shard.MemberAddress, member.Shard.PublicAddress, "1.0.0", shard, Cordoned: false, Ready: false)),
                new PublishTemplates("1.0.0", [new TemplateSpec(Template), .. BuiltInEndpoints.Templates]), new MarkReady(member.Self));
        }
        foreach (var every in _members) every.See(Map);
        return member;
    }

    /// <summary>One commit; nobody sees it yet.</summary>
    public MapVersion Commit(params MapOperation[] operations)
    {
        var commit = new MapCommit("test", "test", operations);
        Assert.Null(Map.Check(commit));
        Map = Map.Apply(new MapChange(Map.Version.Next, DateTimeOffset.UnixEpoch, commit));
        return Map.Version;
    }

    /// <summary>Everybody sees the newest map.</summary>
    public void Publish()
    {
        foreach (var member in _members) member.See(Map);
    }

    /// <summary>Some see the newest map.</summary>
    public void PublishTo(params TestMember[] members)
    {
        foreach (var member in members) member.See(Map);
    }

    /// <summary>First grant of everything.</summary>
    public Epoch GrantAll(TestMember owner)
    {
        var epoch = new Epoch(Commit(new GrantSlots(SlotRange.All, owner.Self)));
        owner.States.Own(Room, epoch);
        owner.States.OwnRest(epoch);
        Publish();
        return epoch;
    }

    /// <summary>Step 1 of a handoff of <see cref="Room"/>.</summary>
    public HandoffId Plan(TestMember from, TestMember to) => new(Commit(new PlanMove([EntryKey.Of(Room)], from.Self, to.Self)));

    /// <summary>Step 6: the destination takes the source's document over.</summary>
    public Epoch Grant(HandoffId handoff, TestMember from, TestMember to)
    {
        var epoch = new Epoch(Commit(new GrantMove(handoff, [EntryKey.Of(Room)], to.Self)));
        to.States.Own(Room, epoch, from.States.Lose(Room));
        return epoch;
    }

    /// <summary>Puts an endpoint at a member of its own choice, with a document or the one its owner has; everybody sees it.</summary>
    public Epoch Place(EndpointId endpoint, TestMember from, TestMember to, Crdt.Document? document = null)
    {
        document ??= from.States.Lose(endpoint);
        var handoff = new HandoffId(Commit(new PlanMove([EntryKey.Of(endpoint)], from.Self, to.Self)));
        var epoch = new Epoch(Commit(new GrantMove(handoff, [EntryKey.Of(endpoint)], to.Self)));
        to.States.Own(endpoint, epoch, document);
        Publish();
        return epoch;
    }

    /// <summary>A whole handoff of <see cref="Room"/> with the source's drain, as everybody sees it.</summary>
    /// <returns>What the drain said: false when its budget was spent.</returns>
    public async Task<bool> MoveAsync(TestMember from, TestMember to, TimeSpan drainBudget)
    {
        var handoff = Plan(from, to);
        Publish();
        to.Show(Room, HandoffRole.SealingDestination, handoff);
        from.Show(Room, HandoffRole.SealedSource, handoff);
        var isDrained = await from.Get<IDrain>().WaitForIdleAsync(endpoint => endpoint == Room, drainBudget, TestContext.Current.CancellationToken);
        Grant(handoff, from, to);
        Publish();
        from.Show(Room, HandoffRole.None, handoff);
        to.Show(Room, HandoffRole.None, handoff);
        return isDrained;
    }

    /// <summary>A member that has <see cref="Room"/> dies, and another takes over what the log has of it. Of the others only these are told.</summary>
    public async Task TakeOverAsync(TestMember dead, TestMember by, params TestMember[] told)
    {
        var logged = dead.States.Of(Room);
        await dead.CrashAsync();
        by.States.Own(Room, new Epoch(Commit(new Fence(dead.Self), new Redirect(dead.Self, by.Self))), logged);
        foreach (var member in (TestMember[])[.. told, by]) member.See(Map);
    }

    /// <summary>Puts an endpoint at a member that never says a word; everybody sees it.</summary>
    public void PlaceAt(SilentMember silent, EndpointId endpoint, TestMember from)
    {
        Commit(new Join(new LiveMember(silent.Self, silent.Address, "", "1.0.0", "shard-9", Cordoned: false, Ready: false)), new MarkReady(silent.Self));
        var handoff = new HandoffId(Commit(new PlanMove([EntryKey.Of(endpoint)], from.Self, silent.Self)));
        Commit(new GrantMove(handoff, [EntryKey.Of(endpoint)], silent.Self));
        from.States.Lose(endpoint);
        Publish();
    }

    /// <summary>The silent member is fenced, and another has what it had; everybody sees it.</summary>
    public void TakeOver(SilentMember silent, EndpointId endpoint, TestMember by)
    {
        by.States.Own(endpoint, new Epoch(Commit(new Fence(silent.Self), new Redirect(silent.Self, by.Self))));
        Publish();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var member in _members) await member.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}

/// <summary>Connections to it are accepted, and nothing is ever said on them: a frozen machine, or a cut that nobody was told of.</summary>
public sealed class SilentMember : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    public SilentMember() => _listener.Start();

    public IncarnationId Self { get; } = new("shard-9~silent");

    public string Address => $"http://{_listener.LocalEndpoint}";

    public void Dispose() => _listener.Dispose();
}

/// <summary>One member of a <see cref="TestCluster"/>.</summary>
public sealed class TestMember : IMapView, ILeaseView, IHandoffTable, IAsyncDisposable
{
    private readonly ConcurrentDictionary<EndpointId, HandoffView> _handoffs = new();
    private volatile RoutingMap _map;
    private WebApplication? _app;

    private TestMember(RoutingMap map) => _map = map;

    public MemoryStates States { get; } = new();

    public bool IsValid { get; set; } = true;

    public long Poked { get; private set; }

    /// <summary>How often the application's changing handler ran.</summary>
    public int Runs;

    public ShardContext Shard { get; private set; } = null!;

    public IncarnationId Self => Shard.Self;

    /// <summary>A client of the public listener; it follows nothing and keeps nothing.</summary>
    public HttpClient Client { get; private set; } = null!;

    /// <summary>A client of the member listener without a token.</summary>
    public HttpClient MemberClient { get; private set; } = null!;

    /// <summary>The first map is there; until then requests of clients wait.</summary>
    public TaskCompletionSource? FirstMap { get; set; }

    RoutingMap IMapView.Current => _map;

    Task IMapView.Loaded => FirstMap?.Task ?? Task.CompletedTask;

    void IMapView.Poke(MapVersion version) => Poked = Math.Max(Poked, version.Value);

    HandoffView IHandoffTable.Look(EndpointId endpoint) => _handoffs.GetValueOrDefault(endpoint);

    public T Get<T>() where T : notnull => _app!.Services.GetRequiredService<T>();

    public static async Task<TestMember> StartAsync(TestCluster cluster, string shard, MemberRole role, Action<WebApplication>? map, Dictionary<string, string?>? settings,
        Action<IServiceCollection>? services, bool rooms)
    {
        var member = new TestMember(cluster.Map);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["ShardCloud:Application"] = "rooms",
            ["ShardCloud:Shard"] = shard,
            ["ShardCloud:Role"] = role.ToString(),
            ["ShardCloud:Auth:KeyFile"] = cluster.KeyFile,
            ["ShardCloud:Lease:Length"] = "00:00:02",
            ["ShardCloud:Log:BootstrapServers"] = "127.0.0.1:1",
            ["ShardCloud:Storage:ConnectionString"] = "UseDevelopmentStorage=true",
        });
        if (settings is not null) builder.Configuration.AddInMemoryCollection(settings);
        builder.AddDataPlane();
        services?.Invoke(builder.Services);
        builder.Services.AddSingleton<IMapView>(member);
        builder.Services.AddSingleton<ILeaseView>(member);
        builder.Services.AddSingleton<IHandoffTable>(member);
        builder.Services.AddSingleton<IEndpointStates>(member.States);
        builder.Services.AddSingleton<IReplicas>(member.States);

        var app = member._app = builder.Build();
        member.Shard = member.Get<ShardContext>();
        app.UseShardRuntime();
        if (role is MemberRole.Shard)
        {
            if (rooms)
            {
                var room = app.MapShardEndpoint(TestCluster.Template);
                room.MapPost("/increment", (HttpContext context) => member.Increment(context));
                room.MapGet("", (HttpContext context) => Results.Text($"{context.EndpointState().Counter("count").Value} at {context.Shard().Id}"));
                app.MapGet("/hello", () => $"hello from {shard}");
            }
            map?.Invoke(app);
        }
        else
        {
            app.MapGet("/", () => "router");
        }
        await app.StartAsync();
        member.Client = ClientOf(member.Shard.PublicAddress, HttpVersion.Version11);
        member.MemberClient = ClientOf(member.Shard.MemberAddress, HttpVersion.Version20);
        return member;
    }

    public void See(RoutingMap map)
    {
        _map = map;
        Get<Parking>().WakeAll();
    }

    public void Show(EndpointId endpoint, HandoffRole role, HandoffId handoff)
    {
        _handoffs[endpoint] = new HandoffView(role, handoff);
        Get<Parking>().WakeAll();
    }

    public string Token(string role = Roles.Member, string audience = Audiences.Members) =>
        new TokenIssuer(Get<LocalKey>()).Issue("shard-9~test", role, audience, TimeSpan.FromMinutes(5));

    /// <summary>A request over the member listener as another member would send it.</summary>
    public HttpRequestMessage Leg(HttpMethod method, string path, Epoch epoch, string? requestId = null)
    {
        var leg = new HttpRequestMessage(method, path) { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        leg.Headers.Add("X-Shard-Token", Token());
        leg.Headers.Add("X-Shard-To", string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Self.Value} {epoch.Value} 1"));
        if (requestId is not null) leg.Headers.Add("X-Shard-Request", requestId);
        return leg;
    }

    /// <summary>Ends the process's sockets without a word, as a crash does to its peers.</summary>
    public async Task CrashAsync()
    {
        var app = Interlocked.Exchange(ref _app, null);
        if (app is null) return;
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        try
        {
            await app.StopAsync(now.Token);
        }
        catch (OperationCanceledException)
        {
            // Asked for: no grace.
        }
        await app.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        Client?.Dispose();
        MemberClient?.Dispose();
        await CrashAsync();
    }

    private static HttpClient ClientOf(string address, Version version) => new(new SocketsHttpHandler { UseProxy = false, UseCookies = false, AllowAutoRedirect = false })
    {
        BaseAddress = new Uri(address),
        DefaultRequestVersion = version,
        DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        Timeout = TimeSpan.FromSeconds(20),
    };

    private IResult Increment(HttpContext context)
    {
        Interlocked.Increment(ref Runs);
        var count = context.EndpointState().Counter("count");
        count.Increment();
        return Results.Text($"{count.Value} at {context.Shard().Id}");
    }
}
