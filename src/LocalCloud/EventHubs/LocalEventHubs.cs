using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using ShardCloud.LocalCloud.EventHubs.Log;
using ShardCloud.LocalCloud.EventHubs.Protocol;

namespace ShardCloud.LocalCloud.EventHubs;

/// <summary>An Event Hubs namespace on a laptop: a small broker that speaks the part of the Kafka protocol which clients with their own offsets need.</summary>
/// <remarks>
/// What is acknowledged has been written to the operating system, so the end of this process, kill -9 included, loses nothing. Batches are
/// stored as they came. There are no consumer groups, no transactions and no administration of topics. Listens on 127.0.0.1 only.
/// Protocol: https://kafka.apache.org/protocol; limits: learn.microsoft.com/azure/event-hubs/event-hubs-quotas.
/// </remarks>
public sealed partial class LocalEventHubs : IAsyncDisposable
{
    private static readonly TimeSpan RetentionEvery = TimeSpan.FromSeconds(10);

    private readonly LocalEventHubsOptions _options;
    private readonly ILogger _logger;
    private readonly HubCatalog _hubs;
    private readonly ThroughputMeter? _meter;
    private readonly TimeProvider _time;
    private readonly Socket _listener;
    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<Task, byte> _connections = new();
    private readonly Task _accepting, _retaining;
    private int _connectionCount;
    private int _disposed;

    private LocalEventHubs(LocalEventHubsOptions options, TimeProvider time, ILogger logger)
    {
        (_options, _time, _logger) = (options, time, logger);
        options.Check();
        _meter = options.ThroughputUnits is { } units ? new ThroughputMeter(units, time) : null;
        _hubs = new HubCatalog(options, time);
        try
        {
            _listener = Listen(options.Port);
        }
        catch
        {
            _hubs.Dispose();
            throw;
        }

        Port = ((IPEndPoint)_listener.LocalEndPoint!).Port;
        _accepting = AcceptAsync();
        _retaining = RetainAsync(time);
    }

    /// <summary>Port it listens on.</summary>
    public int Port { get; }

    private int AdvertisedPort => _options.AdvertisedPort ?? Port;

    /// <summary>Address for a client's <c>bootstrap.servers</c>. Security settings are needed only with a key: SASL_PLAINTEXT, PLAIN.</summary>
    public string BootstrapServers => $"127.0.0.1:{AdvertisedPort}";

    /// <summary>What clients present, or null where there is no key.</summary>
    public string? ConnectionString => _options.Key?.ConnectionString(AdvertisedPort);

    /// <summary>Identity of the data folder, sent to clients as the cluster id. Changes if any hub that was once here is gone or was created anew.</summary>
    public string ClusterId => _hubs.Identity.ToString();

    /// <summary>Identity of each hub's log, made at its creation and kept in <c>hubs/NAME/hub.json</c>.</summary>
    public IReadOnlyDictionary<string, Guid> LogIdentities => _hubs.All.ToDictionary(hub => hub.Name, hub => hub.LogIdentity);

    /// <summary>Opens the logs, cuts what a crash left unfinished, and begins to listen.</summary>
    /// <exception cref="ShardCloudException">SC7005 the port is taken; SC7006 another broker uses the folder; SC6002 a log is damaged;
    /// SC6003 a hub exists with another partition count.</exception>
    /// <exception cref="ArgumentException">A hub's name or partition count, or another option, is out of range.</exception>
    public static Task<LocalEventHubs> StartAsync(LocalEventHubsOptions options, TimeProvider? time = null, ILogger? logger = null, CancellationToken cancellationToken = default) =>
        Task.Run(() => new LocalEventHubs(options, time ?? TimeProvider.System, logger ?? NullLogger.Instance), cancellationToken); // opening reads whole files

    /// <summary>Closes every connection and the files.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 1) return;
        await _stopping.CancelAsync();
        _listener.Dispose();
        await Task.WhenAll(_accepting, _retaining);
        await Task.WhenAll(_connections.Keys);
        _hubs.Dispose();
        _stopping.Dispose();
    }

    /// <summary>Deletes what is past the retention; otherwise done every 10 s.</summary>
    public void ApplyRetention() => _hubs.ApplyRetention();

    private static Socket Listen(int port)
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            listener.Bind(new IPEndPoint(IPAddress.Loopback, port));
            listener.Listen(512);
            return listener;
        }
        catch (SocketException exception)
        {
            listener.Dispose();
            throw new ShardCloudException(ErrorCodes.PortInUse, $"Port {port} is taken.", "Stop what listens there, choose another port, or use 0 for a free one.", exception);
        }
    }

    private async Task AcceptAsync()
    {
        while (!_stopping.IsCancellationRequested)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptAsync(_stopping.Token);
            }
            catch (Exception exception) when (exception is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException exception)
            {
                LogAcceptFailed(exception); // the client gave up between knock and entry, or files ran out: the next may succeed
                await Task.Delay(10, CancellationToken.None);
                continue;
            }

            if (Interlocked.Increment(ref _connectionCount) > _options.ConnectionsMax)
            {
                LogTooMany(_options.ConnectionsMax);
                Interlocked.Decrement(ref _connectionCount);
                socket.Dispose();
                continue;
            }

            var serving = ServeAsync(socket);
            _connections.TryAdd(serving, 0);
            _ = serving.ContinueWith(done => _connections.TryRemove(done, out _), TaskScheduler.Default);
        }
    }

    /// <summary>Nothing that happens on one connection reaches another or the broker.</summary>
    private async Task ServeAsync(Socket socket)
    {
        await Task.Yield();
        using (socket)
        {
            try
            {
                socket.NoDelay = true;
                await new Connection(socket, _hubs, _options, AdvertisedPort, _meter, _time).RunAsync(_stopping.Token);
            }
            catch (Exception exception) when (exception is OperationCanceledException or SocketException or TimeoutException or ObjectDisposedException)
            {
                // The client left, does not read, or the broker stops.
            }
            catch (MalformedRequestException exception)
            {
                LogMalformed(exception.Message);
            }
            catch (Exception exception)
            {
                LogFailed(exception);
            }
            finally
            {
                Interlocked.Decrement(ref _connectionCount);
            }
        }
    }

    private async Task RetainAsync(TimeProvider time)
    {
        using var timer = new PeriodicTimer(RetentionEvery, time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stopping.Token))
            {
                try
                {
                    _hubs.ApplyRetention();
                }
                catch (IOException exception)
                {
                    LogRetentionFailed(exception);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The broker stops.
        }
    }

    [LoggerMessage(7101, LogLevel.Warning, "A connection was closed: its client does not speak the protocol offered here ({What}).")]
    private partial void LogMalformed(string what);

    [LoggerMessage(7102, LogLevel.Error, "A connection was closed because its request failed.")]
    private partial void LogFailed(Exception exception);

    [LoggerMessage(7103, LogLevel.Warning, "A connection was refused: {Limit} are open.")]
    private partial void LogTooMany(int limit);

    [LoggerMessage(7104, LogLevel.Warning, "A connection could not be accepted.")]
    private partial void LogAcceptFailed(Exception exception);

    [LoggerMessage(7105, LogLevel.Warning, "Old segments could not be deleted; it is tried again.")]
    private partial void LogRetentionFailed(Exception exception);
}
