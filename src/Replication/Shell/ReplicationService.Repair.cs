using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>Repair of incomplete replicas, and the comparison of complete ones: docs/protocol/repair.md.</summary>
public sealed partial class ReplicationService
{
    private const int NamesToldMax = 8;

    private static readonly TimeSpan RepairPauseMin = TimeSpan.FromSeconds(1), RepairPauseMax = TimeSpan.FromSeconds(30), ReachBudget = TimeSpan.FromSeconds(10);

    private readonly ExchangeTable _exchanges;

    /// <summary>The replica of a partition was exchanged or completed: what this member owns there needs a new grant. Raised outside all locks.</summary>
    public event Action<int>? ReplicaRepaired;

    /// <summary>Event Hub partitions whose replica here is incomplete: <see cref="EnsureReplicaAsync"/> repairs it.</summary>
    public IReadOnlyList<int> IncompletePartitions => [.. _logs.Where(pair => !pair.Value.IsComplete).Select(pair => pair.Key)];

    /// <summary>Event Hub partitions that are read here and complete.</summary>
    public IReadOnlyList<int> CompletePartitions => [.. _logs.Where(pair => pair.Value.IsComplete).Select(pair => pair.Key)];

    /// <summary>True when the partition is read here, complete or not.</summary>
    public bool Reads(int partition) => _logs.ContainsKey(partition);

    /// <summary>Records of a partition that could not be read here.</summary>
    /// <exception cref="ShardCloudException">SC6005: no replica here.</exception>
    public SetAsideRecords SetAside(int partition) => LogOf(partition).SetAside;

    /// <summary>Answers a message of an exchange that another member asks for.</summary>
    /// <param name="partition">Event Hub partition.</param>
    /// <param name="asker">Who asks, as its token says: one exchange at a time for each.</param>
    /// <param name="message">The message.</param>
    /// <param name="cancellation">The caller left.</param>
    /// <exception cref="ShardCloudException">SC3010: not a message of this version. SC5008: too many at once, or out of turn. SC6003: another log. SC6005: this replica is incomplete, or too far behind.</exception>
    public async Task<byte[]> AnswerExchangeAsync(int partition, string asker, ReadOnlyMemory<byte> message, CancellationToken cancellation)
    {
        var log = LogOf(partition);
        var step = ExchangeAnswerer.StepOf(message.Span);
        if (step == ExchangeStep.Open) await OpenAsync(log, asker, message, cancellation).ConfigureAwait(false);
        if (!_exchanges.TryGet(partition, asker, out var answerer)) throw Errors.NoExchange("it was forgotten");
        byte[] answer;
        IReadOnlyList<PushedState> pushed;
        lock (answerer) (answer, pushed) = (answerer.Answer(message.Span), answerer.TakePushed());
        if (step == ExchangeStep.End) _exchanges.Close(partition, asker);
        if (pushed.Count > 0 && TakeIn(log, pushed, answerer.Position, asker) > 0) ReplicaRepaired?.Invoke(partition);
        return answer;
    }

    /// <summary>Compares this complete replica with a peer's and, where they differ by something that no log explains, makes both their join.</summary>
    /// <returns>What was found; null when the peer could not be asked.</returns>
    /// <exception cref="ShardCloudException">SC6005: this replica is incomplete, or its reader does not come to where the peer stands. SC3010: the peer's answers cannot be read.</exception>
    public async Task<ExchangeReport?> CompareAsync(int partition, ExchangeLink link, CancellationToken cancellation)
    {
        var log = LogOf(partition);
        ExchangeReport? first = null;
        for (var round = 0; round < 2; round++)
        {
            var asker = await ExchangeRun.JoinAsync(MineAt, _options.LogIdentity, log.Capture().Position, whole: round > 0, link, cancellation).ConfigureAwait(false);
            if (asker is null) return first;
            var report = ExchangeRun.ReportOf(asker, asker.Bytes);
            if (report.Differences.Count == 0) return first ?? report;
            var taken = TakeIn(log, [.. asker.Taken.Select(state => new PushedState(state.Endpoint, state.Sequences, Delta.Carrying(state.Document)))], report.Position, "a peer");
            _logger.ReplicasDiffered(ErrorCodes.ReplicasDiffered, partition, report.Position, report.Differences.Count, string.Join(' ', report.Differences.Take(NamesToldMax)), taken, report.Pushed);
            if (taken > 0) ReplicaRepaired?.Invoke(partition);
            first ??= report;
        }
        return first; // The second round was by whole documents; the next comparison proves it.

        async Task<PartitionSnapshot> MineAt(long position)
        {
            using var budget = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            budget.CancelAfter(ReachBudget);
            await log.ReachedAsync(position, budget.Token).ConfigureAwait(false);
            return log.Capture();
        }
    }

