using System.Collections.Concurrent;
using System.Text.Json;
using Google.Protobuf;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.LocalCloud.Functions.Hub;

/// <summary>How a start of an instance went.</summary>
internal enum StartResult
{
    Started,

    /// <summary>An unfinished instance has this id.</summary>
    Exists,

    /// <summary>This very start was seen before: nothing to do.</summary>
    Repeated,
}

/// <summary>Instances and their work, kept so that the end of the process at any point loses nothing.</summary>
/// <remarks>
/// Normal operation: (1) a turn's history row is written under the next turn number, where nobody reads it yet; (2) one transaction on the
/// instance's partition of the Work table replaces the head row (If-Match) with that number and, with it, removes the messages the turn
/// consumed and adds the activities, timers and outgoing messages it made; (3) the client's view is written; (4) outgoing messages are
/// delivered to their receivers' partitions and then removed.
/// Crash before 2: the turn never was; its messages are still there. After 2: everything that remains to be done is in the partition, and
/// <see cref="LoadAsync"/> finds it. Changes too large for one transaction are stored beside it as a plan; the transaction names the plan,
/// and whoever finds the name carries it out before anything else.
/// Not guaranteed: exactly-once. An activity may run again, and a message to another instance may arrive again, after a crash between two
/// steps. One host per hub: a second one is refused by the head's ETag at its first change of the same instance.
/// </remarks>
internal sealed class TaskHub(HubTables tables, TimeProvider time)
{
    private const string HeadKey = "head", StateKey = "state";

    /// <summary>Starts of one id must not overlap; ids that share a stripe only wait for each other.</summary>
    private readonly SemaphoreSlim[] _starts = [.. Enumerable.Range(0, 64).Select(_ => new SemaphoreSlim(1))];
    private readonly ConcurrentDictionary<string, InstanceWork> _unfinished = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, TaskCompletionSource> _changes = new(StringComparer.Ordinal);

    /// <summary>Unfinished instances (and those whose end is still being tidied up).</summary>
    public IEnumerable<InstanceWork> Unfinished => _unfinished.Values;

    public InstanceWork? Find(string instanceId) => _unfinished.GetValueOrDefault(instanceId);

