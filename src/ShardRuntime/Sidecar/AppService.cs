using ShardCloud.Processes;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sidecar.StateApi;

namespace ShardCloud.ShardRuntime.Sidecar;

/// <summary>Runs the application as a child of this process: started before the member listens and joins, started again when it ends, stopped after the member has left.</summary>
/// <remarks>
/// A first start that fails ends the member, and tells why. Later ones are repeated with growing pauses (<see cref="Supervisor"/>); when it is given up the member leaves, so
/// that its endpoints live on elsewhere. The program cannot outlive the member: <see cref="ParentWatch.Shell"/>. It does not get the member's settings, which hold secrets.
/// </remarks>
internal sealed partial class AppService(AppSettings settings, ShardContext shard, AppPresence presence, StateServer state, ShardMetrics metrics, TimeProvider time, IHostApplicationLifetime lifetime, ILoggerFactory loggers) : IHostedService
{
    private const string Name = "The application";

    private readonly ILogger _logger = loggers.CreateLogger("ShardCloud.App"); // Its own lines too: whoever reads the member's log sees whose they are.
    private Supervisor? _supervisor;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var supervisor = _supervisor = new Supervisor(Name, StartOneAsync, LogChange, time: time);
        try
        {
            await supervisor.FirstReady.WaitAsync(cancellationToken);
        }
        catch
        {
            await supervisor.DisposeAsync();
            throw;
        }
        _ = supervisor.GivenUp.ContinueWith(why => GiveUp(why.Result), TaskScheduler.Default);
    }

    public Task StopAsync(CancellationToken cancellationToken) => _supervisor is { } supervisor ? supervisor.DisposeAsync().AsTask() : Task.CompletedTask;

    private async Task<ILife> StartOneAsync(CancellationToken cancellationToken)
    {
        var port = settings.Port == 0 ? Ports.Free() : settings.Port;
        if (Ports.WhyNotFree(port) is { } taken)
            throw new ShardCloudException(ErrorCodes.PortInUse, $"Port {port} on 127.0.0.1 is to be the application's and cannot be used: {taken.Message}.", "Free it, or let the runtime choose one: --app-port 0.", taken);
        var words = settings.Words();
        try
        {
            var life = await ReadyProcess.StartAsync(Name, new ChildProcessOptions
            {
                FileName = words[0],
                Arguments = [.. words.Skip(1)],
                WorkingDirectory = settings.WorkingDirectory,
                Environment = EnvironmentOf(port),
                ParentWatch = ParentWatch.Shell,
                StopGrace = settings.StopGrace,
                OnLine = LogLine,
            }, port, settings.StartTimeout, cancellationToken);
            metrics.AppStarted();
            presence.Up($"http://127.0.0.1:{port}");
            return new AppLife(life, presence);
        }
        catch (ShardCloudException error) when (error.Code is ErrorCodes.PartGivenUp)
        {
            throw new ShardCloudException(ErrorCodes.AppGivenUp, error.Message, $"It must listen on 127.0.0.1, on the port that PORT names, within {settings.StartTimeout.TotalSeconds:0} s. Its command: {settings.Command}", error);
        }
    }

    private Dictionary<string, string?> EnvironmentOf(int port)
    {
        var environment = new Dictionary<string, string?>(StringComparer.Ordinal);
        foreach (string name in Environment.GetEnvironmentVariables().Keys)
        {
            if (name.StartsWith("ShardCloud__", StringComparison.OrdinalIgnoreCase)) environment[name] = null;
        }
        environment["PORT"] = port.ToString(System.Globalization.CultureInfo.InvariantCulture);
        environment["SHARDCLOUD_SHARD"] = shard.Options.Shard;
        environment["SHARDCLOUD_VERSION"] = shard.Options.ApplicationVersion;
        environment["SHARDCLOUD_STATE_URL"] = state.Url;
        environment["SHARDCLOUD_STATE_TOKEN"] = state.Token;
        return environment;
    }

    private void GiveUp(ShardCloudException why)
    {
        LogGivenUp(ErrorCodes.AppGivenUp, why.Message);
        Environment.ExitCode = 5;
        lifetime.StopApplication();
    }

    private sealed class AppLife(ReadyProcess process, AppPresence presence) : ILife
    {
        public ChildProcess Child => process.Child;

        public ValueTask DisposeAsync()
        {
            presence.Down();
            return process.DisposeAsync();
        }
    }

    // Event ids 4500-4549.
    [LoggerMessage(4500, LogLevel.Information, "{Line}")]
    private partial void LogLine(string line);

    [LoggerMessage(4501, LogLevel.Warning, "{Change}")]
    private partial void LogChange(string change);

    [LoggerMessage(4502, LogLevel.Critical, "{Code}: {Why} This member leaves.")]
    private partial void LogGivenUp(string code, string why);
}
