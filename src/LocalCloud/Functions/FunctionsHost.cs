using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using ShardCloud.LocalCloud.Functions.Hub;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>Runs a Functions custom-handler app on a laptop: HTTP, timer and queue triggers, orchestrations and activities, with the wire formats
/// and the traps of the real host. What it does not have it refuses at the start.</summary>
/// <remarks>One host per task hub. Killed at any point, it goes on from its tables at the next start.</remarks>
public sealed partial class FunctionsHost : IAsyncDisposable
{
    private readonly List<IAsyncDisposable> _parts = [];
    private readonly CancellationTokenSource _stop = new(), _abort = new();
    private HandlerProcess _handler = null!;
    private Func<Task> _drain = () => Task.CompletedTask;
    private TimeSpan _grace;

    private FunctionsHost()
    {
    }

    /// <summary>Public address of the HTTP functions, e.g. <c>http://127.0.0.1:7071/</c>; routes begin with the prefix of host.json.</summary>
    public Uri HttpAddress { get; private set; } = null!;

    /// <summary>Address of the task hub's gRPC endpoint: what durable client bindings give to the handler.</summary>
    public Uri RpcAddress { get; private set; } = null!;

    /// <summary>Name of the task hub in use.</summary>
    public string TaskHubName { get; private set; } = null!;

    /// <summary>The handler's process, or null while it is being started again. For fault tests.</summary>
    public ChildProcess? Handler => _handler.Child;

    /// <summary>Reads the app, opens the task hub, starts the handler and then takes requests.</summary>
    /// <exception cref="ShardCloudException">SC7010: the app's files are damaged or ask for what this host does not have; SC7009: the handler did not start.</exception>
    public static async Task<FunctionsHost> StartAsync(FunctionsHostOptions options, CancellationToken cancellationToken = default)
    {
        var host = new FunctionsHost();
        try
        {
            await host.OpenAsync(options, cancellationToken).ConfigureAwait(false);
            return host;
        }
        catch
        {
            await host.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Takes nothing more, lets calls under way end for the grace, gives up the rest (delivered again at the next start), then ends the handler.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_stop.IsCancellationRequested) return;
        await _stop.CancelAsync().ConfigureAwait(false);
        var draining = _drain();
        await draining.WaitAsync(_grace).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _abort.CancelAsync().ConfigureAwait(false);
        for (var i = _parts.Count - 1; i >= 0; i--) await _parts[i].DisposeAsync().ConfigureAwait(false);
    }

    private async Task OpenAsync(FunctionsHostOptions options, CancellationToken cancellationToken)
    {
        var log = options.Loggers.CreateLogger<FunctionsHost>();
        var settings = new AppSettings(options.AppSettings);
        var json = HostJson.Read(options.AppDirectory, settings, options.TaskHubName);
        foreach (var key in json.UnknownKeys) UnknownKey(log, key);
        var functions = FunctionIndex.Read(options.AppDirectory, settings);
        TaskHubName = HostJson.CheckHubName(json.HubName ?? "LocalHub");

        _handler = Own(new HandlerProcess(Command(options, json), options.Time, log));
        var caller = Own(new FunctionCaller(_handler, json, options.Time, log));
        var tables = new AzureHubTables(options.StorageConnectionString, TaskHubName);
        var hub = new TaskHub(tables, options.Time);
        var faults = new DeliveryFaults(options.RepeatActivityEvery, options.RepeatEventEvery, options.ReorderEventsSeed);
        var dispatcher = Own(new Dispatcher(hub, functions, caller, json, faults, options.OrchestrationStartDelay, options.Time, log));

        var rpc = Web(options, port: 0, HttpProtocols.Http2, services =>
        {
            services.AddGrpc(grpc => (grpc.MaxReceiveMessageSize, grpc.MaxSendMessageSize) = (null, null));
            services.AddSingleton(new SidecarService(hub, dispatcher, functions));
        });
        Own(new WebPart(rpc));
        rpc.MapGrpcService<SidecarService>();
        await rpc.StartAsync(cancellationToken).ConfigureAwait(false);
        RpcAddress = AddressOf(rpc);

        var http = Web(options, options.HttpPort, HttpProtocols.Http1, _ => { });
        var httpPart = Own(new WebPart(http));
        new HttpTriggers(caller, options.HostKey).Map(http, functions, json.RoutePrefix);

        await _handler.StartAsync(cancellationToken).ConfigureAwait(false);
        await dispatcher.StartAsync(cancellationToken).ConfigureAwait(false);
        // The public address is part of the durable client binding and known only once it is bound: calls of functions wait for Open.
        await StartHttpAsync(http, options.HttpPort, cancellationToken).ConfigureAwait(false);
        HttpAddress = AddressOf(http);
        caller.Open(JsonSerializer.Serialize(new
        {
            taskHubName = TaskHubName,
            connectionName = "AzureWebJobsStorage",
            creationUrls = (object?)null,
            managementUrls = (object?)null,
            baseUrl = (object?)null,
            requiredQueryStringParameters = "",
            rpcBaseUrl = RpcAddress.GetLeftPart(UriPartial.Authority),
            httpBaseUrl = new Uri(HttpAddress, "runtime/webhooks/durabletask").ToString(),
        }));
        var timers = new TimerTriggers(caller, tables, options.Time, log).RunAsync(functions.All, _stop.Token, _abort.Token);
        var queues = new QueueTriggers(caller, json.Queues, options.StorageConnectionString, options.QueueLease, options.Time, log).RunAsync(functions.All, _stop.Token, _abort.Token);
        (_grace, _drain) = (options.ShutdownGrace, () => Task.WhenAll(httpPart.DrainAsync(_abort.Token), dispatcher.DrainAsync(), timers, queues));
    }

