using Azure.Storage.Blobs;
using Microsoft.Extensions.Logging.Abstractions;
using ShardCloud.Crdt;
using ShardCloud.Identity;
using ShardCloud.LocalCloud.EventHubs;

namespace ShardCloud.Replication.Tests;

/// <summary>Members of real clients on a local log.</summary>
internal sealed class Cluster : IAsyncDisposable
{
    public const int Partitions = 2;
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    public static readonly EndpointId Room = new("rooms/1");
    public static readonly int RoomPartition = Room.Slot.PartitionOf(Partitions);
    public static readonly GrantCoverage Everything = GrantCoverage.OfSlots(SlotRange.All);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardcloud-log-");
    private readonly List<ReplicationService> _members = [];
    private LocalEventHubs _hubs = null!;
    private int _count;

    public CancellationToken Token { get; } = new CancellationTokenSource(Deadline).Token;

    public static async Task<Cluster> StartAsync()
    {
        var cluster = new Cluster();
        await cluster.StartLogAsync();
        return cluster;
    }

    public async Task StartLogAsync(LocalEventHubsOptions? like = null)
    {
        var hubs = new Dictionary<string, int> { ["deltas"] = Partitions, ["control"] = 1 };
        like ??= new LocalEventHubsOptions { DataFolder = _folder.FullName };
        _hubs = await LocalEventHubs.StartAsync(like with { Hubs = hubs, Key = SharedAccessKey.Of(LocalKey.LoadOrCreate(Path.Combine(_folder.FullName, "local.key"))), Port = _hubs?.Port ?? 0 });
    }

    /// <summary>The log's retention passes everything in it.</summary>
    public async Task ForgetAsync()
    {
        await StopLogAsync();
        await StartLogAsync(new LocalEventHubsOptions { DataFolder = _folder.FullName, RetentionTime = TimeSpan.FromTicks(1) });
        _hubs.ApplyRetention();
        await StopLogAsync();
        await StartLogAsync();
    }

    public ValueTask StopLogAsync() => _hubs.DisposeAsync();

    public ReplicationService Start(BlobContainerClient? snapshots = null, string application = "rooms", string logIdentity = "log-1", AckMode ack = AckMode.Log, BackupLink? toBackup = null, ReadMode reads = ReadMode.Lease, int level = 1)
    {
        var options = new ReplicationOptions
        {
            Application = application,
            BootstrapServers = _hubs.BootstrapServers,
            Security = LogSecurity.Key,
            ConnectionString = _hubs.ConnectionString,
            PartitionCount = Partitions,
            LogIdentity = logIdentity,
            Ack = ack,
            Reads = reads,
            ReadLogIdentity = _ => Task.FromResult("log-1"),
        };
        var self = new IncarnationId($"shard-{++_count}~1");
        var member = new ReplicationService(options, self, () => true, snapshots, TimeProvider.System, NullLogger<ReplicationService>.Instance, toBackup, level: () => level);
        _members.Add(member);
        return member;
    }

    public async Task<ReplicationService> OwnerAsync(long epoch = 1, BlobContainerClient? snapshots = null, string application = "rooms", ReadMode reads = ReadMode.Lease)
    {
        var member = Start(snapshots, application, reads: reads);
        await member.StartAsync(Token);
        await ReplicateAsync(member);
        Assert.Equal(GrantResult.Held, await member.BeginTenureAsync(new Epoch(epoch), Everything, null, Token));
        return member;
    }

    public async Task ReplicateAsync(ReplicationService member)
    {
        for (var p = 0; p < Partitions; p++) await member.EnsureReplicaAsync(p, null, Token);
    }

    public async Task AddAsync(ReplicationService member, EndpointId? endpoint = null) =>
        Assert.Equal(ReleaseOutcome.Released, await Add(member, endpoint).WaitAsync(Token));

    public Task<ReleaseOutcome> Add(ReplicationService member, EndpointId? endpoint = null)
    {
        Assert.True(member.TryOpen(endpoint ?? Room, out var owned));
        var transaction = owned.BeginTransaction();
        transaction.Counter("n").Increment();
        Assert.Equal(CommitOutcome.Committed, owned.TryCommit(transaction, out var token));
        return owned.WhenReleasedAsync(token, Token).AsTask();
    }

    /// <summary>The fate of an answer that only reads.</summary>
    public Task<ReleaseOutcome> Read(ReplicationService member)
    {
        Assert.True(member.TryOpen(Room, out var owned));
        return owned.WhenReleasedAsync(owned.Seen(), Token).AsTask();
    }

    public static long Value(Document document) => document.Fields.Counter("n");

    public async Task<long> ReadAsync(ReplicationService member)
    {
        await member.EnsureReplicaAsync(RoomPartition, null, Token);
        return Value(member.Accepted(Room));
    }

    public async Task StopAsync(ReplicationService member)
    {
        _members.Remove(member);
        await member.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var member in _members) await member.DisposeAsync();
        await _hubs.DisposeAsync();
        _folder.Delete(recursive: true);
    }
}