    private async Task OpenAsync(PartitionLog log, string asker, ReadOnlyMemory<byte> message, CancellationToken cancellation)
    {
        var (mode, salt, positionMin, identity) = ExchangeAnswerer.ReadOpen(message.Span);
        if (identity != _options.LogIdentity) throw Errors.LogReplaced(_options.LogIdentity, identity);
        if (!log.IsComplete) throw Errors.IncompleteReplica(log.Partition);
        if (!_exchanges.MayOpen(log.Partition, asker)) throw Errors.NoExchange("too many are under way");
        using var budget = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        budget.CancelAfter(ReachBudget);
        try
        {
            await log.ReachedAsync(positionMin, budget.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw Errors.IncompleteReplica(log.Partition);
        }
        _exchanges.Open(log.Partition, asker, new ExchangeAnswerer(log.Capture(), mode, salt));
    }

    private int TakeIn(PartitionLog log, IReadOnlyList<PushedState> states, long asOf, string from) =>
        log.IsComplete ? log.TakeIn(states, asOf, $"{from} held what this replica lacked in {states.Count} endpoints") : 0;

    /// <summary>Steps 2 and 3 of docs/protocol/repair.md. One try; the next one waits, ever longer.</summary>
    private async Task RepairAsync(PartitionLog log, Func<CancellationToken, Task<Stream?>>? directStream, IReadOnlyList<ExchangeLink> links, CancellationToken cancellation)
    {
        var (triedAt, pause) = log.LastRepair;
        if (pause > TimeSpan.Zero && _time.GetElapsedTime(triedAt) < pause) throw Errors.IncompleteReplica(log.Partition);
        log.LastRepair = (_time.GetTimestamp(), pause == TimeSpan.Zero ? RepairPauseMin : pause * 2 < RepairPauseMax ? pause * 2 : RepairPauseMax);

        // (2) State from before the damage would only lead to it again.
        var fault = log.FaultOffset;
        var replica = await AdoptAsync(log, fault, links, cancellation).ConfigureAwait(false) ?? (await LoadAsync(log.Partition, directStream, fault, cancellation).ConfigureAwait(false)).Replica;
        if (replica is null)
        {
            _logger.NotRepaired(ErrorCodes.NoCompletePeer, log.Partition, fault);
            if (log.HasHoldings || log.IsBehindTheLog) throw Errors.NoCompletePeer(log.Partition, fault); // Its sound slots go on being served.

            // Nothing is served on it: what was damaged on its way here, and not in the log, is whole the second time.
            replica = (await LoadAsync(log.Partition, null, positionMin: -1, cancellation).ConfigureAwait(false)).Replica ?? Empty(log.Partition);
        }

        // (3) Exchanged as a whole; (4) whoever owns something here asks for a new grant.
        log.Repair(replica, $"the replica was replaced by complete state of offset {replica.Position}");
        ReplicaRepaired?.Invoke(log.Partition);
    }

    private async Task<PartitionReplica?> AdoptAsync(PartitionLog log, long positionMin, IReadOnlyList<ExchangeLink> links, CancellationToken cancellation)
    {
        foreach (var link in links)
        {
            try
            {
                if (await ExchangeRun.AdoptAsync(log.Freeze(), positionMin, link, cancellation).ConfigureAwait(false) is not { } adopted) continue;
                _logger.Exchanged(log.Partition, adopted.Report.Differences.Count, adopted.Report.Bytes);
                return PartitionReplica.From(adopted.State);
            }
            catch (Exception error) when (error is not OperationCanceledException || !cancellation.IsCancellationRequested)
            {
                _logger.ExchangeFailed(error, log.Partition); // The next peer, or the stream.
            }
        }
        return null;
    }
}
