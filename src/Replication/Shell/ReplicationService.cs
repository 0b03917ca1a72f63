using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Azure.Storage.Blobs;
using Microsoft.Extensions.Logging;
using ShardCloud.Crdt;
using ShardCloud.Routing;

namespace ShardCloud.Replication;

/// <summary>What a Grant lets leave the replicas.</summary>
/// <param name="Partition">Event Hub partition.</param>
/// <param name="To">Spent documents that were last changed at this offset or before. Read here before the map was asked for the epoch.</param>
public sealed record Forgetting(int Partition, long To);

/// <summary>Replication of one member: its replicas, what it owns and serves from, its snapshots and the control channel. Thread-safe.</summary>
public sealed partial class ReplicationService : IAsyncDisposable
{
    /// <summary>Connections that append.</summary>
    /// <remarks>
    /// An idempotent producer has five requests under way on its connection, and each carries records of one partition: a handoff that touches more
    /// partitions would wait for several round trips, one after the other. Four carry one request of each of 16 partitions at once.
    /// </remarks>
    private const int ProducersMax = 4;

    private static readonly TimeSpan SnapshotCheck = TimeSpan.FromSeconds(1);

    private readonly ReplicationOptions _options;
    private readonly SnapshotStore? _snapshots;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly LogShare _share;
    private readonly LogProducer[] _producers; // An Event Hub partition's records all go through the same one.
    private readonly ConcurrentDictionary<int, PartitionLog> _logs = new();
    private readonly SemaphoreSlim[] _making;
    private readonly ConcurrentBag<Task> _retired = []; // Of an incarnation that leaves; a handful a partition.
    private volatile bool _keepsNoMore; // Looked at under a partition's lock: whoever then asks that partition sees all that will ever be kept.
    private readonly CancellationTokenSource _stopping = new();
    private Task _snapshotLoop = Task.CompletedTask;

    /// <summary>Makes the member's producers and its control channel; reads nothing yet.</summary>
    /// <param name="options">Settings.</param>
    /// <param name="self">This incarnation.</param>
    /// <param name="leaseValid">Whether the lease is valid now; cheap, any thread.</param>
    /// <param name="snapshots">Container of snapshots; null: state comes from peers and the log alone.</param>
    /// <param name="time">Clock of the snapshot schedule.</param>
    /// <param name="logger">Where alarms go.</param>
    /// <param name="toBackup">Sends deltas to named backups, for <see cref="AckMode.Replica"/>; null: all answers wait for the log.</param>
    /// <param name="templates">The live templates, which say whose endpoints are convergent; null: none are.</param>
    /// <param name="metrics">Instruments; null: in a meter of its own.</param>
    /// <param name="level">The cloud's protocol level now; null: 1.</param>
    public ReplicationService(ReplicationOptions options, IncarnationId self, Func<bool> leaseValid, BlobContainerClient? snapshots, TimeProvider time, ILogger<ReplicationService> logger,
        BackupLink? toBackup = null, Func<TemplateTable>? templates = null, LogMetrics? metrics = null, Func<int>? level = null)
    {
        options.Validate();
        (_options, Self, _time, _logger) = (options, self, time, logger);
        _snapshots = snapshots is null ? null : new SnapshotStore(snapshots, options.Application, options.LogIdentity);
        _exchanges = new ExchangeTable(time);
        _making = [.. Enumerable.Range(0, options.PartitionCount).Select(_ => new SemaphoreSlim(1))];
        _share = new LogShare
        {
            Self = self,
            Options = options,
            Clients = new KafkaClients(options),
            Budget = new AppendBudget(time),
            Backlog = new Backlog(options.MemberQueueBytesMax, options.MemberQueueDeltasMax),
            Health = new LogHealth(time, logger),
            Metrics = metrics ?? new LogMetrics(),
            LeaseValid = leaseValid,
            ToBackup = toBackup,
            Templates = templates,
            Level = level,
            OnEnded = OnEnded,
            OnFault = OnFault,
            OnAccepted = (in delta) => DeltaAccepted?.Invoke(delta),
            Time = time,
            Logger = logger,
        };
        SetBudget(options.RecordsPerSecond, options.BytesPerSecond);
        _producers = [.. Enumerable.Range(0, Math.Min(ProducersMax, options.PartitionCount)).Select(_ => new LogProducer(_share.Clients, _share.Health, _share.Metrics, time, logger))];
        Control = new ControlChannel(options, _share.Clients, _producers[0], _share.Health, logger);
        _share.Metrics.Watch(_share.Backlog, () => _share.Health.Throttled, () => _logs.Values.Select(log => log.Reading));
    }

