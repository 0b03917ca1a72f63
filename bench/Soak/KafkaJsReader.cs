using System.Globalization;
using System.Text.Json;
using ShardCloud.LocalCloud.Azurite;
using ShardCloud.Processes;

namespace ShardCloud.Bench.Soak;

/// <summary>What the second client has read.</summary>
internal sealed record KafkaJsResult(string[] Digests, long[] Counts);

/// <summary>Reads all partitions with kafkajs, in a Node process.</summary>
internal sealed class KafkaJsReader : IAsyncDisposable
{
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "kafkajs");
    private static readonly JsonSerializerOptions Camel = new(JsonSerializerDefaults.Web);

    private readonly ChildProcess _node;
    private readonly string _endsFile;
    private long _count;

    public KafkaJsReader(string modules, Broker broker, int partitions, string endsFile)
    {
        _endsFile = endsFile;
        _node = ChildProcess.Start(new ChildProcessOptions
        {
            FileName = "node",
            Arguments = [Path.Combine(Folder, "reader.js"), broker.Address, Settings.Hub, partitions.ToString(CultureInfo.InvariantCulture), endsFile],
            ParentWatch = ParentWatch.Node,
            Environment = new Dictionary<string, string?> { ["NODE_PATH"] = modules, ["KAFKA_PASSWORD"] = broker.ConnectionString },
            OnLine = Take,
        });
    }

    /// <summary>Records read, as it said last.</summary>
    public long Count => Volatile.Read(ref _count);

    public Task Exited => _node.Exited;

    public KafkaJsResult Result { get; private set; } = new([], []);

    /// <summary>The folder of its packages, installed if they are not there.</summary>
    public static async Task<string> InstallAsync()
    {
        await AzuriteInstaller.CheckNodeAsync();
        (string, byte[])[] packages = [.. ((string[])["package.json", "package-lock.json"]).Select(name => (name, File.ReadAllBytes(Path.Combine(Folder, name))))];
        var entry = await NpmFolder.EnsureAsync(
            AzuriteInstaller.DefaultCacheFolder, "kafkajs", packages, Path.Combine("node_modules", "kafkajs", "index.js"), TimeSpan.FromMinutes(5), null, default);
        return Path.GetFullPath(Path.Combine(Path.GetDirectoryName(entry)!, ".."));
    }

    /// <summary>Says where the partitions end: it reads up to there and exits.</summary>
    public void End(long[] ends)
    {
        File.WriteAllText(_endsFile + ".new", JsonSerializer.Serialize(ends));
        File.Move(_endsFile + ".new", _endsFile);
    }

    /// <summary>Faults if it exits before it was told the end.</summary>
    public async Task FailedAsync()
    {
        await _node.Exited;
        throw new InvalidOperationException($"The second reader ended: {string.Join(" | ", _node.LastLines)}");
    }

    public ValueTask DisposeAsync() => _node.DisposeAsync();

    private void Take(string line)
    {
        if (line.StartsWith("{\"at\"", StringComparison.Ordinal)) Volatile.Write(ref _count, JsonDocument.Parse(line).RootElement.GetProperty("at").EnumerateArray().Sum(count => count.GetInt64()));
        if (line.StartsWith("{\"digests\"", StringComparison.Ordinal)) Result = JsonSerializer.Deserialize<KafkaJsResult>(line, Camel)!;
    }
}
