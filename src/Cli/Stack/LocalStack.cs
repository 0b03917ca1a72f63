using System.Net;
using System.Net.Sockets;
using ShardCloud.Cli.Api;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.LocalCloud.Azurite;
using ShardCloud.LocalCloud.EventHubs;
using ShardCloud.LocalCloud.Functions;
using ShardCloud.LocalCloud.Processes;
using ShardCloud.LocalCloud.Profiles;
using ShardCloud.LocalCloud.Shards;
using ShardCloud.LocalCloud.Stack;

namespace ShardCloud.Cli.Stack;

/// <summary>A whole ShardCloud on loopback, in the order its parts need each other: Storage, Event Hubs, shard host, Orchestrator, router, shards.</summary>
/// <remarks>Only addresses and credentials differ from Azure: every product process gets them by environment, and none knows that it is local.</remarks>
internal sealed class LocalStack : IAsyncDisposable
{
    public const string Application = "rooms";
    private const string DeltaHub = "deltas";
    private const int HubPartitions = 16;
    private static readonly TimeSpan ReadyTimeout = TimeSpan.FromSeconds(90);

    private readonly LocalStackOptions _options;
    private readonly DataDirectory _data;
    private readonly Stack<IAsyncDisposable> _parts = new(); // Stopped in reverse: what was started last needs the others.
    private readonly TaskCompletionSource<ShardCloudException> _broken = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private LocalStack(LocalStackOptions options, DataDirectory data) => (_options, _data) = (options, data);

    public RunInfo Run { get; private set; } = null!;

