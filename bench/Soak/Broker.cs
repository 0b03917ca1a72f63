using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Confluent.Kafka;
using ShardCloud.Identity;
using ShardCloud.LocalCloud.EventHubs;
using ShardCloud.Processes;

namespace ShardCloud.Bench.Soak;

/// <summary>The broker's process, and the next one after each end.</summary>
internal sealed class Broker(Settings settings, string folder, string keyFile) : IAsyncDisposable
{
    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(30);

    private ChildProcess? _child;
    private int _port;
    private TimeSpan _earlier;

    public string Address => $"127.0.0.1:{_port.ToString(CultureInfo.InvariantCulture)}";

    /// <summary>What its clients present.</summary>
    public string ConnectionString => SharedAccessKey.Of(LocalKey.Load(keyFile)).ConnectionString(_port);

    /// <summary>Address and key for a client.</summary>
    public TConfig Configure<TConfig>(TConfig config) where TConfig : ClientConfig
    {
        (config.BootstrapServers, config.SecurityProtocol, config.SaslMechanism) = (Address, SecurityProtocol.SaslPlaintext, SaslMechanism.Plain);
        (config.SaslUsername, config.SaslPassword) = ("$ConnectionString", ConnectionString);
        return config;
    }

    public bool IsAlive => _child is { Exited.IsCompleted: false };

    public string LastWords => string.Join(" | ", _child?.LastLines ?? []);

    public async Task StartAsync()
    {
        var ready = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
        _child = ChildProcess.Start(new ChildProcessOptions
        {
            FileName = "dotnet",
            Arguments = [typeof(Broker).Assembly.Location, "broker", .. Arguments()],
            OnLine = line =>
            {
                if (line.StartsWith("{\"ready\"", StringComparison.Ordinal)) ready.TrySetResult(JsonSerializer.Deserialize<JsonElement>(line));
            },
        });
        var said = await ready.Task.WaitAsync(StartTimeout);
        if (!said.GetProperty("ready").GetBoolean()) throw new InvalidOperationException($"The broker did not start: {said}");
        _port = said.GetProperty("port").GetInt32();
    }

    /// <summary>Ends it, gently or not, and starts the next one over its files.</summary>
    public async Task EndAndStartAsync(bool gently)
    {
        using (var process = Process.GetProcessById(_child!.Id)) _earlier += process.TotalProcessorTime;
        if (gently) await _child.StopAsync();
        else _child.Crash();
        await _child.Exited;
        await _child.DisposeAsync();
        await StartAsync();
    }

    /// <summary>What it uses now.</summary>
    public Sample Look(TimeSpan at)
    {
        using var process = Process.GetProcessById(_child!.Id);
        var files = Directory.GetFiles(Path.Combine(folder, "hubs"), "*.log", SearchOption.AllDirectories);
        return new Sample(at, process.WorkingSet64, process.PeakWorkingSet64, _earlier + process.TotalProcessorTime, process.Threads.Count, process.HandleCount, files.Length, files.Sum(Length));

        // Retention may take a file between the listing and the look.
        static long Length(string path) => new FileInfo(path) is { Exists: true } file ? file.Length : 0;
    }

    public async ValueTask DisposeAsync()
    {
        if (_child is not null) await _child.DisposeAsync();
    }

    private string[] Arguments() =>
    [
        "--data", folder, "--key-file", keyFile, "--hub", $"{Settings.Hub}={Number(settings.Partitions)}", "--port", Number(_port),
        "--segment-bytes", Number(settings.SegmentBytes), "--retention-bytes", Number(settings.RetentionBytes),
    ];

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>What the broker's process used at a moment.</summary>
/// <param name="At">Since writing began.</param>
/// <param name="ResidentBytes">Its memory that is in the machine's.</param>
/// <param name="PeakBytes">The most that ever was, as the system counts it.</param>
/// <param name="Processor">Processor time since the first start.</param>
/// <param name="Threads">Threads.</param>
/// <param name="Handles">Open files and sockets.</param>
/// <param name="Segments">Segment files.</param>
/// <param name="DiskBytes">Their bytes.</param>
internal sealed record Sample(TimeSpan At, long ResidentBytes, long PeakBytes, TimeSpan Processor, int Threads, int Handles, int Segments, long DiskBytes);