    /// <summary>Makes the tables where they lack and reads all unfinished work.</summary>
    public async Task LoadAsync(CancellationToken cancellationToken)
    {
        await tables.CreateAsync(cancellationToken).ConfigureAwait(false);
        List<HubRow> partition = [];
        await foreach (var row in Pieces.JoinAsync(tables.ReadAsync(HubTable.Work, null, cancellationToken: cancellationToken)).ConfigureAwait(false))
        {
            if (partition.Count > 0 && partition[0].Partition != row.Partition)
            {
                await AdoptAsync(partition, cancellationToken).ConfigureAwait(false);
                partition = [];
            }

            partition.Add(row);
        }

        if (partition.Count > 0) await AdoptAsync(partition, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Starts an instance; a finished one of the same id is replaced.</summary>
    public async Task<StartResult> StartAsync(HistoryEvent start, CancellationToken cancellationToken)
    {
        var (instanceId, executionId) = (start.ExecutionStarted.OrchestrationInstance.InstanceId, start.ExecutionStarted.OrchestrationInstance.ExecutionId);
        var stripe = _starts[(uint)instanceId.GetHashCode(StringComparison.Ordinal) % _starts.Length];
        await stripe.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (Find(instanceId) is { } present)
            {
                if (present.Head.ExecutionId == executionId) return StartResult.Repeated;
                if (!present.Head.IsFinished) return StartResult.Exists;
                await GoneAsync(present, cancellationToken).ConfigureAwait(false);
            }

            if (await GetAsync(instanceId, cancellationToken).ConfigureAwait(false) is { } old)
            {
                if (old.ExecutionId == executionId) return StartResult.Repeated;
                await RemoveHistoryAsync(instanceId, "", cancellationToken).ConfigureAwait(false);
            }

            var now = Now();
            var work = new InstanceWork(instanceId, new Head(executionId, 0, 0, OrchestrationStatus.Pending, null, now, now), etag: null) { History = [] };
            _unfinished[instanceId] = work;
            try
            {
                await ChangeAsync(work, h => h, c => c.Receive(start), cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                // In doubt, or taken by someone we do not know of: the tables decide.
                _unfinished.TryRemove(instanceId, out _);
                await AdoptAsync(instanceId, cancellationToken).ConfigureAwait(false);
                if (e is not HubConflictException || Find(instanceId) is not { } found) throw;
                return found.Head.ExecutionId == executionId ? StartResult.Repeated : StartResult.Exists;
            }

            await ProjectAsync(work, cancellationToken).ConfigureAwait(false);
            return StartResult.Started;
        }
        finally
        {
            stripe.Release();
        }
    }

    /// <summary>Adds a message to an unfinished instance; false when there is none.</summary>
    public async Task<bool> ReceiveAsync(string instanceId, HistoryEvent message, CancellationToken cancellationToken) =>
        Find(instanceId) is { } work && await ChangeAsync(work, h => h, c => c.Receive(message), cancellationToken).ConfigureAwait(false);

    /// <summary>Replaces an activity by its result, in one step. False: it is no longer wanted.</summary>
    public Task<bool> EndActivityAsync(InstanceWork work, PendingActivity activity, HistoryEvent result, CancellationToken cancellationToken) =>
        ChangeAsync(work, h => work.Activities.ContainsKey(activity.Key) ? h : null, c =>
        {
            c.Remove(work.Activities, activity.Key, ActivityBytes(activity).Length);
            c.Receive(result);
        }, cancellationToken);

    /// <summary>Replaces a timer by its event, in one step. False: it is no longer wanted.</summary>
    public Task<bool> FireTimerAsync(InstanceWork work, PendingTimer timer, CancellationToken cancellationToken) =>
        ChangeAsync(work, h => work.Timers.ContainsKey(timer.Key) ? h : null, c =>
        {
            c.Remove(work.Timers, timer.Key, 0);
            c.Receive(TurnOutcome.At(Now(), new HistoryEvent
            {
                TimerFired = new() { TimerId = timer.Id, FireAt = Google.Protobuf.WellKnownTypes.Timestamp.FromDateTime(timer.FireAt) },
            }));
        }, cancellationToken);

    /// <summary>Forgets an outgoing message that was delivered.</summary>
    public Task<bool> DeliveredAsync(InstanceWork work, Outgoing message, CancellationToken cancellationToken) =>
        ChangeAsync(work, h => work.Outbox.ContainsKey(message.Key) ? h : null, c => c.Remove(work.Outbox, message.Key, OutgoingBytes(message).Length), cancellationToken, evenFinished: true);

    /// <summary>The messages that the next turn is to take, in order; empty when there are none or the instance has ended.</summary>
    public async Task<IReadOnlyList<KeyValuePair<string, HistoryEvent>>> InboxAsync(InstanceWork work, CancellationToken cancellationToken)
    {
        await work.Gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (work.IsStale && !await ReloadAsync(work, cancellationToken).ConfigureAwait(false)) return [];
            if (work.Head.IsFinished) return [];
            await HistoryAsync(work, cancellationToken).ConfigureAwait(false);
            return [.. work.Inbox];
        }
        finally
        {
            work.Gate.Release();
        }
    }

    /// <summary>Steps 1 and 2: makes a turn's outcome the truth. What it scheduled may run from here on; clients see it after <see cref="ProjectAsync"/>.</summary>
    public async Task CommitTurnAsync(InstanceWork work, IReadOnlyList<string> consumed, TurnOutcome outcome, CancellationToken cancellationToken)
    {
        var history = await HistoryAsync(work, cancellationToken).ConfigureAwait(false);
        var continues = outcome.NextExecutionId is not null;
        var before = work.Head.ExecutionId;
        if (!continues)
        {
            var row = new OrchestratorRequest();
            row.PastEvents.Add(outcome.History);
            await WriteAllAsync(
                HubTable.History, work.Id, [.. Pieces.Split(HubWriteKind.Put, HistoryKey(work.Head), row.ToByteArray())], cancellationToken).ConfigureAwait(false);
        }

        await ChangeAsync(
            work,
            head => head with
            {
                ExecutionId = outcome.NextExecutionId ?? head.ExecutionId,
                Turns = continues ? 0 : head.Turns + 1,
                Status = outcome.Status,
                CustomStatus = outcome.CustomStatus,
            },
            change =>
            {
                foreach (var key in consumed) change.Remove(work.Inbox, key, work.Inbox[key].CalculateSize());
                if (continues || outcome.Completed is not null) change.DropOpenWork(keepInbox: continues);
                if (outcome.Completed is null && !continues)
                {
                    foreach (var activity in outcome.Activities) change.Add(work.Activities, activity.Key, activity, ActivityBytes(activity));
                    foreach (var timer in outcome.Timers) change.Add(work.Timers, timer.Key, timer, JsonSerializer.SerializeToUtf8Bytes(timer));
                }

                foreach (var message in outcome.NextGeneration) change.Receive(message, carried: true);
                if (outcome.Completed is null)
                    foreach (var message in outcome.ToSelf) change.Receive(message);
                foreach (var message in outcome.Outgoing) change.Send(message);
                change.Then(() =>
                {
                    if (continues) history.Clear();
                    else history.AddRange(outcome.History);
                    work.Completed = outcome.Completed;
                });
            },
            cancellationToken).ConfigureAwait(false);
        if (continues) await RemoveHistoryAsync(work.Id, before + "|", cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Removes what is left of a finished instance's work, once its messages are out.</summary>
    public async Task TidyAsync(InstanceWork work, CancellationToken cancellationToken)
    {
        if (!work.Head.IsFinished || work.Outbox.Count > 0) return;
        await work.Gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (Find(work.Id) != work) return; // Tidied before, and the head may be that of its successor: a timer that was left over wakes an instance long after its end.
            await tables.RemoveAsync(HubTable.Work, work.Id, [HeadKey], cancellationToken).ConfigureAwait(false);
            _unfinished.TryRemove(new KeyValuePair<string, InstanceWork>(work.Id, work));
        }
        finally
        {
            work.Gate.Release();
        }

        Signal(work.Id);
    }

    /// <summary>The committed events of the instance's generation.</summary>
    public async Task<List<HistoryEvent>> HistoryAsync(InstanceWork work, CancellationToken cancellationToken)
    {
        if (work.History is { } known) return known;
        List<HistoryEvent> events = [];
        var turn = 0;
        await foreach (var row in Pieces.JoinAsync(tables.ReadAsync(HubTable.History, work.Id, work.Head.ExecutionId + "|", cancellationToken)).ConfigureAwait(false))
        {
            if (turn++ >= work.Head.Turns) break; // written for a turn that was never committed
            events.AddRange(OrchestratorRequest.Parser.ParseFrom(row.Data).PastEvents);
        }

        return work.History = events;
    }

    /// <summary>What clients see of an instance; null when there is none.</summary>
    public async Task<OrchestrationState?> GetAsync(string instanceId, CancellationToken cancellationToken)
    {
        await foreach (var row in Pieces.JoinAsync(tables.ReadAsync(HubTable.Instances, instanceId, cancellationToken: cancellationToken)).ConfigureAwait(false))
            return OrchestrationState.Parser.ParseFrom(row.Data);
        return null;
    }

    public async IAsyncEnumerable<OrchestrationState> AllAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var row in Pieces.JoinAsync(tables.ReadAsync(HubTable.Instances, null, cancellationToken: cancellationToken)).ConfigureAwait(false))
            yield return OrchestrationState.Parser.ParseFrom(row.Data);
    }

