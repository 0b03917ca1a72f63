using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.LocalCloud.Shards;

namespace ShardCloud.LocalCloud.Tests.Shards;

/// <summary>The shard host's contract, with small programs as shards.</summary>
public sealed class LocalShardHostTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-").FullName;
    private LocalShardHostServer _server = null!;
    private HttpClient _client = null!;
    private TokenIssuer _issuer = null!;

    public async ValueTask InitializeAsync()
    {
        var key = LocalKey.LoadOrCreate(Path.Combine(_folder, "key"));
        _issuer = new TokenIssuer(key);
        _server = await LocalShardHostServer.StartAsync(new LocalShardHostOptions
        {
            LogFolder = _folder,
            RunningMax = 2,
            ReadyWithin = TimeSpan.FromSeconds(60),
            Environment = new Dictionary<string, string?> { ["ShardCloud__Application"] = "rooms" },
            Versions = new Dictionary<string, ApplicationVersion>
            {
                ["waits"] = new() { FileName = "sleep", Arguments = ["600"] },
                ["tells"] = new() { FileName = "sh", Arguments = ["-c", "echo $ShardCloud__Application $ShardCloud__Shard $ShardCloud__Role $ShardCloud__ApplicationVersion; exit 7"] },
                // A shard as the host sees one: it is ready once its public address answers 200.
                ["serves"] = new() { FileName = "node", Arguments = ["-e", "require('http').createServer((_, answer) => answer.end()).listen(new URL(process.env.ShardCloud__Public__Url ?? 'http://127.0.0.1:0').port, '127.0.0.1')"] },
                ["once"] = new() { FileName = "sh", Arguments = ["-c", "test -z \"$ShardCloud__Public__Url\" && exec sleep 600; exit 3"] }, // Its second instance, which is told an address, ends.
                ["missing"] = new() { FileName = "no-such-program-anywhere" },
            },
        }, key, TestContext.Current.CancellationToken);
        _client = ClientOf(Roles.Orchestrator);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _server.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Create_RepeatedWithItsOperation_IsOneProcess()
    {
        var first = await CreateAsync("op-1", "shard-1", "waits");
        var again = await CreateAsync("op-1", "shard-1", "waits");
        var other = await CreateAsync("op-2", "shard-2", "waits");

        Assert.Equal((first.Handle, first.Pid), (again.Handle, again.Pid));
        Assert.NotEqual(first.Pid, other.Pid);
        Assert.Equal((InstanceState.Running, false), (first.State, first.ConfirmedEnded));
        Assert.Equal([first.Handle, other.Handle], (await ListAsync()).Select(instance => instance.Handle));
    }

    [Fact]
    public async Task Create_GivesTheEnvironmentAndReportsTheEnd()
    {
        var created = await CreateAsync("op-1", "shard-4", "tells");

        var ended = await EndedAsync(created.Handle);

        Assert.Equal((7, true), (ended.ExitCode, ended.ConfirmedEnded));
        Assert.Equal(["rooms shard-4 shard tells"], _server.Processes.LastLines(created.Handle));
    }

    [Fact]
    public async Task Delete_EndsTheProcessAndSaysSo()
    {
        var created = await CreateAsync("op-1", "shard-1", "waits");

        var deleted = await _client.DeleteFromJsonAsync($"shards/{created.Handle}", ShardHostJson.Default.ShardInstance, TestContext.Current.CancellationToken);

        Assert.Equal((InstanceState.Exited, true), (deleted!.State, deleted.ConfirmedEnded));
        Assert.Throws<ArgumentException>(() => System.Diagnostics.Process.GetProcessById(created.Pid!.Value));
    }

    [Fact]
    public async Task Crash_IsSeenAsAnEndThatNobodyAskedFor()
    {
        var created = await CreateAsync("op-1", "shard-1", "waits");

        Assert.True(_server.Processes.Crash(created.Handle));

        Assert.Equal(137, (await EndedAsync(created.Handle)).ExitCode);
        Assert.Single(await ListAsync()); // Nothing is restarted.
    }

    /// <summary>The new instance was ready, and running, before the old one ended; the same operation again is the same restart.</summary>
    [Fact]
    public async Task Restart_TheNewOneIsReadyBeforeTheOldOneIsStopped()
    {
        var old = await CreateAsync("op-1", "shard-1", "serves");

        var newer = await RestartAsync(old.Handle, "restart-1");
        var again = await RestartAsync(old.Handle, "restart-1");

        Assert.Equal(("shard-1", "serves", InstanceState.Running), (newer.Shard, newer.Version, newer.State));
        Assert.Equal((newer.Handle, newer.Pid), (again.Handle, again.Pid));
        Assert.NotEqual(old.Handle, newer.Handle);
        Assert.Equal([InstanceState.Exited, InstanceState.Running], (await ListAsync()).Select(instance => instance.State));
        Assert.True((await _client.GetFromJsonAsync("host", ShardHostJson.Default.ShardHostCapabilities, TestContext.Current.CancellationToken))!.OverlapsRestarts);
    }

    /// <summary>A new instance that ends before it is ready costs nothing: the old one runs on, and can be restarted again.</summary>
    [Fact]
    public async Task Restart_WhoseNewInstanceDoesNotBecomeReady_LeavesTheOldOneAlone()
    {
        var old = await CreateAsync("op-1", "shard-1", "once");

        foreach (var attempt in (string[])["restart-1", "restart-2"])
        {
            using var refused = await _client.PostAsJsonAsync($"shards/{old.Handle}/restart", new RestartInstanceRequest(attempt), TestContext.Current.CancellationToken);
            Assert.Equal((HttpStatusCode.InternalServerError, ErrorCodes.ShardDidNotStart), (refused.StatusCode, (await ProblemAsync(refused)).Code));
        }

        Assert.Equal([InstanceState.Running, InstanceState.Exited, InstanceState.Exited], (await ListAsync()).Select(instance => instance.State));
    }

    [Fact]
    public async Task Restart_TwiceByDifferentOperations_TheSecondIsRefused()
    {
        var old = await CreateAsync("op-1", "shard-1", "serves");
        await RestartAsync(old.Handle, "restart-1");

        using var refused = await _client.PostAsJsonAsync($"shards/{old.Handle}/restart", new RestartInstanceRequest("restart-2"), TestContext.Current.CancellationToken);
        using var unknown = await _client.PostAsJsonAsync("shards/local-9/restart", new RestartInstanceRequest("restart-3"), TestContext.Current.CancellationToken);
        using var nameless = await _client.PostAsync($"shards/{old.Handle}/restart", new StringContent("{}", Encoding.UTF8, "application/json"), TestContext.Current.CancellationToken);

        Assert.Equal((HttpStatusCode.Conflict, ErrorCodes.ShardBusy), (refused.StatusCode, (await ProblemAsync(refused)).Code));
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
        Assert.Equal(ErrorCodes.MissingValue, (await ProblemAsync(nameless)).Code);
    }

    [Theory]
    [InlineData("""{"operation":"a","shard":"shard-1","version":"9.9.9"}""", 400, ErrorCodes.BadValue)]
    [InlineData("""{"operation":"a","shard":"Shard 1","version":"waits"}""", 400, ErrorCodes.BadShard)]
    [InlineData("""{"operation":"a","shard":"shard-1"}""", 400, ErrorCodes.MissingValue)]
    [InlineData("""{"operation":""", 400, ErrorCodes.MalformedJson)]
    [InlineData("""{"operation":"a","shard":"shard-1","version":"missing"}""", 500, ErrorCodes.ShardDidNotStart)]
    public async Task Create_BadRequest_IsRefusedWithItsCode(string body, int status, string code)
    {
        using var response = await _client.PostAsync("shards", new StringContent(body, Encoding.UTF8, "application/json"), TestContext.Current.CancellationToken);

        Assert.Equal((status, code), ((int)response.StatusCode, (await ProblemAsync(response)).Code));
        Assert.Empty(await ListAsync());
    }

    [Fact]
    public async Task Create_PastTheLimit_IsRefused()
    {
        await CreateAsync("op-1", "shard-1", "waits");
        await CreateAsync("op-2", "shard-2", "waits");

        using var response = await _client.PostAsJsonAsync("shards", new CreateInstanceRequest("op-3", "shard-3", "waits"), TestContext.Current.CancellationToken);

        Assert.Equal(ErrorCodes.OverLimit, (await ProblemAsync(response)).Code);
    }

    [Theory]
    [InlineData(null, HttpStatusCode.Unauthorized)]
    [InlineData(Roles.Member, HttpStatusCode.Forbidden)]
    [InlineData(Roles.Operator, HttpStatusCode.Forbidden)]
    public async Task AnyCall_WithoutTheOrchestratorsToken_IsRefused(string? role, HttpStatusCode status)
    {
        using var client = ClientOf(role);

        using var response = await client.GetAsync("shards", TestContext.Current.CancellationToken);

        Assert.Equal(status, response.StatusCode);
    }

    /// <summary>Members ask whether a process has ended, and steer nothing.</summary>
    [Fact]
    public async Task Member_MayAskForOneInstance_AndNoMore()
    {
        var instance = await CreateAsync("op-1", "shard-1", "waits");
        using var client = ClientOf(Roles.Member);

        using var asked = await client.GetAsync($"shards/{instance.Handle}", TestContext.Current.CancellationToken);
        using var deleted = await client.DeleteAsync($"shards/{instance.Handle}", TestContext.Current.CancellationToken);
        using var listed = await client.GetAsync("shards/", TestContext.Current.CancellationToken);

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.Forbidden), (asked.StatusCode, deleted.StatusCode));
        Assert.Equal(HttpStatusCode.Forbidden, listed.StatusCode);
    }

    [Fact]
    public async Task Unknown_Handle_Is404()
    {
        using var response = await _client.GetAsync("shards/local-9", TestContext.Current.CancellationToken);

        Assert.Equal((HttpStatusCode.NotFound, ErrorCodes.NotFound), (response.StatusCode, (await ProblemAsync(response)).Code));
    }

    private async Task<ShardInstance> CreateAsync(string operation, string shard, string version)
    {
        using var response = await _client.PostAsJsonAsync("shards", new CreateInstanceRequest(operation, shard, version), TestContext.Current.CancellationToken);
        response.EnsureSuccessStatusCode();
        return (await response.Content.ReadFromJsonAsync(ShardHostJson.Default.ShardInstance, TestContext.Current.CancellationToken))!;
    }

    private async Task<ShardInstance> RestartAsync(string handle, string operation)
    {
        using var response = await _client.PostAsJsonAsync($"shards/{handle}/restart", new RestartInstanceRequest(operation), TestContext.Current.CancellationToken);
        response.EnsureSuccessStatusCode();
        return (await response.Content.ReadFromJsonAsync(ShardHostJson.Default.ShardInstance, TestContext.Current.CancellationToken))!;
    }

    private async Task<IReadOnlyList<ShardInstance>> ListAsync() =>
        (await _client.GetFromJsonAsync("shards", ShardHostJson.Default.ShardInstanceList, TestContext.Current.CancellationToken))!.Instances;

    private async Task<ShardInstance> EndedAsync(string handle)
    {
        using var ticks = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (true)
        {
            var instance = (await _client.GetFromJsonAsync($"shards/{handle}", ShardHostJson.Default.ShardInstance, limit.Token))!;
            if (instance.State == InstanceState.Exited) return instance;
            await ticks.WaitForNextTickAsync(limit.Token);
        }
    }

    private static async Task<Problem> ProblemAsync(HttpResponseMessage response) =>
        (await response.Content.ReadFromJsonAsync(ShardHostJson.Default.Problem, TestContext.Current.CancellationToken))!;

    private HttpClient ClientOf(string? role)
    {
        var client = new HttpClient { BaseAddress = _server.Address };
        if (role is not null)
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", _issuer.Issue("test", role, Audiences.Members, TimeSpan.FromMinutes(5)));
        return client;
    }
}