    /// <summary>This incarnation.</summary>
    public IncarnationId Self { get; }

    /// <summary>Announcements of map versions.</summary>
    public ControlChannel Control { get; }

    /// <summary>Endpoints are no longer served here. Raised outside all locks.</summary>
    public event Action<TenureEnded>? TenureEnded;

    /// <summary>A replica no longer vouches for some slots: partition and facts. Raised outside all locks.</summary>
    public event Action<int, ReplicaFault>? ReplicaIncomplete;

    /// <summary>A delta of any writer was joined into the accepted layer. For measurements: raised within the partition's lock.</summary>
    internal event LoggedDeltaHandler? DeltaAccepted;

    /// <summary>Sets what this member may append from now on: its share of the log's throughput. Each 0: no limit.</summary>
    public void SetBudget(double recordsPerSecond, double bytesPerSecond) => _share.Budget.Set(recordsPerSecond, bytesPerSecond);

    /// <summary>Compares the log's identity and begins the snapshot schedule.</summary>
    /// <exception cref="ShardCloudException">SC6003: the hub is another one than the map's.</exception>
    public async Task StartAsync(CancellationToken cancellation = default)
    {
        if (_options.ReadLogIdentity is { } read)
        {
            var found = await read(cancellation).ConfigureAwait(false);
            if (found != _options.LogIdentity) throw Errors.LogReplaced(_options.LogIdentity, found);
        }
        if (_snapshots is null) return;
        await _snapshots.EnsureCreatedAsync(cancellation).ConfigureAwait(false);
        _snapshotLoop = WriteSnapshotsAsync();
    }

