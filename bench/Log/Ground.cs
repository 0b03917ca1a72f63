using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using ShardCloud.Crdt;
using ShardCloud.Processes;
using ShardCloud.Replication;

namespace ShardCloud.Bench.Log;

/// <summary>The local Event Hubs as a process of its own, and members of this process that use it as the product does.</summary>
internal sealed class Ground : IAsyncDisposable
{
    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(30);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardcloud-bench-log-");
    private readonly List<ReplicationService> _members = [];
    private readonly Settings _settings;
    private ReadyProcess? _broker;
    private long _requests;

    private Ground(Settings settings)
    {
        _settings = settings;
        Endpoints = [.. Enumerable.Range(0, settings.Endpoints).Select(i => new EndpointId(string.Create(CultureInfo.InvariantCulture, $"rooms/{i}")))];
    }

    /// <summary>What is written to.</summary>
    public IReadOnlyList<EndpointId> Endpoints { get; }

    public static async Task<Ground> StartAsync(Settings settings)
    {
        var ground = new Ground(settings);
        ground._broker = await ReadyProcess.StartAsync("Event Hubs", new ChildProcessOptions
        {
            FileName = "dotnet",
            Arguments = [typeof(Ground).Assembly.Location, "broker", "--data", ground._folder.FullName,
                "--hub", string.Create(CultureInfo.InvariantCulture, $"deltas={settings.Partitions}"), "--hub", "control=1"],
        }, StartTimeout, CancellationToken.None);
        return ground;
    }

    /// <summary>A member with complete replicas of everything.</summary>
    public async Task<ReplicationService> MemberAsync(string name, double recordsPerSecond = 0, double bytesPerSecond = 0)
    {
        var member = new ReplicationService(new ReplicationOptions
        {
            Application = "bench",
            BootstrapServers = string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{_broker!.Line.GetProperty("port").GetInt32()}"),
            PartitionCount = _settings.Partitions,
            LogIdentity = "bench",
            RecordsPerSecond = recordsPerSecond,
            BytesPerSecond = bytesPerSecond,
        }, new IncarnationId($"{name}~1"), () => true, snapshots: null, TimeProvider.System, NullLogger<ReplicationService>.Instance);
        _members.Add(member);
        await member.StartAsync();
        await Task.WhenAll(Enumerable.Range(0, _settings.Partitions).Select(partition => member.EnsureReplicaAsync(partition, null, CancellationToken.None)));
        return member;
    }

    /// <summary>A member that owns everything.</summary>
    public async Task<ReplicationService> OwnerAsync(double recordsPerSecond = 0, double bytesPerSecond = 0)
    {
        var owner = await MemberAsync("owner", recordsPerSecond, bytesPerSecond);
        if (await owner.BeginTenureAsync(new Epoch(1), GrantCoverage.OfSlots(SlotRange.All), null, CancellationToken.None) != GrantResult.Held) throw new InvalidOperationException("No tenure.");
        return owner;
    }

    /// <summary>What the log holds: records by its offsets, bytes by its files, so with all that the protocol puts around a record.</summary>
    public (long Records, long Bytes) Appended(ReplicationService owner) => (
        Enumerable.Range(0, _settings.Partitions).Sum(partition => owner.Position(partition) + 1),
        Directory.GetFiles(Path.Combine(_folder.FullName, "hubs", "deltas"), "*.log", SearchOption.AllDirectories).Sum(path => new FileInfo(path).Length));

    /// <summary>One write as a request makes it: one change, and its completion record where that is asked for.</summary>
    public OwnedEndpoint Write(ReplicationService owner, EndpointId endpoint, out ReleaseToken token)
    {
        if (!owner.TryOpen(endpoint, out var owned)) throw new InvalidOperationException($"'{endpoint}' is not served.");
        while (true)
        {
            var transaction = owned.BeginTransaction();
            transaction.Counter("messages").Increment();
            if (_settings.RecordedBytes >= 0) Record(transaction, owned.Current);
            if (owned.TryCommit(transaction, out token) == CommitOutcome.Committed) return owned;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var member in _members) await member.DisposeAsync();
        if (_broker is not null) await _broker.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    /// <summary>The record of this request goes in, the oldest one out, as if a router had confirmed it. Ids are as the runtime's, and sort by age.</summary>
    private void Record(DocumentTransaction transaction, Document current)
    {
        if (current.RequestCount >= 16) transaction.DropRequestRecord(current.Requests.First().Id);
        transaction.AddRequestRecord(new RequestRecord(string.Create(CultureInfo.InvariantCulture, $"r:6f9k2m-{Interlocked.Increment(ref _requests):D12}"), 200, "application/json", new byte[_settings.RecordedBytes],
            (ulong)Random.Shared.NextInt64(), DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()));
    }
}