    /// <summary>Completes at the next change of an instance. Ask before reading the state, or a change in between is missed.</summary>
    public Task NextChange(string instanceId) =>
        _changes.GetOrAdd(instanceId, static _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    /// <summary>Removes a finished instance; false when there is none, or it is not finished.</summary>
    public async Task<bool> PurgeAsync(string instanceId, CancellationToken cancellationToken)
    {
        if (Find(instanceId) is { } work)
        {
            if (!work.Head.IsFinished) return false;
            await GoneAsync(work, cancellationToken).ConfigureAwait(false);
        }

        List<string> keys = [];
        await foreach (var row in tables.ReadAsync(HubTable.Instances, instanceId, cancellationToken: cancellationToken).ConfigureAwait(false)) keys.Add(row.Key);
        if (keys.Count == 0) return false;
        await RemoveHistoryAsync(instanceId, "", cancellationToken).ConfigureAwait(false);
        await tables.RemoveAsync(HubTable.Instances, instanceId, keys, cancellationToken).ConfigureAwait(false);
        Signal(instanceId);
        return true;
    }

    public DateTime Now() => time.GetUtcNow().UtcDateTime;

    private async Task GoneAsync(InstanceWork work, CancellationToken cancellationToken)
    {
        while (true)
        {
            var change = NextChange(work.Id);
            if (Find(work.Id) != work) return;
            await change.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private void Signal(string instanceId)
    {
        if (_changes.TryRemove(instanceId, out var waiting)) waiting.TrySetResult();
    }

    // ---- changes of a partition

    /// <summary>One change: the head and the rows around it, in the tables first, then in memory.</summary>
    /// <param name="work">The instance.</param>
    /// <param name="next">The new head from the old one; null: the change is no longer wanted.</param>
    /// <param name="describe">Adds the rows.</param>
    /// <param name="cancellationToken">Gives up before the change is made; not after.</param>
    /// <param name="evenFinished">True: also for an instance that has ended.</param>
    private async Task<bool> ChangeAsync(
        InstanceWork work, Func<Head, Head?> next, Action<PartitionChange> describe, CancellationToken cancellationToken, bool evenFinished = false)
    {
        await work.Gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (work.IsStale && !await ReloadAsync(work, cancellationToken).ConfigureAwait(false)) return false;
            if ((work.Head.IsFinished && !evenFinished) || next(work.Head) is not { } head) return false;
            var change = new PartitionChange(work);
            describe(change);
            head = head with { NextSequence = change.NextSequence, UpdatedAt = Now() };
            // From here on the change is made whatever happens to the caller: half a change in memory would not match the tables.
            work.IsStale = true;
            await ApplyAsync(work, head, change.Writes).ConfigureAwait(false);
            change.Commit();
            work.IsStale = false;
            return true;
        }
        finally
        {
            work.Gate.Release();
        }
    }

    private async Task ApplyAsync(InstanceWork work, Head head, IReadOnlyList<HubWrite> writes)
    {
        var fits = writes.Count < HubTables.TransactionWritesMax && writes.Sum(w => (long)w.Data.Length) < HubTables.TransactionBytesMax;
        if (fits)
        {
            work.ETag = await tables.WriteAsync(HubTable.Work, work.Id, [HeadWrite(head, work.ETag), .. writes]).ConfigureAwait(false);
            work.Head = head;
            return;
        }

        var plan = $"plan|{Guid.NewGuid():N}";
        await WriteAllAsync(
            HubTable.History, work.Id, [.. Pieces.Split(HubWriteKind.Put, plan, JsonSerializer.SerializeToUtf8Bytes(writes))], CancellationToken.None).ConfigureAwait(false);
        work.ETag = await tables.WriteAsync(HubTable.Work, work.Id, [HeadWrite(head with { Plan = plan }, work.ETag)]).ConfigureAwait(false);
        work.Head = head with { Plan = plan };
        await CarryOutAsync(work, writes).ConfigureAwait(false);
    }

    /// <summary>Makes the writes of a plan, each of which may have been made before, and forgets the plan.</summary>
    private async Task CarryOutAsync(InstanceWork work, IReadOnlyList<HubWrite> writes)
    {
        await WriteAllAsync(HubTable.Work, work.Id, [.. writes.Where(w => w.Kind != HubWriteKind.Delete)], CancellationToken.None).ConfigureAwait(false);
        await tables.RemoveAsync(HubTable.Work, work.Id, [.. writes.Where(w => w.Kind == HubWriteKind.Delete).Select(w => w.Key)]).ConfigureAwait(false);
        var plan = work.Head.Plan!;
        var head = work.Head with { Plan = null };
        work.ETag = await tables.WriteAsync(HubTable.Work, work.Id, [HeadWrite(head, work.ETag)]).ConfigureAwait(false);
        work.Head = head;
        await RemoveHistoryAsync(work.Id, plan, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Any number of puts, in as many transactions as they need.</summary>
    private async Task WriteAllAsync(HubTable table, string partition, IReadOnlyList<HubWrite> puts, CancellationToken cancellationToken)
    {
        List<HubWrite> batch = [];
        long bytes = 0;
        foreach (var put in puts)
        {
            if (batch.Count == HubTables.TransactionWritesMax || (batch.Count > 0 && bytes + put.Data.Length > HubTables.TransactionBytesMax))
            {
                await tables.WriteAsync(table, partition, batch, cancellationToken).ConfigureAwait(false);
                (batch, bytes) = ([], 0);
            }

            batch.Add(put);
            bytes += put.Data.Length;
        }

        if (batch.Count > 0) await tables.WriteAsync(table, partition, batch, cancellationToken).ConfigureAwait(false);
    }

    private async Task RemoveHistoryAsync(string instanceId, string keyPrefix, CancellationToken cancellationToken)
    {
        List<string> keys = [];
        await foreach (var row in tables.ReadAsync(HubTable.History, instanceId, keyPrefix, cancellationToken).ConfigureAwait(false)) keys.Add(row.Key);
        await tables.RemoveAsync(HubTable.History, instanceId, keys, cancellationToken).ConfigureAwait(false);
    }

    private async Task AdoptAsync(string instanceId, CancellationToken cancellationToken)
    {
        List<HubRow> rows = [];
        await foreach (var row in Pieces.JoinAsync(tables.ReadAsync(HubTable.Work, instanceId, cancellationToken: cancellationToken)).ConfigureAwait(false)) rows.Add(row);
        if (rows.Count > 0) await AdoptAsync(rows, cancellationToken).ConfigureAwait(false);
    }

    private async Task AdoptAsync(List<HubRow> rows, CancellationToken cancellationToken)
    {
        var id = rows[0].Partition;
        if (rows.Find(r => r.Key == HeadKey) is not { } headRow) return; // rows without a head belong to nobody: the head goes last
        var work = new InstanceWork(id, JsonSerializer.Deserialize<Head>(headRow.Data)!, headRow.ETag);
        await FillAsync(work, rows, cancellationToken).ConfigureAwait(false);
        await RemoveHistoryAsync(id, "plan|", cancellationToken).ConfigureAwait(false); // plans whose transaction never came
        _unfinished[id] = work;
        await ProjectAsync(work, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads the partition again after a write whose outcome is not known. False: the instance is gone.</summary>
    private async Task<bool> ReloadAsync(InstanceWork work, CancellationToken cancellationToken)
    {
        List<HubRow> rows = [];
        await foreach (var row in Pieces.JoinAsync(tables.ReadAsync(HubTable.Work, work.Id, cancellationToken: cancellationToken)).ConfigureAwait(false)) rows.Add(row);
        if (rows.Find(r => r.Key == HeadKey) is not { } head)
        {
            _unfinished.TryRemove(new KeyValuePair<string, InstanceWork>(work.Id, work));
            return false;
        }

        (work.Head, work.ETag, work.History) = (JsonSerializer.Deserialize<Head>(head.Data)!, head.ETag, null);
        await FillAsync(work, rows, cancellationToken).ConfigureAwait(false);
        work.IsStale = false;
        return true;
    }

    private async Task FillAsync(InstanceWork work, List<HubRow> rows, CancellationToken cancellationToken)
    {
        if (work.Head.Plan is { } plan)
        {
            await foreach (var row in Pieces.JoinAsync(tables.ReadAsync(HubTable.History, work.Id, plan, cancellationToken)).ConfigureAwait(false))
                await CarryOutAsync(work, JsonSerializer.Deserialize<List<HubWrite>>(row.Data)!).ConfigureAwait(false);
            rows = [];
            await foreach (var row in Pieces.JoinAsync(tables.ReadAsync(HubTable.Work, work.Id, cancellationToken: cancellationToken)).ConfigureAwait(false)) rows.Add(row);
        }

        work.Inbox.Clear();
        work.Activities.Clear();
        work.Timers.Clear();
        work.Outbox.Clear();
        foreach (var row in rows)
        {
            if (row.Key.StartsWith("in|", StringComparison.Ordinal)) work.Inbox[row.Key] = HistoryEvent.Parser.ParseFrom(row.Data);
            else if (row.Key.StartsWith("act|", StringComparison.Ordinal)) work.Activities[row.Key] = JsonSerializer.Deserialize<PendingActivity>(row.Data)!;
            else if (row.Key.StartsWith("tim|", StringComparison.Ordinal)) work.Timers[row.Key] = JsonSerializer.Deserialize<PendingTimer>(row.Data)!;
            else if (row.Key.StartsWith("out|", StringComparison.Ordinal)) work.Outbox[row.Key] = JsonSerializer.Deserialize<Outgoing>(row.Data)!;
        }

        var history = await HistoryAsync(work, cancellationToken).ConfigureAwait(false);
        work.Completed = history.LastOrDefault(e => e.ExecutionCompleted is not null);
    }

    /// <summary>Step 3: writes the clients' view, from head and history alone, so that it can be made again at any time.</summary>
    public async Task ProjectAsync(InstanceWork work, CancellationToken cancellationToken)
    {
        await HistoryAsync(work, cancellationToken).ConfigureAwait(false);
        await work.Gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (Find(work.Id) != work || work.Started?.ExecutionStarted is not { } started) return; // What was replaced would hide its successor.
            var state = View(work, started);
            await WriteAllAsync(HubTable.Instances, work.Id, [.. Pieces.Split(HubWriteKind.Put, StateKey, state.ToByteArray())], cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            work.Gate.Release();
        }

        Signal(work.Id);
    }

    private static OrchestrationState View(InstanceWork work, ExecutionStartedEvent started) => new()
    {
        InstanceId = work.Id,
        Name = started.Name,
        Version = started.Version,
        OrchestrationStatus = work.Head.Status,
        CreatedTimestamp = Google.Protobuf.WellKnownTypes.Timestamp.FromDateTime(work.Head.CreatedAt),
        LastUpdatedTimestamp = Google.Protobuf.WellKnownTypes.Timestamp.FromDateTime(work.Head.UpdatedAt),
        CompletedTimestamp = work.Completed?.Timestamp,
        Input = started.Input,
        Output = work.Completed?.ExecutionCompleted.Result,
        CustomStatus = work.Head.CustomStatus,
        FailureDetails = work.Completed?.ExecutionCompleted.FailureDetails,
        ExecutionId = work.Head.ExecutionId,
        ParentInstanceId = started.ParentInstance?.OrchestrationInstance?.InstanceId,
    };

    private static string HistoryKey(Head head) => $"{head.ExecutionId}|{head.Turns:D8}";

    private static HubWrite HeadWrite(Head head, string? etag)
    {
        var data = new byte[] { 0 }.Concat(JsonSerializer.SerializeToUtf8Bytes(head)).ToArray(); // one piece: a head is small
        return new HubWrite(etag is null ? HubWriteKind.Insert : HubWriteKind.Replace, HeadKey, data, etag);
    }

    internal static byte[] ActivityBytes(PendingActivity activity) => JsonSerializer.SerializeToUtf8Bytes(activity);

    internal static byte[] OutgoingBytes(Outgoing message) => JsonSerializer.SerializeToUtf8Bytes(message);
}
