using System.Diagnostics;
using System.Net.Http.Json;
using System.Runtime.InteropServices;
using System.Text.Json;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Stack;
using ShardCloud.Contracts;


namespace ShardCloud.Integration.Tests;

/// <summary>A real local cloud for one test: real processes, stopped and deleted at the end.</summary>
internal sealed class Cloud : IAsyncDisposable
{
    /// <summary>One test at a time: each runs a whole cloud of processes, and two cores carry one.</summary>
    public const string Collection = "one cloud at a time";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>A cloud starts in some ten seconds, on a busy machine in forty.</summary>
    private static readonly TimeSpan StartMax = TimeSpan.FromMinutes(3);

    private readonly string _folder;
    private LocalStack _stack;

    private Cloud(string folder, LocalStack stack)
    {
        (_folder, _stack) = (folder, stack);
        (Api, Router) = (ManagementClient.Of(stack.Run), NewClient(stack));
    }

    public LocalStack Stack => _stack;

    public ManagementClient Api { get; private set; }

    /// <summary>Client of the application, through the router.</summary>
    public HttpClient Router { get; private set; }

    public string DataDirectory => _folder;

    public static async Task<Cloud> StartAsync(int shards = 3, string ack = "log", bool gates = false, int routers = 1, LocalApp? app = null, TimeSpan? lease = null, string? orchestrator = null)
    {
        var folder = Directory.CreateTempSubdirectory("shardcloud-test-").FullName;
        var options = OptionsOf(folder, shards) with { Ack = ack, Gates = gates, Routers = routers, App = app, OrchestratorPackage = orchestrator };
        return new Cloud(folder, await StartAsync(lease is { } length ? options with { LeaseLength = length } : options));
    }

    /// <summary>Stops everything as Ctrl-C does, and starts it again on the same data.</summary>
    public async Task RestartAsync()
    {
        Api.Dispose();
        Router.Dispose();
        await _stack.DisposeAsync();
        _stack = await StartAsync(OptionsOf(_folder, 3));
        (Api, Router) = (ManagementClient.Of(_stack.Run), NewClient(_stack));
    }

    public async Task<long> IncrementAsync(string room)
    {
        using var response = await Router.PostAsync($"rooms/{room}/increment", null);
        response.EnsureSuccessStatusCode();
        return (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("value").GetInt64();
    }

    public async Task<(long Value, string Shard)> ReadAsync(string room)
    {
        var answer = await Router.GetFromJsonAsync<JsonElement>($"rooms/{room}");
        return (answer.GetProperty("value").GetInt64(), answer.GetProperty("shard").GetString()!);
    }

    public Task<Migration> EndOfAsync(string migration) => Api.WaitForMigrationAsync(migration, null, TestContext.Current.CancellationToken).WaitAsync(Patience);

    public Task<Operation> EndOfOperationAsync(string operation) => Api.WaitForOperationAsync(operation, null, TestContext.Current.CancellationToken).WaitAsync(Patience);

    /// <summary>Moves endpoints, and sees that the move is done.</summary>
    public async Task MoveAsync(string shard, params IEnumerable<string> endpoints)
    {
        var migration = await EndOfAsync(await Api.MigrateAsync(new StartMigrationRequest([.. endpoints], shard, "test"), null, CancellationToken.None));
        Assert.True(migration.Outcome == MigrationOutcome.Done, $"{migration.Outcome}: {migration.Error}");
    }

    /// <summary>Process id of a shard's live member.</summary>
    public async Task<int> PidOfAsync(string shard) =>
        (await Api.StatusAsync(TestContext.Current.CancellationToken)).Members.Single(member => member.Shard == shard && member.State.Equals("ready", StringComparison.OrdinalIgnoreCase)).Pid;

    /// <summary>Asks until it holds; the one place where tests wait.</summary>
    public static async Task UntilAsync(Func<Task<bool>> holds, string what)
    {
        var clock = Stopwatch.StartNew();
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!await holds())
        {
            Assert.True(clock.Elapsed < Patience, $"Waited {Patience.TotalSeconds} s in vain: {what}");
            await timer.WaitForNextTickAsync();
        }
    }

    public static void Kill(int pid) => Signal(pid, 9);

    public static void Pause(int pid) => Signal(pid, 19);

    public static void Resume(int pid) => Signal(pid, 18);

    public async ValueTask DisposeAsync()
    {
        Api.Dispose();
        Router.Dispose();
        await _stack.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private static async Task<LocalStack> StartAsync(LocalStackOptions options)
    {
        using var late = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        late.CancelAfter(StartMax);
        return await LocalStack.StartAsync(options, late.Token);
    }

    private static HttpClient NewClient(LocalStack stack) => new() { BaseAddress = new Uri(stack.Run.Router), Timeout = Patience };

    private static LocalStackOptions OptionsOf(string folder, int shards) => new()
    {
        DataDirectory = folder,
        Shards = shards,
        AppsDirectory = Repository.Apps,
        Progress = line => TestContext.Current.TestOutputHelper?.WriteLine(line),
    };

    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static extern int Signal(int pid, int signal);
}
