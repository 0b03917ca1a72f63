using System.Text.Json;
using Azure.Storage.Blobs;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Stack.Faults;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.LocalCloud.Azurite;
using ShardCloud.LocalCloud.EventHubs;
using ShardCloud.LocalCloud.Functions;
using ShardCloud.LocalCloud.Profiles;
using ShardCloud.LocalCloud.Shards;
using ShardCloud.LocalCloud.Stack;
using ShardCloud.Packages;
using ShardCloud.Processes;

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
    private readonly StackProcesses _processes;
    private readonly Stack<IAsyncDisposable> _parts = new(); // Stopped in reverse: what was started last needs the others.
    private readonly TaskCompletionSource<ShardCloudException> _broken = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private LocalStack(LocalStackOptions options, DataDirectory data) => (_options, _data, _processes) = (options, data, new StackProcesses(data.Path));

    public RunInfo Run { get; private set; } = null!;

    /// <summary>Where the programs lie.</summary>
    public string AppsDirectory => _options.AppsDirectory;

    /// <summary>Where map, leases and records are.</summary>
    public string StorageConnectionString { get; private set; } = "";

    /// <summary>The shards' processes.</summary>
    public ShardProcesses Shards { get; private set; } = null!;

    /// <summary>Faults on demand.</summary>
    public FaultPlane Faults { get; private set; } = null!;

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

    /// <summary>Runs until cancelled (null), or until a part that everything needs was given up (why).</summary>
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
        _processes.Close();
        _data.Dispose();
    }

    private async Task StartPartsAsync(CancellationToken cancellationToken)
    {
        int[] routerPorts = [.. Enumerable.Range(0, _options.Routers).Select(i => _options.RouterPort == 0 ? Ports.Free() : _options.RouterPort + i)];
        foreach (var port in routerPorts) RequireFreePort(port, "--router-port");
        RequireFreePort(_options.OrchestratorPort, "--orchestrator-port");
        foreach (var left in ProcessFile.EndLeftOvers(_data.Path)) Say($"{left.Name} (process {left.Pid}) was left frozen by an earlier run; it is ended.");
        var key = LocalKey.LoadOrCreate(_data.KeyFile);

        Say("Storage (Azurite) and Event Hubs");
        var logGate = _options.Profile is { } busy ? Keep(new LogGate(busy)) : null;
        var hubsReady = Supervise<ReadyProcess>(StackProcesses.EventHubs, HubsStart(logGate?.Port));
        var azurite = await Supervise<AzuriteProcess>(StackProcesses.Azurite, AzuriteStart()).WaitAsync(cancellationToken);
        var storage = azurite.ConnectionString;
        if (_options.Profile is { } slow) storage = Keep(await StorageGates.StartAsync(azurite, slow, cancellationToken)).ConnectionString;
        StorageConnectionString = azurite.ConnectionString; // Past the gate of a profile: who looks on takes no part in what it slows.
        var hubs = (await hubsReady.WaitAsync(cancellationToken)).Line;
        logGate?.Open(hubs.GetProperty("port").GetInt32());

        var gates = _options.Gates ? Keep(new MemberGates(storage, hubs.GetProperty("address").GetString()!)) : null;
        var environment = CommonEnvironment(storage, hubs.GetProperty("address").GetString()!);
        var (hostPort, orchestratorPort) = (Ports.Free(), _options.OrchestratorPort == 0 ? Ports.Free() : _options.OrchestratorPort);
        var members = new Dictionary<string, string?>(environment)
        {
            ["ShardCloud__Orchestrator__Url"] = AddressOf(orchestratorPort) + "/",
            ["ShardCloud__Witness__Url"] = _options is { ConfirmsDeath: true, Profile: null } ? $"http://127.0.0.1:{hostPort}/" : null,
            ["ShardCloud__Log__Security"] = "key",
            ["ShardCloud__Log__ConnectionString"] = SharedAccessKey.Of(key).ConnectionString(hubs.GetProperty("port").GetInt32()),
        };
        var host = Keep(await LocalShardHostServer.StartAsync(new LocalShardHostOptions
        {
            Port = hostPort,
            LogFolder = _data.Logs,
            Environment = members,
            Versions = new Dictionary<string, ApplicationVersion> { [_options.Version] = ShardProgram() },
            Fetch = Fetch(storage),
            EnvironmentOf = gates is null ? null : shard => gates.Open(shard.Value),
            CreationTime = TimeSpan.FromMilliseconds(_options.Profile?.ShardCreationMs ?? 0),
            Changed = _processes.Record,
        }, key, cancellationToken));
        Shards = host.Processes;
        _processes.Add(host.Processes);

        Say("Orchestrator (Functions host)");
        var functionsReady = Supervise<ReadyProcess>(StackProcesses.FunctionsHost, FunctionsStart(new FunctionsHostOptions
        {
            AppDirectory = _options.OrchestratorPackage ?? Path.Combine(_options.AppsDirectory, "orchestrator"),
            HandlerExecutable = _options.OrchestratorPackage is null ? "dotnet" : null,
            HandlerArguments = _options.OrchestratorPackage is null ? [App("orchestrator", "ShardCloud.Orchestrator.dll")] : null,
            HandlerLogFile = LogOf(StackProcesses.Orchestrator),
            AppSettings = new Dictionary<string, string?>(environment)
            {
                ["ShardCloud__ShardHost__Url"] = host.Address.ToString(),
                ["ShardCloud__Log__Partitions"] = $"{HubPartitions}",
                ["ShardCloud__Log__Identity"] = hubs.GetProperty("logs").GetProperty(DeltaHub).GetString(),
                ["TASKHUB_NAME"] = "ShardCloud",
            },
            StorageConnectionString = storage,
            OrchestrationStartDelay = TimeSpan.FromMilliseconds(_options.Profile?.OrchestrationStartMs ?? 0),
            HttpPort = orchestratorPort,
        }));

        Say(_options.Routers == 1 ? "Router" : "Routers");
        var routersReady = Task.WhenAll(routerPorts.Select((port, i) => Supervise<ReadyProcess>(StackProcesses.Router(i + 1), RouterStart(members, gates, StackProcesses.Router(i + 1), port))));
        var functions = (await functionsReady.WaitAsync(cancellationToken)).Line;
        await routersReady.WaitAsync(cancellationToken);

        Faults = Keep(new FaultPlane(_processes, gates, Say));
        var faults = Keep(await FaultServer.StartAsync(Faults, key, cancellationToken));
        Run = new RunInfo(Environment.ProcessId, AddressOf(routerPorts[0]), functions.GetProperty("http").GetString()!.TrimEnd('/'), _data.KeyFile, _data.Path, DateTimeOffset.UtcNow, faults.Address) { Routers = [.. routerPorts.Select(AddressOf)] };

        Say("Shards");
        using var api = ManagementClient.Of(Run);
        var operation = await api.BootstrapAsync(new BootstrapRequest(_options.Shards, _options.Version, _options.Placement), cancellationToken);
        var step = "";
        await api.WaitForOperationAsync(operation, seen =>
        {
            if (seen.Step is { } now && now != step) Say("  " + (step = now));
        }, cancellationToken);
        await RouterReadyAsync(cancellationToken);
        _data.WriteRun(Run);
    }

    /// <summary>Keeps a part running from here on; its first life once it is ready.</summary>
    private async Task<T> Supervise<T>(string name, Func<CancellationToken, Task<ILife>> start)
        where T : ILife
    {
        var supervisor = Keep(new Supervisor(name, start, Say, _processes.Record));
        _processes.Add(supervisor);
        _ = supervisor.GivenUp.ContinueWith(why => _broken.TrySetResult(why.Result), TaskScheduler.Default);
        return (T)await supervisor.FirstReady;
    }

    private Func<CancellationToken, Task<ILife>> AzuriteStart()
    {
        var options = new AzuriteOptions { DataFolder = _data.Azurite, LogFile = LogOf(StackProcesses.Azurite), BlobPort = Ports.Free(), QueuePort = Ports.Free(), TablePort = Ports.Free() };
        return async token => await AzuriteProcess.StartAsync(options, new Progress(Say), token);
    }

    private Func<CancellationToken, Task<ILife>> HubsStart(int? advertisedPort)
    {
        var process = StandIns.EventHubsProcess(Program, LogOf(StackProcesses.EventHubs), _data.KeyFile, new LocalEventHubsOptions
        {
            DataFolder = _data.EventHubs,
            Port = Ports.Free(),
            AdvertisedPort = advertisedPort,
            ThroughputUnits = _options.Profile is { ThroughputUnits: > 0 and var units } ? units : null,
            Hubs = new Dictionary<string, int> { [DeltaHub] = HubPartitions, ["control"] = 1 },
        });
        return async token => await ReadyProcess.StartAsync(StackProcesses.EventHubs, process, ReadyTimeout, token);
    }

    private Func<CancellationToken, Task<ILife>> FunctionsStart(FunctionsHostOptions options)
    {
        var process = StandIns.FunctionsHostProcess(Program, LogOf(StackProcesses.FunctionsHost), Path.Combine(_data.Path, "functions-host.json"), options) with { OnLine = SeeHandler };
        return async token => await ReadyProcess.StartAsync(StackProcesses.FunctionsHost, process, ReadyTimeout, token);
    }

    private Func<CancellationToken, Task<ILife>> RouterStart(Dictionary<string, string?> environment, MemberGates? gates, string name, int port)
    {
        var process = RouterProcess(environment, gates?.Open(name), name, port);
        return async token => await ReadyProcess.StartAsync(name, process, port, ReadyTimeout, token);
    }

    /// <summary>The Functions host tells which process is the Orchestrator's: <c>{"handler":4242}</c>.</summary>
    private void SeeHandler(string line)
    {
        if (line.StartsWith("{\"handler\"", StringComparison.Ordinal)) _processes.HandlerAnswers(JsonDocument.Parse(line).RootElement.GetProperty("handler").GetInt32());
    }

    private Dictionary<string, string?> CommonEnvironment(string storage, string bootstrapServers) => new()
    {
        ["ShardCloud__Application"] = Application,
        ["ShardCloud__Storage__ConnectionString"] = storage,
        ["ShardCloud__Log__BootstrapServers"] = bootstrapServers,
        ["ShardCloud__Auth__KeyFile"] = _data.KeyFile,
        ["ShardCloud__Lease__Length"] = (_options.Profile is null ? _options.LeaseLength : CloudProfile.LeaseLength).ToString("c"),
        ["ShardCloud__Stop__Within"] = "00:00:20",
        ["ShardCloud__Ack"] = _options.Ack,
        ["ShardCloud__Log__ThroughputUnits"] = $"{_options.Profile?.ThroughputUnits ?? 0}",
        ["Logging__LogLevel__Default"] = "Information",
        ["Logging__LogLevel__Microsoft.AspNetCore"] = "Warning",
        ["Logging__LogLevel__Yarp"] = "Warning",
        ["Logging__LogLevel__System.Net.Http"] = "Warning",
        ["DOTNET_gcServer"] = "0",
        // Seven processes share this machine's few cores: what they compile again in the background, the requests pay for.
        ["DOTNET_TieredPGO"] = "0",
        ["DOTNET_TC_CallCountThreshold"] = "200", // Hexadecimal: 512 calls, where the default is 30.
    };

    private ChildProcessOptions RouterProcess(Dictionary<string, string?> environment, IReadOnlyDictionary<string, string?>? throughGates, string name, int port) => new()
    {
        FileName = "dotnet",
        Arguments = [App("router", "ShardCloud.ShardRuntime.dll"), "--role", "router"],
        Environment = new Dictionary<string, string?>(environment.Concat(throughGates ?? new Dictionary<string, string?>()).GroupBy(pair => pair.Key).Select(pairs => pairs.Last()))
        {
            ["ShardCloud__Shard"] = name,
            ["ShardCloud__Role"] = "router",
            ["ShardCloud__FaultDomain"] = name,
            ["ShardCloud__Public__Url"] = AddressOf(port),
            ["MALLOC_ARENA_MAX"] = "1", // As in src/Infra.
        },
        ParentWatch = ParentWatch.DotNet,
        LogFile = LogOf(name),
    };

    /// <summary>How a shard is started: the Rooms sample, or the runtime beside an application.</summary>
    private ApplicationVersion ShardProgram()
    {
        string[] program = _options.App is { } app
            ? [App("router", "ShardCloud.ShardRuntime.dll"), "--app", app.Command, .. app.Endpoints.SelectMany(endpoint => (string[])["--endpoint", endpoint])]
            : [App("rooms", "Rooms.dll")];
        string[] words = [.. _options.ShardPrefix, "dotnet", .. program];
        return new() { FileName = words[0], Arguments = words[1..], WorkingDirectory = _options.App?.Folder };
    }

    /// <summary>As App Service does: a published package, run from its folder.</summary>
    private Func<string, CancellationToken, Task<ApplicationVersion>> Fetch(string storage)
    {
        var packages = new PackageStore(new BlobServiceClient(storage), Application, TimeProvider.System);
        return async (version, cancellationToken) =>
        {
            var (folder, command) = await packages.FetchAsync(version, _data.Versions, cancellationToken);
            var own = Path.Combine(folder, command[0]);
            return new() { FileName = File.Exists(own) ? own : command[0], Arguments = [.. command.Skip(1)], WorkingDirectory = folder };
        };
    }

    private async Task RouterReadyAsync(CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(ReadyTimeout);
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(5) };
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        try
        {
            for (var ready = 0; ready < Run.Routers.Count;)
            {
                try
                {
                    using var answer = await http.GetAsync($"{Run.Routers[ready]}/readyz", timeout.Token);
                    if (answer.IsSuccessStatusCode)
                    {
                        ready++;
                        continue;
                    }
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
            throw new ShardCloudException(ErrorCodes.ShardDidNotStart, $"The routers were not ready within {ReadyTimeout.TotalSeconds:0} s.", $"Their logs are in '{_data.Logs}'.");
        }
    }

    /// <summary>This very program, which the stand-ins are run from too.</summary>
    private string Program => Path.Combine(_options.AppsDirectory, "..", "shardcloud.dll");

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

    private static string AddressOf(int port) => $"http://127.0.0.1:{port}";

    private string LogOf(string name) => Path.Combine(_data.Logs, name + ".log");

    private void Say(string line) => _options.Progress(line);

    private static void RequireFreePort(int port, string option)
    {
        if (port != 0 && Ports.WhyNotFree(port) is { } error)
            throw new ShardCloudException(ErrorCodes.PortInUse, $"Port {port} on 127.0.0.1 cannot be used: {error.Message}.", $"Choose another with {option}, or 0 for a free one.", error);
    }

    private sealed class Progress(Action<string> say) : IProgress<string>
    {
        public void Report(string value) => say("  " + value);
    }
}
