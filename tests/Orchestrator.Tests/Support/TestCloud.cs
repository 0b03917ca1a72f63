using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using ShardCloud.Contracts;
using ShardCloud.DurableTask.Client;
using ShardCloud.Identity;
using ShardCloud.Orchestrator.Affinity;
using ShardCloud.Orchestrator.Ending;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Rebalancing;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Scaling;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Orchestrator.Updates;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Support;

/// <summary>The Orchestrator's whole pipeline in memory, on a real map in Azurite, with test members and a task hub in memory.</summary>
public sealed class TestCloud : IAsyncDisposable
{
    private readonly string _keyFolder = Directory.CreateTempSubdirectory("shardcloud-").FullName;
    private readonly WebApplicationFactory<Program> _factory;
    private readonly TokenIssuer _issuer;

    /// <param name="azurite">Where map and records are.</param>
    /// <param name="settings">Settings over those of every test.</param>
    /// <param name="services">Services over those of every test; with them the Orchestrator's own shard host is used, as its settings say.</param>
    public TestCloud(AzuriteFixture azurite, IReadOnlyDictionary<string, string?>? settings = null, Action<IServiceCollection>? services = null)
    {
        var application = Application = AzuriteFixture.NewApplication();
        var keyFile = Path.Combine(_keyFolder, "key");
        Hub = new TaskHub();
        Host = new TestShardHost(this);
        _factory = new WebApplicationFactory<Program>().WithWebHostBuilder(builder =>
        {
            builder.ConfigureAppConfiguration(configuration => configuration.AddInMemoryCollection(new Dictionary<string, string?>
            {
                ["ShardCloud:Application"] = application,
                ["ShardCloud:Storage:ConnectionString"] = azurite.ConnectionString,
                ["ShardCloud:Auth:KeyFile"] = keyFile,
                ["ShardCloud:ShardHost:Url"] = "http://127.0.0.1:9/",
                ["ShardCloud:SlowShards:AnswerWithin"] = "00:00:00.3",
                ["ShardCloud:SlowShards:PromptWithin"] = "00:00:00.3",
                ["ShardCloud:SlowShards:Looks"] = "2",
                ["ShardCloud:SlowShards:GiveUpAfter"] = "00:00:40",
            }).AddInMemoryCollection(settings ?? new Dictionary<string, string?>()));
            builder.ConfigureTestServices(own =>
            {
                if (services is null) own.AddSingleton<IShardHost>(Host);
                else services(own);
                own.AddScoped<DurableTaskClient>(_ => DurableClient());
            });
        });
        Hub.Handler = _factory.CreateClient();
        _issuer = new TokenIssuer(LocalKey.LoadOrCreate(keyFile));
    }

    public string Application { get; }

    public TaskHub Hub { get; }

    private GrpcDurableTaskClient DurableClient() => new(new TaskHubInvoker(Hub), version: OrchestratorServices.OrchestrationVersion);

    public TestShardHost Host { get; }

    public List<TestMember> Members { get; } = [];

    public IServiceProvider Services => _factory.Services;

    public MapStore Store => Services.GetRequiredService<MapStore>();

    public MemberDirectory Leases => Services.GetRequiredService<MemberDirectory>();

    /// <summary>A map with these shards, all slots granted to the first.</summary>
    public static Task<TestCloud> WithShardsAsync(AzuriteFixture azurite, TimeSpan lease, params string[] shards) => WithShardsOfAsync(azurite, lease, "1.0.0", shards);

    /// <inheritdoc cref="WithShardsAsync"/>
    public static async Task<TestCloud> WithShardsOfAsync(AzuriteFixture azurite, TimeSpan lease, string version, params string[] shards)
    {
        var cloud = new TestCloud(azurite);
        await cloud.Store.EnsureCreatedAsync(16, "deltas");
        foreach (var shard in shards) await cloud.JoinAsync(shard, lease, version: version);
        var granted = await cloud.Store.CommitAsync(_ => new MapCommit("bootstrap", "first placement", [new GrantSlots(SlotRange.All, cloud.Members[0].Incarnation)]));
        Assert.Equal(CommitOutcome.Committed, granted.Outcome);
        return cloud;
    }