    /// <summary>Starts everything and waits until the first request would be served.</summary>
    public static async Task<LocalStack> StartAsync(LocalStackOptions options, CancellationToken cancellationToken)
    {
        var stack = new LocalStack(options, DataDirectory.Open(options.DataDirectory));
        try
        {
            await stack.StartPartsAsync(cancellationToken);
            return stack;
        }
        catch
        {
            await stack.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs until cancelled (null), or until a part that everything needs has died (why).</summary>
    public async Task<ShardCloudException?> WaitAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _broken.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        while (_parts.TryPop(out var part)) await part.DisposeAsync();
        _data.Dispose();
    }

    private async Task StartPartsAsync(CancellationToken cancellationToken)
    {
        RequireFreePort(_options.RouterPort, "--router-port");
        RequireFreePort(_options.OrchestratorPort, "--orchestrator-port");
        var key = LocalKey.LoadOrCreate(_data.KeyFile);

        Say("Storage (Azurite)");
        var azurite = Keep(await AzuriteProcess.StartAsync(
            new AzuriteOptions { DataFolder = _data.Azurite, LogFile = LogOf("azurite") }, new Progress(Say), cancellationToken));
        _ = WatchAsync("Azurite", azurite.Exited);
        var storage = azurite.ConnectionString;
        if (_options.Profile is { } slow) storage = Keep(await StorageGates.StartAsync(azurite, slow, cancellationToken)).ConnectionString;

        Say("Event Hubs");
        var gate = _options.Profile is { } busy ? Keep(new LogGate(busy)) : null;
        var hubs = Keep(await LocalEventHubs.StartAsync(new LocalEventHubsOptions
        {
            DataFolder = _data.EventHubs,
            AdvertisedPort = gate?.Port,
            Hubs = new Dictionary<string, int> { [DeltaHub] = HubPartitions, ["control"] = 1 },
        }, cancellationToken: cancellationToken));
        gate?.Open(hubs.Port);

        var environment = MemberEnvironment(storage, hubs.BootstrapServers);
        var host = Keep(await LocalShardHostServer.StartAsync(new LocalShardHostOptions
        {
            LogFolder = _data.Logs,
            Environment = environment,
            Versions = new Dictionary<string, ApplicationVersion> { [_options.Version] = new() { FileName = "dotnet", Arguments = [App("rooms", "Rooms.dll")] } },
        }, key, cancellationToken));

        Say("Orchestrator (Functions host)");
        var functions = Keep(await FunctionsHost.StartAsync(new FunctionsHostOptions
        {
            AppDirectory = Path.Combine(_options.AppsDirectory, "orchestrator"),
            HandlerExecutable = "dotnet",
            HandlerArguments = [App("orchestrator", "ShardCloud.Orchestrator.dll")],
            HandlerLogFile = LogOf("orchestrator"),
            AppSettings = new Dictionary<string, string?>(environment)
            {
                ["ShardCloud__ShardHost__Url"] = host.Address.ToString(),
                ["ShardCloud__Log__Partitions"] = $"{HubPartitions}",
                ["ShardCloud__Log__Identity"] = hubs.LogIdentities[DeltaHub].ToString(),
                ["TASKHUB_NAME"] = "ShardCloud",
            },
            StorageConnectionString = storage,
            HttpPort = _options.OrchestratorPort,
        }, cancellationToken));

        Say("Router");
        var routerPort = _options.RouterPort == 0 ? FreePort() : _options.RouterPort;
        var router = Keep(StartRouter(environment, routerPort));
        _ = WatchAsync("The router", router.Exited);

        Run = new RunInfo(Environment.ProcessId, $"http://127.0.0.1:{routerPort}", functions.HttpAddress.ToString().TrimEnd('/'), _data.KeyFile, _data.Path, DateTimeOffset.UtcNow);

        Say("Shards");
        using var api = ManagementClient.Of(Run);
        var operation = await api.BootstrapAsync(new BootstrapRequest(_options.Shards, _options.Version), cancellationToken);
        var step = "";
        await api.WaitForOperationAsync(operation, seen =>
        {
            if (seen.Step is { } now && now != step) Say("  " + (step = now));
        }, cancellationToken);
        await RouterReadyAsync(cancellationToken);
        _data.WriteRun(Run);
    }

    private Dictionary<string, string?> MemberEnvironment(string storage, string bootstrapServers) => new()
    {
        ["ShardCloud__Application"] = Application,
        ["ShardCloud__Storage__ConnectionString"] = storage,
        ["ShardCloud__Log__BootstrapServers"] = bootstrapServers,
        ["ShardCloud__Auth__KeyFile"] = _data.KeyFile,
        ["ShardCloud__Lease__Length"] = (_options.Profile is null ? _options.LeaseLength : CloudProfile.LeaseLength).ToString("c"),
        ["ShardCloud__Ack"] = _options.Ack,
        ["Logging__LogLevel__Default"] = "Information",
        ["Logging__LogLevel__Microsoft.AspNetCore"] = "Warning",
        ["Logging__LogLevel__Yarp"] = "Warning",
        ["Logging__LogLevel__System.Net.Http"] = "Warning",
        ["DOTNET_gcServer"] = "0",
        // Seven processes share this machine's few cores: what they compile again in the background, the requests pay for.
        ["DOTNET_TieredPGO"] = "0",
        ["DOTNET_TC_CallCountThreshold"] = "200", // Hexadecimal: 512 calls, where the default is 30.
    };

    private ChildProcess StartRouter(Dictionary<string, string?> environment, int port) => ChildProcess.Start(new ChildProcessOptions
    {
        FileName = "dotnet",
        Arguments = [App("router", "ShardCloud.ShardRuntime.dll"), "--role", "router"],
        Environment = new Dictionary<string, string?>(environment)
        {
            ["ShardCloud__Shard"] = "router-1",
            ["ShardCloud__Role"] = "router",
            ["ShardCloud__FaultDomain"] = "router-1",
            ["ShardCloud__Public__Url"] = $"http://127.0.0.1:{port}",
        },
        ParentWatch = ParentWatch.DotNet,
        LogFile = LogOf("router-1"),
    });

    private async Task RouterReadyAsync(CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(ReadyTimeout);
        using var http = new HttpClient { BaseAddress = new Uri(Run.Router), Timeout = TimeSpan.FromSeconds(5) };
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        try
        {
            while (true)
            {
                try
                {
                    using var answer = await http.GetAsync("readyz", timeout.Token);
                    if (answer.IsSuccessStatusCode) return;
                }
                catch (HttpRequestException)
                {
                    // Not listening yet.
                }
                await timer.WaitForNextTickAsync(timeout.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new ShardCloudException(ErrorCodes.ShardDidNotStart, $"The router was not ready within {ReadyTimeout.TotalSeconds:0} s.", $"Its log is '{LogOf("router-1")}'.");
        }
    }

    private async Task WatchAsync(string part, Task<ChildExit> exited)
    {
        var exit = await exited;
        if (!exit.WasAsked)
            _broken.TrySetResult(new ShardCloudException(ErrorCodes.ShardDidNotStart, $"{part} ended by itself (exit code {exit.ExitCode}).", $"Its log is in '{_data.Logs}'. Start again with 'shardcloud up': the data are kept."));
    }

    private string App(string folder, string file)
    {
        var path = Path.Combine(_options.AppsDirectory, folder, file);
        return File.Exists(path) ? path : throw new ShardCloudException(ErrorCodes.FunctionsAppInvalid, $"The program '{path}' is missing.", "Build the whole solution: 'dotnet build -c Release'.");
    }

    private T Keep<T>(T part)
        where T : IAsyncDisposable
    {
        _parts.Push(part);
        return part;
    }

    private string LogOf(string name) => Path.Combine(_data.Logs, name + ".log");

    private void Say(string line) => _options.Progress(line);

    private static void RequireFreePort(int port, string option)
    {
        if (port == 0) return;
        try
        {
            using var probe = new TcpListener(IPAddress.Loopback, port);
            probe.Start();
        }
        catch (SocketException error)
        {
            throw new ShardCloudException(ErrorCodes.PortInUse, $"Port {port} on 127.0.0.1 cannot be used: {error.Message}.", $"Choose another with {option}, or 0 for a free one.", error);
        }
    }

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    private sealed class Progress(Action<string> say) : IProgress<string>
    {
        public void Report(string value) => say("  " + value);
    }
}
