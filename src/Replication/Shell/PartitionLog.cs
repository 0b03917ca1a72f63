using System.Diagnostics;
using Confluent.Kafka;
using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>What a replica was made of.</summary>
public enum ReplicaOrigin
{
    /// <summary>The log from its start.</summary>
    Log,

    /// <summary>A snapshot in the Blob, and the log after it.</summary>
    Blob,

    /// <summary>Another member's accepted layer, and the log after it.</summary>
    Peer,
}

/// <summary>Shell around one Event Hub partition's cores: its consumer, its share of the producer, and the one lock through which everything passes.</summary>
/// <remarks>
/// Commits, seals, applied records and produce acks take the same lock, so they exclude each other (G10). Waiters and listeners run after it was let go.
/// The consumer has a thread of its own, because the client's poll blocks; it ends with <see cref="DisposeAsync"/>.
/// </remarks>
internal sealed class PartitionLog : IAsyncDisposable
{
    private static readonly TimeSpan PollTimeout = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan QueryTimeout = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private readonly LogShare _share;
    private readonly LogProducer _producer;
    private readonly IConsumer<Ignore, byte[]> _consumer;
    private readonly TopicPartition _at;
    private readonly Tenure _tenure;
    private readonly List<(long Offset, TaskCompletionSource Reached)> _readers = [];
    private readonly Thread _thread;
    private readonly BackupSender? _backup;
    private readonly AppendPlace _place;
    private readonly TracedDeltas _traced = new();
    private readonly Episode _refusing;
    private volatile bool _refuses;
    private long _levelAt; // When the replica was last level with the end it knows of.
    private double _recordBytes; // Of a record, mean of those read lately.
    private long _waitingBytes, _waitingDeltas; // As of the last step; read without the lock.
    private readonly ReadBarrier _barrier;
    private volatile bool _stopping;
    private readonly WakeUp _repaired = new();
    private volatile bool _lost; // The reader stands still until a repair.
    private long _rejectedBefore; // By replicas that a repair replaced: counters do not go back.
    private long? _seek; // Where the consumer has to go after a repair; what it delivers before that is of the replica that was replaced.

    public PartitionLog(PartitionReplica replica, LogShare share, LogProducer producer)
    {
        (_share, _producer) = (share, producer);
        var options = share.Options;
        _at = new TopicPartition(options.Hub, new Partition(replica.Partition));
        _tenure = new Tenure(replica, share.Self, options.Ack, share.LeaseValid, options.BatchBytesMax, options.QueueBytesMax, templates: share.Templates, reads: options.Reads)
        {
            OnEnded = share.OnEnded,
            OnFault = fault => share.OnFault(fault, this),
            OnAccepted = share.OnAccepted,
        };
        _refusing = new Episode(share.Time);
        _levelAt = share.Time.GetTimestamp();
        _place = new AppendPlace(share.Budget, share.Time, () => Do(static _ => { }));
        SnapshotPosition = replica.Position;
        _consumer = share.Clients.Consumer(AutoOffsetReset.Error, share.Health.Error);
        _consumer.Assign(new TopicPartitionOffset(_at, new Offset(replica.Position + 1)));
        _barrier = new ReadBarrier(ReadToAProbeAsync);
        if (options.Ack == AckMode.Replica && share.ToBackup is not null) _backup = new BackupSender(this, share.ToBackup, share.Time, share.Logger);
        _thread = new Thread(Read) { IsBackground = true, Name = $"log {replica.Partition}" };
        _thread.Start();
    }

    public int Partition => _at.Partition.Value;

    /// <summary>What it was made of; repairs do not change it.</summary>
    public ReplicaOrigin Origin { get; init; }

    public AnswerRelease Release => _tenure.Release;

    public long Position => Under(static t => t.Replica.Position);

    public bool IsComplete => !_lost && Under(static t => t.Replica.IsComplete);

    /// <summary>The log no longer holds the next record: reading it again cannot help.</summary>
    public bool IsBehindTheLog { get; private set; }

    /// <summary>State that repairs this replica stands at this offset or later.</summary>
    public long FaultOffset => Under(static t => t.Replica.FaultOffset);

    /// <summary>Records that could not be read.</summary>
    public SetAsideRecords SetAside { get; } = new();

