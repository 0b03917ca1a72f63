using ShardCloud.LocalCloud.Azurite;
using ShardCloud.LocalCloud.EventHubs;
using ShardCloud.Routing;

namespace ShardCloud.Bench.Sockets;

/// <summary>A router and two shards as processes, with storage and log; the map gives each shard half of the slots. Bars, at every line of the table: 300 MB for the router in all, 64 connections to shards.</summary>
internal sealed class Measurement : IAsyncDisposable
{
    private const string Application = "bench", DeltaHub = "deltas", ControlHub = "control";
    private const int Partitions = 4, RouterMegabytesMax = 300, ConnectionsMax = 64;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardcloud-bench-");
    private readonly List<Part> _parts = [];
    private AzuriteProcess _azurite = null!;
    private LocalEventHubs _hubs = null!;
    private IReadOnlyList<int> _shardPorts = [];

    /// <summary>Prints the table; 1 when a line of it is past a bar.</summary>
    /// <param name="sockets">How many are opened.</param>
    /// <param name="idle">How long they say nothing. More than half a minute: each is pinged then.</param>
    public static async Task<int> RunAsync(int sockets, TimeSpan idle)
    {
        await using var ground = new Measurement();
        var address = await ground.StartAsync();
        var (one, two, router) = (ground._parts[0], ground._parts[1], ground._parts[2]);
        var clients = ground.Start(Path.Combine(AppContext.BaseDirectory, "ShardCloud.Bench.Sockets.dll"), ["clients", address.Replace("http:", "ws:", StringComparison.Ordinal), $"{sockets}"], []);
        Console.WriteLine("| | router, MB | shard 1, MB | shard 2, MB | router to shards, connections | took |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- |");
        var (megabytesMost, connectionsMost) = (0L, 0);
        Row("before", "");
        Row($"{sockets} open, idle", await clients.DoAsync("open"));
        await Task.Delay(idle);
        Row($"{idle.TotalSeconds} s later", "");
        Row("one message to each and back", await clients.DoAsync("echo"));
        await Task.Delay(TimeSpan.FromSeconds(10));
        Row("10 s later", "");
        Console.WriteLine();
        Console.WriteLine($"Most: {megabytesMost} MB of {RouterMegabytesMax}, {connectionsMost} connections of {ConnectionsMax}.");
        return megabytesMost <= RouterMegabytesMax && connectionsMost <= ConnectionsMax ? 0 : 1;

        void Row(string what, string took)
        {
            var (megabytes, connections) = (router.ResidentMegabytes, router.ConnectionsTo(ground._shardPorts));
            (megabytesMost, connectionsMost) = (Math.Max(megabytesMost, megabytes), Math.Max(connectionsMost, connections));
            Console.WriteLine($"| {what} | {megabytes} | {one.ResidentMegabytes} | {two.ResidentMegabytes} | {connections} | {took} |");
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var part in _parts) part.Dispose();
        await _hubs.DisposeAsync();
        await _azurite.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    private async Task<string> StartAsync()
    {
        _azurite = await AzuriteProcess.StartAsync(new AzuriteOptions());
        _hubs = await LocalEventHubs.StartAsync(new LocalEventHubsOptions
        {
            DataFolder = Path.Combine(_folder.FullName, "hubs"),
            Hubs = new Dictionary<string, int> { [DeltaHub] = Partitions, [ControlHub] = 1 },
        });
        var storage = StorageClients.Create(new StorageOptions { ConnectionString = _azurite.ConnectionString });
        var maps = new MapStore(storage.Decisions, storage.Blobs, Application);
        await maps.EnsureCreatedAsync(Partitions, _hubs.LogIdentities[DeltaHub].ToString());

        var own = Path.Combine(AppContext.BaseDirectory, "ShardCloud.Bench.Sockets.dll");
        for (var shard = 1; shard <= 2; shard++) Start(own, ["shard"], Environment($"shard-{shard}"));
        var map = await MapWithAsync(maps, ready: 2);
        LiveMember[] live = [.. map.Live.Values.OrderBy(member => member.Incarnation.Value, StringComparer.Ordinal)];
        var half = Slot.Count / 2;
        var result = await maps.CommitAsync(_ => new MapCommit("bench", "Each shard has half", [
            new GrantSlots(new SlotRange(0, half), live[0].Incarnation), new GrantSlots(new SlotRange(half, half), live[1].Incarnation)]));
        if (!result.IsCommitted) throw result.Refusal!;
        _shardPorts = [.. live.Select(member => new Uri(member.MemberAddress).Port)];

        const string address = "http://127.0.0.1:29180";
        var router = Start(Path.Combine(AppContext.BaseDirectory, "ShardCloud.ShardRuntime.dll"), ["--role", "router", "--public-url", address],
            new(Environment("router-1")) { ["MALLOC_ARENA_MAX"] = "1" }); // As src/Infra and the local cloud start a router.
        using var http = new HttpClient { BaseAddress = new Uri(address) };
        await UntilAsync(async () =>
        {
            if (router.HasEnded) throw new InvalidOperationException("The router has ended; is its port taken?");
            try
            {
                return (await http.GetAsync("/readyz")).IsSuccessStatusCode;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        });
        return address;
    }

    private Dictionary<string, string> Environment(string member) => new()
    {
        ["ShardCloud__Application"] = Application,
        ["ShardCloud__Shard"] = member,
        ["ShardCloud__Storage__ConnectionString"] = _azurite.ConnectionString,
        ["ShardCloud__Log__BootstrapServers"] = _hubs.BootstrapServers,
        ["ShardCloud__Auth__KeyFile"] = Path.Combine(_folder.FullName, "key"),
        ["ShardCloud__Public__ConnectionsMax"] = "15000",
        ["Logging__LogLevel__Default"] = "Warning",
    };

    private Part Start(string assembly, IEnumerable<string> arguments, Dictionary<string, string> environment)
    {
        var part = new Part(assembly, arguments, environment);
        _parts.Add(part);
        return part;
    }

    private static async Task<RoutingMap> MapWithAsync(MapStore maps, int ready)
    {
        RoutingMap map = null!;
        await UntilAsync(async () => (map = await maps.LoadAsync()).Live.Values.Count(member => member.Ready) == ready);
        return map;
    }

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var most = new CancellationTokenSource(TimeSpan.FromSeconds(90));
        while (!await condition()) await Task.Delay(100, most.Token);
    }
}