    private static HandlerCommand Command(FunctionsHostOptions options, HostJson json)
    {
        var root = Path.GetFullPath(options.AppDirectory);
        var executable = options.HandlerExecutable ?? json.HandlerExecutable ?? throw new ShardCloudException(
            ErrorCodes.FunctionsAppInvalid, $"'{Path.Combine(root, "host.json")}' names no handler.", "Set customHandler.description.defaultExecutablePath, or give the host an executable.");
        // As the real host: a path below the app is tried first, then the name as it is (found on PATH).
        var below = Path.Combine(root, executable);
        return new HandlerCommand(
            File.Exists(below) ? below : executable,
            options.HandlerArguments ?? json.HandlerArguments,
            json.HandlerWorkingDirectory is { Length: > 0 } folder ? Path.Combine(root, folder) : root,
            new Dictionary<string, string?>(options.AppSettings)
            {
                ["FUNCTIONS_APP_ROOT_PATH"] = root,
                ["FUNCTIONS_WORKER_RUNTIME"] = "custom",
                ["AzureWebJobsStorage"] = options.StorageConnectionString,
            },
            options.HandlerStartTimeout, options.HandlerParentWatch, options.HandlerLogFile, options.HandlerAnswers);
    }

    private static WebApplication Web(FunctionsHostOptions options, int port, HttpProtocols protocols, Action<IServiceCollection> configure)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(IPAddress.Loopback, port, listen => listen.Protocols = protocols);
        });
        builder.Services.AddSingleton(options.Loggers);
        builder.Services.AddRouting();
        configure(builder.Services);
        return builder.Build();
    }

    private static async Task StartHttpAsync(WebApplication http, int port, CancellationToken cancellationToken)
    {
        try
        {
            await http.StartAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (IOException e)
        {
            throw new ShardCloudException(ErrorCodes.PortInUse, $"Port {port} for HTTP functions is taken: {e.Message}", "Stop what listens there, choose another port, or use 0 for a free one.", e);
        }
    }

    [LoggerMessage(40, LogLevel.Warning, "host.json has '{Key}', which the Functions host does not know and ignores.")]
    private static partial void UnknownKey(ILogger log, string key);

    private static Uri AddressOf(WebApplication app) => new(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());

    private sealed class WebPart(WebApplication app) : IAsyncDisposable
    {
        private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

        /// <summary>Takes no more requests and waits for those in flight; the token cuts them off.</summary>
        public Task DrainAsync(CancellationToken abort) => app.StopAsync(abort);

        /// <summary>Gives requests that are still in flight a moment to end, then cuts them off.</summary>
        public async ValueTask DisposeAsync()
        {
            using var grace = new CancellationTokenSource(Grace);
            await app.StopAsync(grace.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await app.DisposeAsync().ConfigureAwait(false);
        }
    }

    private T Own<T>(T part) where T : IAsyncDisposable
    {
        _parts.Add(part);
        return part;
    }
}
