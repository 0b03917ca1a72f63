using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Azurite;

/// <summary>Azure Storage on a laptop: one Azurite process with tables, blobs and queues under the well-known development account.</summary>
/// <remarks>Listens on 127.0.0.1 only. Ends with this process, however this process ends.</remarks>
public sealed partial class AzuriteProcess : ILife
{
    /// <summary>Account of the emulator.</summary>
    public const string AccountName = "devstoreaccount1";

    /// <summary>Key of that account: public, the same on every machine (learn.microsoft.com/azure/storage/common/storage-connect-azurite).</summary>
    public const string AccountKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    private readonly FileStream? _dataLock;

    private AzuriteProcess(ChildProcess child, FileStream? dataLock, Ports ports)
    {
        (Child, _dataLock) = (child, dataLock);
        BlobEndpoint = Endpoint(ports.Blob);
        QueueEndpoint = Endpoint(ports.Queue);
        TableEndpoint = Endpoint(ports.Table);
    }

    /// <summary>Address of the blob service, account included.</summary>
    public Uri BlobEndpoint { get; }

    /// <summary>Address of the queue service, account included.</summary>
    public Uri QueueEndpoint { get; }

    /// <summary>Address of the table service, account included.</summary>
    public Uri TableEndpoint { get; }

    /// <summary>Connection string for all three services.</summary>
    public string ConnectionString =>
        $"DefaultEndpointsProtocol=http;AccountName={AccountName};AccountKey={AccountKey};BlobEndpoint={BlobEndpoint};QueueEndpoint={QueueEndpoint};TableEndpoint={TableEndpoint};";

    /// <inheritdoc/>
    public ChildProcess Child { get; }

    /// <summary>Installs Azurite if needed, starts it and waits until tables, blobs and queues answer.</summary>
    /// <exception cref="ShardCloudException">SC7001 to SC7003 (see <see cref="AzuriteInstaller"/>); SC7004 it did not start; SC7005 a port is taken;
    /// SC7006 another emulator uses the data folder.</exception>
    public static async Task<AzuriteProcess> StartAsync(AzuriteOptions options, IProgress<string>? progress = null, CancellationToken cancellationToken = default)
    {
        var script = await AzuriteInstaller.EnsureAsync(options.CacheFolder, progress, cancellationToken);
        var dataLock = options.DataFolder is null ? null : LockData(options.DataFolder);
        var listening = new Listening();
        ChildProcess? child = null;
        try
        {
            child = ChildProcess.Start(new ChildProcessOptions
            {
                FileName = "node",
                Arguments = [script, .. Arguments(options)],
                ParentWatch = ParentWatch.Node,
                LogFile = options.LogFile,
                OnLine = listening.Take,
            });
            if (dataLock is not null) await RecordProcessAsync(dataLock, child.Id, cancellationToken);
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            deadline.CancelAfter(options.StartTimeout);
            await Task.WhenAny(listening.All, child.Exited).WaitAsync(deadline.Token);
            if (!listening.All.IsCompletedSuccessfully) throw DidNotStart(child, "it ended");

            var azurite = new AzuriteProcess(child, dataLock, await listening.All);
            await azurite.AnswersAsync(deadline.Token);
            return azurite;
        }
        catch (Exception exception)
        {
            var late = exception is OperationCanceledException && !cancellationToken.IsCancellationRequested;
            var error = late ? DidNotStart(child!, $"no answer within {options.StartTimeout.TotalSeconds:0} s") : null;
            if (child is not null) await child.DisposeAsync();
            dataLock?.Dispose();
            if (error is not null) throw error;
            throw;
        }
    }

    /// <summary>Stops it gracefully, so that tables reach the disk.</summary>
    public async ValueTask DisposeAsync()
    {
        await Child.DisposeAsync();
        _dataLock?.Dispose();
    }