    /// <summary>When a repair was tried last, and how long the next try waits from then; zero after one that succeeded.</summary>
    public (long At, TimeSpan Pause) LastRepair { get; set; }

    /// <summary>Something was committed that the log has not accepted yet.</summary>
    public bool IsWaiting => Volatile.Read(ref _waitingDeltas) > 0;

    public bool HasHoldings => Under(static t => t.Holdings.Count > 0);

    /// <summary>Position of the newest snapshot this member wrote or started from, and when.</summary>
    public long SnapshotPosition { get; set; }

    public long SnapshotAt { get; set; }

    /// <summary>Records in the log that were not read yet, as of the last fetch.</summary>
    public long Lag => Math.Max(0, _consumer.GetWatermarkOffsets(_at).High.Value - 1 - Position);

    /// <summary>For the instruments.</summary>
    public PartitionReading Reading
    {
        get
        {
            var lag = Lag;
            var rejected = Under(t => _rejectedBefore + t.Replica.RejectedItems);
            return new PartitionReading(Partition, lag, lag * _recordBytes, lag == 0 ? TimeSpan.Zero : _share.Time.GetElapsedTime(Volatile.Read(ref _levelAt)), SetAside.Count, rejected);
        }
    }

    public Task<long> QueryEndAsync() => Task.Run(() =>
    {
        try
        {
            return _consumer.QueryWatermarkOffsets(_at, QueryTimeout).High.Value;
        }
        catch (KafkaException error)
        {
            throw new ShardCloudException(ErrorCodes.StoreUnavailable, $"The end of Event Hub partition {Partition} cannot be read: {error.Error.Reason}.", "Check the log's address and that the hub exists.", error);
        }
    });