    /// <summary>Makes sure that this member has a complete replica of a partition, and waits until it has read to the log's end as of this call.</summary>
    /// <param name="partition">Event Hub partition.</param>
    /// <param name="directStream">Opens a peer's <see cref="OpenSnapshotStreamAsync"/>; null, or a null stream: the newest Blob, else the log from its start.</param>
    /// <param name="cancellation">Gives up the wait; the replica, once made, reads on.</param>
    /// <param name="links">To peers that may repair an incomplete replica by an exchange, of which only differences travel; tried before the stream.</param>
    /// <exception cref="ShardCloudException">
    /// SC6005: no complete replica can be made from what there is, or a repair failed a moment ago. SC6006: neither a peer nor a snapshot has complete state. SC6002: the
    /// log no longer holds what follows the state. SC6003: the snapshot belongs to another log.
    /// </exception>
    public async Task EnsureReplicaAsync(int partition, Func<CancellationToken, Task<Stream?>>? directStream, CancellationToken cancellation, IReadOnlyList<ExchangeLink>? links = null)
    {
        PartitionLog log;
        await _making[partition].WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (_logs.TryGetValue(partition, out log!))
            {
                if (!log.IsComplete) await RepairAsync(log, directStream, links ?? [], cancellation).ConfigureAwait(false);
            }
            else
            {
                var (replica, origin) = await LoadAsync(partition, directStream, positionMin: -1, cancellation).ConfigureAwait(false);
                log = new PartitionLog(replica ?? Empty(partition), _share, _producers[partition % _producers.Length])
                {
                    SnapshotAt = _time.GetTimestamp(),
                    Origin = origin,
                };
                _logs[partition] = log;
            }
        }
        finally
        {
            _making[partition].Release();
        }
        var end = await log.QueryEndAsync().ConfigureAwait(false);
        await log.ReachedAsync(end - 1, cancellation).ConfigureAwait(false);
        if (!log.IsComplete) throw Errors.IncompleteReplica(partition);
        log.LastRepair = default;
    }

    /// <summary>True when a complete replica of the partition is here.</summary>
    public bool HasReplica(int partition) => _logs.TryGetValue(partition, out var log) && log.IsComplete;

    /// <summary>Last offset applied; -1 without a replica.</summary>
    public long Position(int partition) => _logs.TryGetValue(partition, out var log) ? log.Position : -1;

    /// <summary>Records not read yet as of the last fetch; -1 without a replica.</summary>
    public long LagRecords(int partition) => _logs.TryGetValue(partition, out var log) ? log.Lag : -1;

    /// <summary>True while something that was committed here in a partition is not accepted by the log.</summary>
    public bool IsWaiting(int partition) => _logs.TryGetValue(partition, out var log) && log.IsWaiting;

    /// <summary>Waits until the record at an offset was read.</summary>
    public Task ReachedAsync(int partition, long offset, CancellationToken cancellation) => LogOf(partition).ReachedAsync(offset, cancellation);

    /// <summary>Accepted state of an endpoint as this replica has it; for checks and digests, never for answers.</summary>
    public Document Accepted(EndpointId endpoint) => LogOf(PartitionOf(endpoint)).Accepted(endpoint);

    /// <summary>The same, as soon as it has seen all of a context.</summary>
    /// <param name="endpoint">Which.</param>
    /// <param name="least">What it is to have seen.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="ShardCloudException">SC6005: no complete replica of it here. SC6002: the log no longer holds what follows.</exception>
    public async Task<Document> SeenAsync(EndpointId endpoint, CausalContext least, CancellationToken cancellation)
    {
        var log = LogOf(PartitionOf(endpoint));
        while (true)
        {
            var position = log.Position; // Before the document: a record between the two ends the wait at once.
            if (!log.IsComplete) throw Errors.IncompleteReplica(log.Partition);
            var document = log.Accepted(endpoint);
            if (document.Context.Covers(least)) return document;
            await log.ReachedAsync(position + 1, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Endpoints of all replicas here whose accepted fields are picked, in no order.</summary>
    /// <param name="picks">Called under the partition's lock for each endpoint: cheap, and it keeps nothing.</param>
    /// <param name="most">Endpoints of one partition, at most.</param>
    public IReadOnlyList<EndpointId> Where(Func<EndpointId, OrMap, bool> picks, int most) => [.. _logs.Values.SelectMany(log => log.Where(picks, most))];

    /// <summary>Whose state the replica of a partition was made of.</summary>
    /// <exception cref="ShardCloudException">SC6005: no replica here.</exception>
    public ReplicaOrigin OriginOf(int partition) => LogOf(partition).Origin;

    /// <summary>Stops reading a partition that is of no use here: nothing is served in it, nothing of it waits for the log, and nothing is kept for its owners.</summary>
    /// <param name="partition">Event Hub partition.</param>
    /// <param name="isNeeded">The caller's own reasons to keep it. Asked while nobody can make or repair the replica: who needs it after that makes it anew.</param>
    /// <param name="cancellation">Gives up the wait for whoever makes or repairs it.</param>
    /// <returns>False: it stays, or there was none.</returns>
    public async Task<bool> DropIdleReplicaAsync(int partition, Func<bool> isNeeded, CancellationToken cancellation)
    {
        PartitionLog? log;
        await _making[partition].WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (!_logs.TryGetValue(partition, out log) || isNeeded() || log.IsWaiting || log.Under(static t => t.Holdings.Count > 0 || t.CopiedOwners.Any())) return false;
            _logs.TryRemove(partition, out _);
        }
        finally
        {
            _making[partition].Release();
        }
        await log.DisposeAsync().ConfigureAwait(false);
        return true;
    }

    /// <summary>The accepted layer at this moment, for a peer; write it with <see cref="PartitionSnapshot.WriteAsync"/>.</summary>
    /// <exception cref="ShardCloudException">SC6005: no complete replica here.</exception>
    public PartitionSnapshot CaptureSnapshot(int partition) => LogOf(partition).Capture();

    /// <summary>Writes the accepted layer at this moment to a peer's stream.</summary>
    /// <exception cref="ShardCloudException">SC6005: no complete replica here.</exception>
    public Task OpenSnapshotStreamAsync(int partition, Stream output, CancellationToken cancellation) => CaptureSnapshot(partition).WriteAsync(output, cancellation);

    /// <summary>Begins to serve what the map granted to this incarnation: appends Grant, then the carried deltas, in every partition concerned.</summary>
    /// <param name="epoch">Map version of the commit.</param>
    /// <param name="coverage">Everything that commit granted to this incarnation; one call an epoch.</param>
    /// <param name="carried">Final delta of the handoff (then handlers may run at once); null for a take-over or first grant (then they run when the log has been read to the Grant).</param>
    /// <param name="cancellation">Gives up the wait, not the tenure.</param>
    /// <param name="forget">Where this incarnation renewed its own grant: its Grant lets spent documents leave the replicas. Null: they stay.</param>
    /// <returns>When answers may leave, or why not: the worst result of the partitions.</returns>
    /// <exception cref="ShardCloudException">SC6005: a replica is missing or incomplete. SC1004: the epoch was held and has ended.</exception>
    public async Task<GrantResult> BeginTenureAsync(Epoch epoch, GrantCoverage coverage, IReadOnlyList<CarriedState>? carried, CancellationToken cancellation, Forgetting? forget = null)
    {
        var partitions = coverage.Partitions(_options.PartitionCount);
        foreach (var partition in partitions)
            if (!HasReplica(partition)) throw Errors.NoReplica(partition);
        var holdings = partitions.Select(p => LogOf(p).Begin(epoch, coverage.InPartition(p, _options.PartitionCount),
            carried is null ? null : [.. carried.Where(c => PartitionOf(c.Endpoint) == p)], forget?.Partition == p ? forget.To : -1)).ToList();
        var results = await Task.WhenAll(holdings.Select(h => h.Completion.Task)).WaitAsync(cancellation).ConfigureAwait(false);
        return results.Length == 0 ? GrantResult.Held : results.Max();
    }

    /// <summary>How many endpoints held here in a partition are spent, and how many hold something; none where spent documents may not leave the replicas yet.</summary>
    public (int Spent, int Kept) CountSpent(int partition) => _logs.TryGetValue(partition, out var log) && log.MayForget ? log.Under(static t => t.CountSpent()) : default;

    /// <summary>Opens an endpoint for a handler: owned here, admitted, not sealed.</summary>
    public bool TryOpen(EndpointId endpoint, [NotNullWhen(true)] out OwnedEndpoint? owned)
    {
        owned = _logs.TryGetValue(PartitionOf(endpoint), out var log) ? log.Open(endpoint) : null;
        return owned is not null;
    }

    /// <summary>Seals for a handoff: no new handlers, drain, no commits, then the final delta. A repeat with the same id answers the final delta anew.</summary>
    /// <param name="handoff">The attempt; the seal binds only grants older than it.</param>
    /// <param name="scope">What moves.</param>
    /// <param name="destinationPositions">Event Hub partition -> last offset the destination has applied.</param>
    /// <param name="drainHandlers">Waits for running handlers up to the drain budget.</param>
    /// <param name="cancellation">Cancels up to the taking of the final delta; the seal is then lifted.</param>
    /// <exception cref="ShardCloudException">SC4001: not all of it is served here. SC6005: a replica is incomplete.</exception>
    public async Task<FinalDelta> SealAsync(HandoffId handoff, GrantCoverage scope, IReadOnlyDictionary<int, long> destinationPositions,
        Func<CancellationToken, Task> drainHandlers, CancellationToken cancellation)
    {
        var parts = scope.Partitions(_options.PartitionCount).Select(p => (Log: LogOf(p), Scope: scope.InPartition(p, _options.PartitionCount))).ToList();
        try
        {
            foreach (var (log, part) in parts) log.Do(t => t.BeginSeal(handoff, part));
            var unsettled = parts.SelectMany(p => p.Log.Under(t => t.Unsettled(p.Scope))).ToList();
            await Task.WhenAll(unsettled).WaitAsync(cancellation).ConfigureAwait(false);
            await drainHandlers(cancellation).ConfigureAwait(false);
            await Task.WhenAll(parts.SelectMany(p => p.Log.Under(t => t.Unlogged(p.Scope)))).WaitAsync(cancellation).ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
        }
        catch
        {
            foreach (var (log, _) in parts) log.Do(t => t.AbandonSeal(handoff));
            throw;
        }

        // From here a cancelled caller changes nothing: the seal stays until a map newer than the handoff says otherwise (G6).
        return new FinalDelta(handoff, [.. parts.SelectMany(p => p.Log.Under(t => t.CloseSeal(handoff, destinationPositions.GetValueOrDefault(p.Log.Partition, -1))))]);
    }

    /// <summary>The map names this backup for what is owned here in a partition; none: nobody who lives. The commit precedes the call (G9).</summary>
    public void NameBackup(int partition, IncarnationId backup)
    {
        if (_logs.TryGetValue(partition, out var log)) log.Do(t => t.NameBackup(backup));
    }

    /// <summary>Keeps an owner's deltas as its named backup, until the log shows them. The caller has checked that the map names this member, and its lease.</summary>
    /// <exception cref="ShardCloudException">SC4001: refused; the owner's answers wait for the log. SC6005: no complete replica of the partition is here.</exception>
    public void Keep(int partition, IncarnationId owner, BackupBatch batch)
    {
        var log = LogOf(partition);
        if (!log.IsComplete) throw Errors.IncompleteReplica(partition);
        if (batch.Deltas.Any(copy => PartitionOf(copy.Endpoint) != partition) || !log.Under(t => !_keepsNoMore && t.Keep(owner, batch.Deltas))) throw Errors.NotKept(partition);
    }

    /// <summary>From here on owners' deltas are refused: this member is about to leave. What it keeps already it keeps.</summary>
    public void KeepNoMore() => _keepsNoMore = true;

    /// <summary>False after <see cref="KeepNoMore"/>.</summary>
    public bool IsKeeping => !_keepsNoMore;

    /// <summary>Owners of whom this member keeps what they may have answered and the log has not shown. After <see cref="KeepNoMore"/> they only become fewer.</summary>
    public IReadOnlySet<IncarnationId> CopiedOwners => _logs.Values.SelectMany(log => log.Under(static t => t.CopiedOwners.ToArray())).ToHashSet();

    /// <summary>True when this member may end of its own accord: everything that was answered is in the log, or with the backups that are named now.</summary>
    public bool IsHeldElsewhere => _logs.Values.All(log => log.Under(static t => t.IsHeldElsewhere));

    /// <summary>Serves again after a cancelled handoff. The caller has seen a map newer than the handoff that names this incarnation (G6).</summary>
    public void Unseal(HandoffId handoff)
    {
        foreach (var log in _logs.Values) log.Do(t => t.Unseal(handoff));
    }

    /// <summary>Ends the tenure of some endpoints: their unacknowledged writes are dropped (G8), held answers rejected. Convergent ones publish the rest.
    /// Epochs of <paramref name="grantedBefore"/> and later are other tenures and stay.</summary>
    public void EndTenure(GrantCoverage scope, MapVersion grantedBefore, string facts)
    {
        foreach (var partition in scope.Partitions(_options.PartitionCount))
            if (_logs.TryGetValue(partition, out var log)) log.Do(t => t.End(scope.InPartition(partition, _options.PartitionCount), TenureEndReason.Asked, facts, grantedBefore));
    }

    /// <summary>Ends everything this member serves: it was fenced, or leaves. See <see cref="WhenRetiredAsync"/> for what of it convergent endpoints still need.</summary>
    public void EndAllTenures(string facts)
    {
        foreach (var log in _logs.Values)
            foreach (var retired in log.Under(t => t.Leave(facts))) _retired.Add(retired);
    }

    /// <summary>Completes when the log holds all that was written to convergent endpoints here before <see cref="EndAllTenures"/>, and their Retire.</summary>
    /// <exception cref="ShardCloudException">SC6001: it was not appended.</exception>
    public Task WhenRetiredAsync(CancellationToken cancellation) => Task.WhenAll(_retired).WaitAsync(cancellation);

    /// <summary>Writes that an epoch of an owner has ended. Of the owner's own hand it closes the epoch for convergent endpoints; of another's it tells the story.</summary>
    /// <exception cref="ShardCloudException">SC6001: it was not appended.</exception>
    public Task AppendRetireAsync(Epoch epoch, IncarnationId owner, GrantCoverage scope, CancellationToken cancellation) => Task.WhenAll(scope.Partitions(_options.PartitionCount).Select(p =>
        Task.WhenAll(LogOf(p).Under(t => t.Retire(epoch, owner, scope.InPartition(p, _options.PartitionCount)))))).WaitAsync(cancellation);

    /// <summary>Proves that a partition of the log can be written.</summary>
    /// <exception cref="ShardCloudException">SC6001: it was not appended.</exception>
    public Task AppendProbeAsync(int partition, CancellationToken cancellation = default) => LogOf(partition).AppendAsync(LogRecordCodec.EncodeProbe(Self), cancellation);

    /// <summary>Writes a partition's snapshot now.</summary>
    /// <returns>True when it was written; false when the store has one as new, or there is no store.</returns>
    public async Task<bool> WriteSnapshotAsync(int partition, CancellationToken cancellation = default)
    {
        var log = LogOf(partition);
        if (_snapshots is null) return false;
        var snapshot = log.Capture();
        var written = await _snapshots.SaveAsync(snapshot, cancellation).ConfigureAwait(false);
        (log.SnapshotPosition, log.SnapshotAt) = (snapshot.Position, _time.GetTimestamp());
        if (written) _logger.SnapshotWritten(partition, snapshot.Position);
        return written;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        await _snapshotLoop.ConfigureAwait(false);
        await Task.WhenAll(_logs.Values.Select(l => l.DisposeAsync().AsTask())).ConfigureAwait(false);
        _logs.Clear();
        await Control.DisposeAsync().ConfigureAwait(false);
        foreach (var producer in _producers) producer.Dispose();
        _share.Health.Dispose();
        _stopping.Dispose();
    }

    private int PartitionOf(EndpointId endpoint) => endpoint.Slot.PartitionOf(_options.PartitionCount);

    internal PartitionLog LogOf(int partition) => _logs.TryGetValue(partition, out var log) ? log : throw Errors.NoReplica(partition);

    private PartitionReplica Empty(int partition)
    {
        _logger.ReplicaStarts(partition, -1, "log");
        return new PartitionReplica(partition, _options.PartitionCount, _options.LogIdentity);
    }

    /// <summary>State to start from, or to repair with: a peer's, else the newest Blob, none older than an offset; null when there is none. A source that fails is passed over.</summary>
    private async Task<(PartitionReplica? Replica, ReplicaOrigin Origin)> LoadAsync(int partition, Func<CancellationToken, Task<Stream?>>? directStream, long positionMin, CancellationToken cancellation)
    {
        var snapshot = directStream is null ? null : await TryAsync("peer", async () =>
        {
            if (await directStream(cancellation).ConfigureAwait(false) is not { } stream) return null;
            await using (stream.ConfigureAwait(false)) return await PartitionSnapshot.ReadAsync(stream, cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);
        if (snapshot?.Position < positionMin) snapshot = null;
        var origin = snapshot is null ? ReplicaOrigin.Blob : ReplicaOrigin.Peer;
        if (snapshot is null && _snapshots is not null) snapshot = await TryAsync("Blob", () => _snapshots.LoadAsync(partition, (error, name) => _logger.SnapshotDamaged(error.Code, name, error.Message), cancellation)).ConfigureAwait(false);
        if (snapshot is null || snapshot.Position < positionMin) return (null, ReplicaOrigin.Log);
        if (snapshot.LogIdentity != _options.LogIdentity) throw Errors.LogReplaced(_options.LogIdentity, snapshot.LogIdentity);
        if (snapshot.Partition != partition || snapshot.PartitionCount != _options.PartitionCount)
            throw Errors.SnapshotCorrupt($"it is of partition {snapshot.Partition} of {snapshot.PartitionCount}, not {partition} of {_options.PartitionCount}");
        _logger.ReplicaStarts(partition, snapshot.Position, origin is ReplicaOrigin.Peer ? "peer" : "Blob");
        return (PartitionReplica.From(snapshot), origin);

        async Task<PartitionSnapshot?> TryAsync(string from, Func<Task<PartitionSnapshot?>> load)
        {
            try
            {
                return await load().ConfigureAwait(false);
            }
            catch (Exception error) when (error is not OperationCanceledException || !cancellation.IsCancellationRequested)
            {
                _logger.SnapshotUnusable(error, partition, from);
                return null;
            }
        }
    }

    private async Task WriteSnapshotsAsync()
    {
        using var timer = new PeriodicTimer(SnapshotCheck, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stopping.Token).ConfigureAwait(false))
                foreach (var (partition, log) in _logs)
                    if (IsSnapshotDue(log)) await TryWriteSnapshotAsync(partition, log).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The service stops.
        }
    }

    private bool IsSnapshotDue(PartitionLog log)
    {
        var records = log.Position - log.SnapshotPosition;
        if (records <= 0 || !log.IsComplete) return false;

        // Up to a tenth earlier, by chance: the replicas of a partition do not all write at once, and the later ones find a newer Blob.
        var jitter = 1 - (Random.Shared.NextDouble() / 10);
        return records >= _options.SnapshotRecords * jitter || _time.GetElapsedTime(log.SnapshotAt) >= _options.SnapshotInterval * jitter;
    }

    private async Task TryWriteSnapshotAsync(int partition, PartitionLog log)
    {
        try
        {
            await WriteSnapshotAsync(partition, _stopping.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            _logger.SnapshotFailed(error, partition);
            log.SnapshotAt = _time.GetTimestamp(); // Tried again after the interval.
        }
    }

    private void OnEnded(TenureEnded ended)
    {
        _logger.TenureEnded(ended.Partition, ended.Reason, ended.Epoch, ended.Facts);
        TenureEnded?.Invoke(ended);
    }

    private void OnFault(ReplicaFault fault, PartitionLog log)
    {
        if (fault.Record.Length > 0) log.SetAside.Add(fault.Offset, fault.Reason, fault.Record);
        _logger.ReplicaIncomplete(fault.Code, log.Partition, fault.Reason);
        ReplicaIncomplete?.Invoke(log.Partition, fault);
    }
}
