using System.Globalization;
using ShardCloud.LocalCloud.Azurite;
using ShardCloud.LocalCloud.EventHubs;
using ShardCloud.Routing;

namespace ShardCloud.Bench.Load;

/// <summary>Our router as it is shipped, with its storage and log, and a map that names the backend as the one shard, which owns every slot.</summary>
/// <remarks>The backend stands where a shard stands, so that both proxies reach the same process over the same protocol; what a shard does with a request is not measured here.</remarks>
internal sealed class RouterStack : IAsyncDisposable
{
    private const string Application = "bench", DeltaHub = "deltas", ControlHub = "control";
    private const int Partitions = 4;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardcloud-bench-");
    private AzuriteProcess? _azurite;
    private LocalEventHubs? _hubs;

    public Child Router { get; private set; } = null!;

    public static async Task<RouterStack> StartAsync(int port, string backend)
    {
        var stack = new RouterStack();
        try
        {
            await stack.RunAsync(port, backend);
            return stack;
        }
        catch
        {
            await stack.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Router?.Dispose();
        if (_hubs is not null) await _hubs.DisposeAsync();
        if (_azurite is not null) await _azurite.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    private async Task RunAsync(int port, string backend)
    {
        _azurite = await AzuriteProcess.StartAsync(new AzuriteOptions());
        _hubs = await LocalEventHubs.StartAsync(new LocalEventHubsOptions
        {
            DataFolder = Path.Combine(_folder.FullName, "hubs"),
            Hubs = new Dictionary<string, int> { [DeltaHub] = Partitions, [ControlHub] = 1 },
        });
        await WriteMapAsync(backend);
        Router = new Child(Path.Combine(AppContext.BaseDirectory, "ShardCloud.ShardRuntime.dll"), ["--role", "router"], new Dictionary<string, string>
        {
            ["ShardCloud__Application"] = Application,
            ["ShardCloud__Shard"] = "router-1",
            ["ShardCloud__Storage__ConnectionString"] = _azurite.ConnectionString,
            ["ShardCloud__Log__BootstrapServers"] = _hubs.BootstrapServers,
            ["ShardCloud__Auth__KeyFile"] = Path.Combine(_folder.FullName, "key"),
            ["ShardCloud__Public__Url"] = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}"),
            ["Logging__LogLevel__Default"] = "Warning",
        });
    }

    private async Task WriteMapAsync(string backend)
    {
        var storage = StorageClients.Create(new StorageOptions { ConnectionString = _azurite!.ConnectionString });
        var maps = new MapStore(storage.Decisions, storage.Blobs, Application);
        await maps.EnsureCreatedAsync(Partitions, _hubs!.LogIdentities[DeltaHub].ToString());
        var shard = IncarnationId.New(new ShardId("backend"));
        var result = await maps.CommitAsync(_ => new MapCommit("bench", "The backend of a measurement", [
            new Join(new LiveMember(shard, backend, backend, "1.0.0", "bench", Cordoned: false, Ready: true)),
            new PublishTemplates("1.0.0", [new TemplateSpec("/rooms/{room}")]),
            new GrantSlots(SlotRange.All, shard),
        ]));
        if (!result.IsCommitted) throw result.Refusal!;
    }
}