    public async Task<TestMember> JoinAsync(string shard, TimeSpan lease, MemberRole role = MemberRole.Shard, string version = "1.0.0", string handle = "")
    {
        var member = await TestMember.StartAsync(Store, Leases, shard, lease, role, version, handle);
        lock (Members) Members.Add(member);
        return member;
    }

    public TestMember Member(string shard)
    {
        lock (Members) return Members.Last(member => member.Incarnation.Shard.Value == shard);
    }

    /// <summary>The timer's work, at a time of the test's own.</summary>
    public Housekeeping.Monitor MonitorAt(TimeProvider time)
    {
        var (operations, durable) = (Services.GetRequiredService<OperationStore>(), DurableClient());
        return new(Services.GetRequiredService<MigrationStore>(), operations, Services.GetRequiredService<UpdateStore>(), ReplacementsAt(time), DrainsAt(time), OrphansAt(time), Services.GetRequiredService<AffinityStore>(),
            Services.GetRequiredService<EndMark>(), new Endings(Services.GetRequiredService<MapReader>(), operations, durable, time), ScalerAt(time), RebalancesAt(time), durable, time, NullLogger<Housekeeping.Monitor>.Instance);
    }

    /// <summary>What adds and removes shards by load, at a time of the test's own.</summary>
    public Scaler ScalerAt(TimeProvider time, ShardLoads? loads = null) => new(
        Services.GetRequiredService<MapReader>(), Services.GetRequiredService<AffinityStore>(), loads ?? Services.GetRequiredService<ShardLoads>(), Services.GetRequiredService<ScalingRecords>(), Services.GetRequiredService<RebalanceStore>(), Services.GetRequiredService<ShardsHold>(),
        Services.GetRequiredService<OperationStore>(), DurableClient(), Services.GetRequiredService<AuditLog>(), time, NullLogger<Scaler>.Instance);

    /// <summary>What starts rebalancing, at a time of the test's own.</summary>
    public Rebalances RebalancesAt(TimeProvider time) => new(
        Services.GetRequiredService<RebalanceStore>(), Services.GetRequiredService<ShardsHold>(), Services.GetRequiredService<RebalanceTimer>(), Services.GetRequiredService<ScalingRecords>(),
        Services.GetRequiredService<OperationStore>(), Services.GetRequiredService<MapReader>(), DurableClient(), time);

    /// <summary>What ends orphans, at a time of the test's own.</summary>
    public Housekeeping.Orphans OrphansAt(TimeProvider time) => new(
        Services.GetRequiredService<IShardHost>(), Leases, Services.GetRequiredService<OperationStore>(), Services.GetRequiredService<UpdateStore>(), time, NullLogger<Housekeeping.Orphans>.Instance);

    /// <summary>What starts replacements, at a time of the test's own.</summary>
    public Replacements ReplacementsAt(TimeProvider time) => new(
        Services.GetRequiredService<MapReader>(), Leases, Services.GetRequiredService<OperationStore>(), DurableClient(), time);

    /// <summary>What looks for slow shards, at a time of the test's own.</summary>
    public Drains DrainsAt(TimeProvider time) => new(
        Services.GetRequiredService<MapReader>(), Services.GetRequiredService<ShardLooks>(), Services.GetRequiredService<SlowShards>(), Services.GetRequiredService<OperationStore>(),
        DurableClient(), Services.GetRequiredService<IOptions<OrchestratorSettings>>(), time, NullLogger<Drains>.Instance);