    private static string[] Arguments(AzuriteOptions options) =>
    [
        "--silent", "--disableTelemetry",

        // The storage client sends newer service versions than the emulator lists; every call would be refused without this.
        "--skipApiVersionCheck",
        "--blobPort", Text(options.BlobPort), "--queuePort", Text(options.QueuePort), "--tablePort", Text(options.TablePort),
        .. options.DataFolder is { } folder
            ? (string[])["--location", Path.GetFullPath(folder)]
            : ["--inMemoryPersistence", "--extentMemoryLimit", Text(options.MemoryMegabytesMax)],
    ];

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static Uri Endpoint(int port) => new($"http://127.0.0.1:{port}/{AccountName}");

    /// <summary>Two emulators over one folder would overwrite each other's tables.</summary>
    private static FileStream LockData(string folder)
    {
        Directory.CreateDirectory(folder);
        FileStream file;
        try
        {
            file = new FileStream(Path.Combine(folder, "shardcloud.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException exception)
        {
            throw DataInUse(folder, exception);
        }

        // If our predecessor was killed, its Azurite is just closing its files: it has 5 s to do so.
        using var reader = new StreamReader(file, leaveOpen: true);
        if (int.TryParse(reader.ReadToEnd(), CultureInfo.InvariantCulture, out var id) && IsNode(id, out var process))
        {
            using (process)
            {
                if (!process.WaitForExit(TimeSpan.FromSeconds(10)))
                {
                    file.Dispose();
                    throw DataInUse(folder, null);
                }
            }
        }

        return file;
    }

    private static bool IsNode(int id, out Process process)
    {
        try
        {
            process = Process.GetProcessById(id);
            return process.ProcessName.Contains("node", StringComparison.OrdinalIgnoreCase);
        }
        catch (Exception exception) when (exception is ArgumentException or InvalidOperationException)
        {
            process = null!;
            return false;
        }
    }

    private static async Task RecordProcessAsync(FileStream dataLock, int id, CancellationToken cancellationToken)
    {
        dataLock.SetLength(0);
        await dataLock.WriteAsync(System.Text.Encoding.ASCII.GetBytes(Text(id)), cancellationToken);
        await dataLock.FlushAsync(cancellationToken);
    }

    private async Task AnswersAsync(CancellationToken cancellationToken)
    {
        using var client = new HttpClient();
        foreach (var endpoint in (Uri[])[BlobEndpoint, QueueEndpoint, TableEndpoint])
            using (await client.GetAsync(endpoint, cancellationToken)) { } // Any status is an answer: "forbidden" comes from a working service.
    }

    private static ShardCloudException DidNotStart(ChildProcess child, string why)
    {
        var said = string.Join(" | ", child.LastLines.TakeLast(8));
        return said.Contains("EADDRINUSE", StringComparison.Ordinal)
            ? new(ErrorCodes.PortInUse, $"A port of the storage emulator is taken: {said}.", "Stop what listens there, choose another port, or use 0 for a free one.")
            : new(ErrorCodes.AzuriteDidNotStart, $"The storage emulator did not start: {why}. Its last words: {said}.", "Look into its log file; a damaged data folder can be deleted.");
    }

    private static ShardCloudException DataInUse(string folder, Exception? inner) =>
        new(ErrorCodes.DataInUse, $"Another storage emulator uses the data in '{folder}'.", "Stop the other one, or choose another data folder.", inner);

    private readonly record struct Ports(int Blob, int Queue, int Table);

    /// <summary>Collects the three addresses that Azurite prints, even with --silent, once it listens.</summary>
    private sealed partial class Listening
    {
        private readonly TaskCompletionSource<Ports> _all = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private Ports _ports;

        public Task<Ports> All => _all.Task;

        public void Take(string line)
        {
            var match = SaysAddress().Match(line);
            if (!match.Success) return;
            var port = int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture);
            _ports = match.Groups[1].Value switch
            {
                "Blob" => _ports with { Blob = port },
                "Queue" => _ports with { Queue = port },
                _ => _ports with { Table = port },
            };
            if (_ports is { Blob: > 0, Queue: > 0, Table: > 0 }) _all.TrySetResult(_ports);
        }

        [GeneratedRegex(@"^Azurite (Blob|Queue|Table) service is successfully listening at http://[^ ]*:(\d{1,5})$", RegexOptions.CultureInvariant)]
        private static partial Regex SaysAddress();
    }
}