    /// <summary>Completes when the record at the offset has been read.</summary>
    public Task ReachedAsync(long offset, CancellationToken cancellation)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_tenure.Replica.Position >= offset) return Task.CompletedTask;
            if (_lost) throw Gone();
            _readers.Add((offset, reached));
        }
        return cancellation.CanBeCanceled ? WaitAsync() : reached.Task;

        async Task WaitAsync()
        {
            try
            {
                await reached.Task.WaitAsync(cancellation).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                lock (_gate) _readers.RemoveAll(reader => reader.Reached == reached); // Nothing may follow in the log for long.
                throw;
            }
        }
    }

    public PartitionSnapshot Capture() => Under(static t => t.Replica.Capture());

    public IReadOnlyList<EndpointId> Where(Func<EndpointId, OrMap, bool> picks, int most) => Under(t => t.Replica.Where(picks).Take(most).ToList());

    public Document Accepted(EndpointId endpoint) => Under(t => t.Replica.Accepted(endpoint));

    public Holding Begin(Epoch epoch, GrantCoverage coverage, IReadOnlyList<CarriedState>? carried, long forgetTo) =>
        Under(t => t.Begin(epoch, coverage, carried, MayForget ? forgetTo : -1));

    /// <summary>Spent documents of what is held here may leave the replicas by a new Grant: every reader knows how, and nothing was answered on the backup's word alone.</summary>
    public bool MayForget => CloudLevel.MayWrite(LogRecordCodec.ForgettingLevel, _share.Level?.Invoke() ?? 1) && _share.Options.Ack != AckMode.Replica;

    public OwnedEndpoint? Open(EndpointId endpoint)
    {
        lock (_gate)
        {
            if (_tenure.Open(endpoint) is not { } state) return null;
            return (OwnedEndpoint)(state.Facade ??= new OwnedEndpoint(state, this));
        }
    }

    public DocumentTransaction BeginTransaction(OwnedState state)
    {
        // Document and next sequence must be of one moment.
        lock (_gate) return new DocumentTransaction(state.Current, state.Holding.Epoch, state.NextSequence);
    }

    public Task<bool> NextChange(OwnedState state)
    {
        lock (_gate) return _tenure.NextChange(state);
    }

    public CommitOutcome TryCommit(OwnedState state, DocumentTransaction transaction, out ReleaseToken token)
    {
        token = default;
        if (transaction.HasChanges) CheckRoom();

        // Encoded before the lock: only cheap work inside it.
        var delta = transaction.Commit(out var next, out _);
        var encoded = delta.IssuedCount == 0 ? [] : DocumentCodec.ToBytes(delta);
        var trace = LogTraces.Current;
        var (outcome, seen) = Under(t =>
        {
            var result = t.Commit(state, delta, next, encoded);
            if (result != CommitOutcome.Committed) return (result, default);
            if (delta.IssuedCount == 0) return (result, t.Release.ForRead(state));
            if (trace is { } recorded) _traced.Add(state, delta.LastSequence, recorded);
            return (result, AnswerRelease.ForWrite(state));
        });
        token = seen;
        if (outcome == CommitOutcome.Committed && delta.IssuedCount > 0) _share.Metrics.Committed(encoded.Length, next.EncodedSize);
        return outcome;
    }

    /// <summary>Slow log, slow answers; past the bound nothing more is taken in. As of the last step: writes that commit at the same time may pass it together.</summary>
    /// <exception cref="ShardCloudException">SC4011.</exception>
    private void CheckRoom()
    {
        var (bytes, deltas) = (Volatile.Read(ref _waitingBytes), Volatile.Read(ref _waitingDeltas));
        var full = bytes > _share.Options.QueueBytesMax || deltas > _share.Options.QueueDeltasMax ? Errors.QueueFull($"Event Hub partition {Partition}", bytes, deltas)
            : _share.Backlog.IsFull ? Errors.QueueFull("this member", _share.Backlog.Bytes, _share.Backlog.Deltas) : null;
        if (full is null)
        {
            if (_refuses) TakeAgain();
            return;
        }
        _share.Metrics.Refused();
        _refuses = true;
        if (_refusing.Begins()) _share.Logger.Refusing(full.Message);
        throw full;
    }

    private void TakeAgain()
    {
        _refuses = false;
        if (_refusing.Ends(out var refused, out var lasted)) _share.Logger.TakingAgain(refused, lasted.TotalSeconds);
    }

    public ValueTask<ReleaseOutcome> WhenReleasedAsync(ReleaseToken token, CancellationToken cancellation) =>
        token.AwaitsLog ? WhenReadConfirmedAsync(token, cancellation) : WhenDecidedAsync(token, cancellation);

    private async ValueTask<ReleaseOutcome> WhenReadConfirmedAsync(ReleaseToken token, CancellationToken cancellation)
    {
        try
        {
            await _barrier.PassAsync().WaitAsync(cancellation).ConfigureAwait(false);
        }
        catch (ShardCloudException)
        {
            return ReleaseOutcome.Rejected; // The log did not take the probe or cannot be read: what is held here ends with it.
        }
        return await WhenDecidedAsync(token, cancellation).ConfigureAwait(false);
    }

    private async Task ReadToAProbeAsync()
    {
        var offset = await AppendAsync(LogRecordCodec.EncodeProbe(_share.Self), CancellationToken.None).ConfigureAwait(false);
        await ReachedAsync(offset, CancellationToken.None).ConfigureAwait(false);
    }

    private ValueTask<ReleaseOutcome> WhenDecidedAsync(ReleaseToken token, CancellationToken cancellation)
    {
        ValueTask<ReleaseOutcome> released;
        lock (_gate) released = _tenure.WaitAsync(token);
        return released.IsCompleted || !cancellation.CanBeCanceled ? released : new ValueTask<ReleaseOutcome>(released.AsTask().WaitAsync(cancellation));
    }

    public void Do(Action<Tenure> action) => Under(t =>
    {
        action(t);
        return true;
    });

    /// <summary>Appends a record of its own and waits for the log's ack.</summary>
    /// <returns>Where it lies.</returns>
    public async Task<long> AppendAsync(byte[] record, CancellationToken cancellation)
    {
        var appended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var own = new OutRecord(record) { Appended = appended };
        Do(t => t.Append(own));
        await appended.Task.WaitAsync(cancellation).ConfigureAwait(false);
        return own.Offset;
    }

    public async ValueTask DisposeAsync()
    {
        _stopping = true;
        if (_backup is not null) await _backup.DisposeAsync().ConfigureAwait(false);
        await Task.Run(_thread.Join).ConfigureAwait(false);
        Do(static t => t.EndAll(TenureEndReason.Asked, "the replica was closed"));
        FailReaders();
        lock (_gate) _share.Backlog.Add(-_waitingBytes, -_waitingDeltas);
        _place.Dispose();
        _consumer.Close();
        _consumer.Dispose();
    }

    /// <summary>What it holds now, vouched for or not.</summary>
    public PartitionSnapshot Freeze() => Under(static t => t.Replica.Freeze());

    /// <summary>Joins states of a complete peer into this complete replica. If that changes anything, what was held here ends: it rested on less.</summary>
    /// <returns>How many endpoints changed.</returns>
    public int TakeIn(IEnumerable<PushedState> states, long asOf, string facts) => Under(t =>
    {
        var changed = states.Count(state => t.Replica.TakeIn(state.Endpoint, state.Sequences, state.Delta.Changes, asOf));
        if (changed > 0) t.EndAll(TenureEndReason.Repaired, facts);
        return changed;
    });

    /// <summary>Puts complete state in the place of the replica and reads on from there. What was held on the old one ends; what is kept for other owners stays.</summary>
    public void Repair(PartitionReplica replica, string facts)
    {
        Do(t =>
        {
            t.EndAll(TenureEndReason.Repaired, facts);
            _rejectedBefore += t.Replica.RejectedItems;
            t.Repair(replica);
            _seek = replica.Position + 1;
            _lost = IsBehindTheLog = false;
            WakeReaders(replica.Position);
        });
        _repaired.Set();
    }

    /// <summary>One step of the cores under the lock, then what it made due.</summary>
    internal T Under<T>(Func<Tenure, T> step)
    {
        T result;
        bool hasBatch;
        IReadOnlyList<Action> due;
        lock (_gate)
        {
            try
            {
                result = step(_tenure);
            }
            finally
            {
                // (4) Inside the lock, so that records reach the producer in the queue's order. Produce only enqueues.
                Publish();
                CountWaiting();
            }
            due = _tenure.TakeDue();
            hasBatch = _tenure.HasBatch;
        }
        if (hasBatch) _backup?.Wake();
        foreach (var action in due) Run(action);
        return result;
    }

    private void Publish()
    {
        while (true)
        {
            // Deltas wait for a place in the budget, and gather meanwhile; the rest is only counted.
            var hasPlace = _tenure.IsDeltaDue;
            if (hasPlace && !_place.TryEnter()) return;
            if (_tenure.TakeRecord() is not { } record) return;
            if (hasPlace) _share.Budget.Sent(record.Bytes.Length);
            else _share.Budget.SentAtOnce(record.Bytes.Length);
            if (WhyNot(record.Bytes, _share.Level?.Invoke() ?? 1) is { } why)
            {
                _tenure.AppendFailed(record, why);
                continue;
            }
            try
            {
                _share.Metrics.Appends(record.DeltaCount, record.Bytes.Length);
                var (at, traces) = (_share.Time.GetTimestamp(), _traced.Of(record));
                var append = traces.Count == 0 ? null : LogTraces.Append(traces, Partition);
                _producer.Produce(_at, record.Bytes, LogTraces.HeadersOf(append), report => OnReport(record, report, at, append));
            }
            catch (KafkaException error)
            {
                _share.Metrics.AppendFailed();
                _tenure.AppendFailed(record, error.Error.Reason);
            }
        }
    }

    /// <summary>Why a record must not be appended to the log of a cloud at this level; null when it may. The last look before the producer: members that are there, or come back, could not read it.</summary>
    internal static string? WhyNot(ReadOnlySpan<byte> record, int cloud) => LogRecordCodec.MinReaderOf(record) is var level && CloudLevel.MayWrite(level, cloud) ? null
        : $"the record asks for readers of level {level}, and the cloud is at level {cloud}";

    private void CountWaiting()
    {
        // What ended while it waited is still held by the queue until its turn comes.
        var (bytes, deltas) = (Math.Max(_tenure.AheadBytes, _tenure.QueuedBytes), (long)_tenure.AheadCount);
        _share.Backlog.Add(bytes - _waitingBytes, deltas - _waitingDeltas);
        Volatile.Write(ref _waitingBytes, bytes);
        Volatile.Write(ref _waitingDeltas, deltas);
    }

    private void OnReport(OutRecord record, DeliveryReport<Null, byte[]> report, long at, Activity? append)
    {
        if (append is not null) LogTraces.Appended(append, report.Error);
        if (report.Error.IsError) _share.Metrics.AppendFailed();
        else _share.Metrics.Appended(_share.Time.GetElapsedTime(at));
        Do(t =>
        {
            if (report.Error.IsError) t.AppendFailed(record, report.Error.Reason);
            else t.Produced(record, report.Offset.Value);
            WakeReaders(t.Replica.Position);
        });
    }

    private void Read()
    {
        var asksFor = SnapshotPosition + 1;
        while (!_stopping)
        {
            try
            {
                if (_lost)
                {
                    _repaired.Wait(PollTimeout);
                    continue;
                }
                if (TakeSeek() is { } next) _consumer.Assign(new TopicPartitionOffset(_at, new Offset(asksFor = next)));
                var result = _consumer.Consume(PollTimeout);
                if (result is not null)
                {
                    asksFor = result.Offset.Value + 1;
                    Do(t =>
                    {
                        if (_seek is not null) return;
                        using var apply = result.Offset.Value > t.Replica.Position ? LogTraces.Apply(result.Message.Headers, Partition) : null;
                        t.Apply(result.Offset.Value, result.Message.Value ?? []);
                        WakeReaders(t.Replica.Position);
                    });
                }
                NoteLag(result);
            }
            catch (ConsumeException error) when (error.Error.Code is ErrorCode.Local_AutoOffsetReset or ErrorCode.OffsetOutOfRange)
            {
                if (asksFor <= Position)
                {
                    // Own records are applied at their acks, ahead of the consumer: what retention took from it is here already.
                    _consumer.Assign(new TopicPartitionOffset(_at, new Offset(asksFor = Position + 1)));
                    continue;
                }

                // The log no longer holds the next record: reading on would skip what nobody can name.
                IsBehindTheLog = true;
                Lose($"the log no longer holds offset {Position + 1}: {error.Error.Reason}");
            }
            catch (ConsumeException error) when (!error.Error.IsFatal)
            {
                _share.Health.Error(error.Error.Reason);
            }
            catch (Exception error) // Whatever ends this reader must show: a silent reader holds back answers for ever.
            {
                _share.Logger.ReaderStopped(error, Partition);
                Lose($"its reader stopped: {error.Message}");
            }
        }
    }

    /// <summary>For the instruments. The end is asked for where nothing came, and else once in a poll's time: asking for it at each record would cost more than reading it.</summary>
    private void NoteLag(ConsumeResult<Ignore, byte[]>? result)
    {
        if (result is not null)
        {
            _recordBytes += ((result.Message.Value?.Length ?? 0) - _recordBytes) / 16;
            if (_share.Time.GetElapsedTime(_levelAt) < PollTimeout) return;
        }
        if (Lag == 0) Volatile.Write(ref _levelAt, _share.Time.GetTimestamp());
    }

    private long? TakeSeek()
    {
        lock (_gate)
        {
            var seek = _seek;
            _seek = null;
            return seek;
        }
    }

    private void Lose(string reason)
    {
        Do(t =>
        {
            _lost = true;
            t.Replica.MarkLost(reason, t);
            t.EndAll(TenureEndReason.Incomplete, reason);
        });
        FailReaders();
    }

    private void WakeReaders(long position)
    {
        for (var i = _readers.Count - 1; i >= 0; i--)
        {
            if (_readers[i].Offset > position) continue;
            _readers[i].Reached.TrySetResult();
            _readers.RemoveAt(i);
        }
    }

    private void FailReaders()
    {
        lock (_gate)
        {
            foreach (var (_, reached) in _readers) reached.TrySetException(Gone());
            _readers.Clear();
        }
    }

    private ShardCloudException Gone() => IsBehindTheLog ? Errors.BehindTheLog(Partition, _tenure.Replica.Position + 1) : Errors.IncompleteReplica(Partition);

    private void Run(Action action)
    {
        try
        {
            action();
        }
        catch (Exception error) // A listener's fault is not the log's: the reader must go on.
        {
            _share.Logger.ListenerFailed(error);
        }
    }
}