    public HttpClient Client(string? role = Roles.Operator, string audience = Audiences.Management)
    {
        var client = _factory.CreateClient();
        if (role is not null)
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", _issuer.Issue("olga", role, audience, TimeSpan.FromMinutes(10)));
        return client;
    }

    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string? json = null, string? key = null, string contentType = "application/json")
    {
        using var request = new HttpRequestMessage(method, path);
        if (json is not null)
        {
            request.Content = new StringContent(json, Encoding.UTF8);
            request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(contentType);
        }
        if (key is not null) request.Headers.Add("Idempotency-Key", key);
        return await Client().SendAsync(request);
    }

    public Task<HttpResponseMessage> MigrateAsync(string to, params string[] endpoints) =>
        SendAsync(HttpMethod.Post, "/api/migrations", JsonSerializer.Serialize(new { endpoints, to, reason = "a test" }));

    /// <summary>Starts a migration and returns its id.</summary>
    public async Task<string> StartAsync(string to, params string[] endpoints)
    {
        var response = await MigrateAsync(to, endpoints);
        Assert.True(response.StatusCode == System.Net.HttpStatusCode.Accepted, await response.Content.ReadAsStringAsync());
        return (await response.Content.ReadFromJsonAsync(ManagementJson.Default.MigrationAccepted))!.Id;
    }

    public async Task<Migration> ReadMigrationAsync(string id) =>
        (await Client(Roles.Observer).GetFromJsonAsync($"/api/migrations/{id}", ManagementJson.Default.Migration))!;

    public Task<Migration> FinishedAsync(string id) =>
        Wait.ForAsync(() => ReadMigrationAsync(id), migration => migration.State == MigrationState.Finished, $"{id} to finish");

    public async Task<Operation> FinishedOperationAsync(string id) => await Wait.ForAsync(
        async () => (await Client(Roles.Observer).GetFromJsonAsync($"/api/operations/{id}", ManagementJson.Default.Operation))!,
        operation => operation.State != OperationState.Running, $"{id} to finish");

    public static async Task<Problem> ProblemAsync(HttpResponseMessage response)
    {
        Assert.Equal(Problem.MediaType, response.Content.Headers.ContentType?.MediaType);
        var problem = (await response.Content.ReadFromJsonAsync(ManagementJson.Default.Problem))!;
        Assert.Equal((int)response.StatusCode, problem.Status);
        Assert.NotEmpty(problem.Remedy);
        return problem;
    }

    public async ValueTask DisposeAsync()
    {
        await _factory.DisposeAsync();
        foreach (var member in Members) await member.DisposeAsync();
        Directory.Delete(_keyFolder, recursive: true);
    }
}

/// <summary>A shard host whose instances are test members in this process.</summary>
public sealed class TestShardHost(TestCloud cloud) : IShardHost
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly Dictionary<string, ShardInstance> _byOperation = new(StringComparer.Ordinal);

    /// <summary>Versions that never join: their process ends at once.</summary>
    public const string BrokenVersion = "broken";

    /// <summary>Joins, and then refuses every handoff to it.</summary>
    public const string StubbornVersion = "stubborn";

    /// <summary>How many of the next instances end before they have joined, whatever their version.</summary>
    public int BrokenNext { get; set; }

    /// <summary>Of the next instances.</summary>
    public TimeSpan Lease { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>Done with each new member once it has joined.</summary>
    public Action<TestMember>? Prepare { get; set; }

    /// <summary>Where the handoffs of the next instance stop.</summary>
    public HandoffPhase? HoldNext { get; set; }

    public IReadOnlyCollection<ShardInstance> Instances => _byOperation.Values;

    public Task<ShardHostCapabilities> GetCapabilitiesAsync(CancellationToken cancellationToken) => Task.FromResult(new ShardHostCapabilities(true, false, true, 1));

    public async Task<ShardInstance> CreateAsync(string operation, ShardId shard, string version, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (_byOperation.TryGetValue(operation, out var before)) return before;
            var isBroken = version == BrokenVersion || BrokenNext-- > 0;
            var instance = new ShardInstance(
                $"h-{_byOperation.Count}", operation, shard.Value, version, isBroken ? InstanceState.Exited : InstanceState.Running, 1, isBroken ? 134 : null, isBroken, DateTimeOffset.UtcNow);
            _byOperation[operation] = instance;
            if (isBroken) return instance;
            var member = await cloud.JoinAsync(shard.Value, Lease, version: version is StubbornVersion ? "1.0.0" : version);
            Prepare?.Invoke(member);
            member.RefusesToVerify = version == StubbornVersion;
            (member.HoldBefore, HoldNext) = (HoldNext, null);
            return instance;
        }
        finally
        {
            _gate.Release();
        }
    }

    public Task<IReadOnlyList<ShardInstance>> ListAsync(CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<ShardInstance>>([.. _byOperation.Values]);

    public Task DeleteAsync(string handle, CancellationToken cancellationToken)
    {
        foreach (var (operation, instance) in _byOperation.ToList())
            if (instance.Handle == handle) _byOperation[operation] = instance with { State = InstanceState.Exited, ConfirmedEnded = true, ExitCode = 0 };
        return Task.CompletedTask;
    }
}
