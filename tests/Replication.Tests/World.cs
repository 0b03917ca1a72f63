using ShardCloud.Crdt;
using ShardCloud.Routing;

namespace ShardCloud.Replication.Tests;

/// <summary>A few members' production cores around one log of one Event Hub partition. The test decides when a record lands, when its ack arrives and who reads how far.</summary>
internal sealed class World(Guards guards = Guards.All, AckMode ack = AckMode.Log, TemplateTable? templates = null, ReadMode reads = ReadMode.Lease)
{
    public const string LogIdentity = "log-1";

    public static readonly EndpointId Room = new("rooms/1");

    public List<byte[]> Log { get; } = [];

    public Guards Guards => guards;

    public AckMode Ack => ack;

    public ReadMode Reads => reads;

    public TemplateTable Templates => templates ?? TemplateTable.Empty;

    public Node Start(string shard) => new(this, shard);

    /// <summary>What a newcomer that reads the whole log accepts.</summary>
    public PartitionReplica ReadAll(PartitionSnapshot? from = null)
    {
        var replica = from is null ? new PartitionReplica(0, 1, LogIdentity, guards) : PartitionReplica.From(from, guards);
        for (var offset = replica.Position + 1; offset < Log.Count; offset++) replica.Apply(offset, Log[(int)offset], NoSink.Instance);
        return replica;
    }
}

/// <summary>One member: replica, tenure, and a producer whose records travel until the test lets them land.</summary>
internal sealed class Node
{
    private readonly World _world;
    private readonly Queue<OutRecord> _travelling = new();

    public Node(World world, string shard)
    {
        _world = world;
        Self = new IncarnationId($"{shard}~1");
        Tenure = new Tenure(new PartitionReplica(0, 1, World.LogIdentity, world.Guards), Self, world.Ack, () => LeaseValid, guards: world.Guards, templates: () => world.Templates, reads: world.Reads) { OnEnded = Ended.Add };
    }

    public IncarnationId Self { get; }

    public PartitionReplica Replica => Tenure.Replica;

    public Tenure Tenure { get; }

    public bool LeaseValid { get; set; } = true;

    public List<TenureEnded> Ended { get; } = [];

    public int Travelling
    {
        get
        {
            Send();
            return _travelling.Count;
        }
    }

    public Holding TakeOver(long epoch, GrantCoverage? coverage = null) => Tenure.Begin(new Epoch(epoch), coverage ?? GrantCoverage.OfSlots(SlotRange.All), null);

    /// <summary>Renews its own grant, so that spent documents leave; <paramref name="forgetTo"/> is where it stood when it asked the map for the epoch.</summary>
    public Holding Renew(long epoch, long forgetTo) => Tenure.Begin(new Epoch(epoch), GrantCoverage.OfSlots(SlotRange.All), null, forgetTo);

    public Holding Receive(long epoch, FinalDelta final, GrantCoverage? coverage = null) => Tenure.Begin(new Epoch(epoch), coverage ?? GrantCoverage.OfSlots(SlotRange.All), final.Endpoints);

    public FinalDelta Seal(long handoff, long destinationPosition, GrantCoverage? scope = null)
    {
        Tenure.BeginSeal(new HandoffId(handoff), scope ?? GrantCoverage.OfSlots(SlotRange.All));
        if (Tenure.Unlogged(scope ?? GrantCoverage.OfSlots(SlotRange.All)).Count > 0)
        {
            LandAll();
            Read();
        }
        return new FinalDelta(new HandoffId(handoff), Tenure.CloseSeal(new HandoffId(handoff), destinationPosition));
    }

    /// <summary>Takes over and reads its own Grant: the owner from then on.</summary>
    public Node OwnsFrom(long epoch, GrantCoverage? coverage = null)
    {
        TakeOver(epoch, coverage);
        LandAll();
        Read();
        return this;
    }

    public OwnedState? Open(EndpointId? endpoint = null) => Tenure.Open(endpoint ?? World.Room);

    public ReleaseToken Add(long amount = 1, EndpointId? endpoint = null)
    {
        var state = Open(endpoint) ?? throw new InvalidOperationException($"{Self} does not serve {endpoint ?? World.Room}.");
        Assert.Equal(CommitOutcome.Committed, Commit(state, t => t.Counter("n").Add(amount)));
        return AnswerRelease.ForWrite(state);
    }

    public CommitOutcome Commit(OwnedState state, Action<DocumentTransaction> change)
    {
        var transaction = new DocumentTransaction(state.Current, state.Holding.Epoch, state.NextSequence);
        change(transaction);
        var delta = transaction.Commit(out var next, out _);
        return Tenure.Commit(state, delta, next, DocumentCodec.ToBytes(delta));
    }

    public long Value(EndpointId? endpoint = null) => Open(endpoint)!.Current.Fields.Counter("n");

    /// <summary>The answer's fate now; null while it is held.</summary>
    public ReleaseOutcome? Outcome(in ReleaseToken token) => Tenure.Release.Decide(token);

    /// <summary>The oldest travelling record lands; its ack is returned, to be delivered or lost.</summary>
    public Action Land()
    {
        Send();
        var record = _travelling.Dequeue();
        var offset = _world.Log.Count;
        _world.Log.Add(record.Bytes);
        return () =>
        {
            Tenure.Produced(record, offset);
            RunDue();
        };
    }

    /// <summary>All travelling records land and are acknowledged.</summary>
    public void LandAll()
    {
        while (Travelling > 0) Land()();
    }

    /// <summary>The oldest travelling record is given up by the producer.</summary>
    public void Fail()
    {
        Send();
        Tenure.AppendFailed(_travelling.Dequeue(), "simulated");
        RunDue();
    }

    /// <summary>The oldest batch for the backup arrives there; its answer is returned, to be delivered or lost.</summary>
    public Action Copy(Node backup)
    {
        var batch = Tenure.TakeBatch();
        Assert.NotNull(batch);
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        batch.Write(bytes);
        var kept = backup.Tenure.Keep(Self, BackupBatch.Read(bytes.WrittenMemory).Deltas);
        return () =>
        {
            if (kept) Tenure.BackedUp(batch);
            else Tenure.NotBackedUp(batch);
            RunDue();
        };
    }

    public void Read(int records = int.MaxValue)
    {
        for (; records > 0 && Replica.Position + 1 < _world.Log.Count; records--)
        {
            Tenure.Apply(Replica.Position + 1, _world.Log[(int)Replica.Position + 1]);
            RunDue();
        }
    }

    /// <summary>The next record comes to this member with a bit turned.</summary>
    public void ReadDamaged(int at)
    {
        if (Replica.Position + 1 >= _world.Log.Count) return;
        var damaged = _world.Log[(int)Replica.Position + 1].ToArray();
        damaged[at % damaged.Length] ^= 1;
        Tenure.Apply(Replica.Position + 1, damaged);
        RunDue();
    }

    /// <summary>Takes a complete peer's state by an exchange, as the shell does; what it held ends.</summary>
    public async Task RepairFromAsync(Node peer)
    {
        ExchangeAnswerer? answerer = null;
        var adopted = await ExchangeRun.AdoptAsync(Replica.Freeze(), Replica.FaultOffset, (message, _) =>
        {
            if (ExchangeAnswerer.StepOf(message.Span) == ExchangeStep.Open)
            {
                var (mode, salt, _, _) = ExchangeAnswerer.ReadOpen(message.Span);
                answerer = new ExchangeAnswerer(peer.Replica.Capture(), mode, salt);
            }
            return Task.FromResult<byte[]?>(answerer!.Answer(message.Span));
        }, CancellationToken.None);
        Assert.NotNull(adopted);
        Replace(PartitionReplica.From(adopted.Value.State, _world.Guards));
    }

    /// <summary>From whoever is complete and stands past the damage; false when nobody does.</summary>
    public async Task<bool> RepairFromAnyAsync(Node[] nodes)
    {
        if (nodes.FirstOrDefault(n => n.Replica.IsComplete && n.Replica.Position >= Replica.FaultOffset) is not { } peer) return false;
        await RepairFromAsync(peer);
        return true;
    }

    /// <summary>The end of a history: all that travels lands, everyone reads to the end, and who is incomplete is repaired, or reads the log anew.</summary>
    public static async Task ReadToTheEndAsync(Node[] nodes)
    {
        foreach (var node in nodes) node.LandAll();
        foreach (var node in nodes) node.Read();
        foreach (var node in nodes.Where(n => !n.Replica.IsComplete))
        {
            if (!await node.RepairFromAnyAsync(nodes)) node.StartOver();
            node.Read();
        }
    }

    /// <summary>A batch reaches its backup, or not, and its answer comes back, or not.</summary>
    public void BackUp(BackupBatch batch, Node backup, Random random)
    {
        var kept = random.Next(4) > 0 && backup.Replica.IsComplete && backup.Tenure.Keep(Self, batch.Deltas);
        if (kept && random.Next(4) > 0) Tenure.BackedUp(batch);
        else Tenure.NotBackedUp(batch);
        RunDue();
    }

    /// <summary>Nobody has complete state: the log is read once more from its start.</summary>
    public void StartOver() => Replace(new PartitionReplica(0, 1, World.LogIdentity, _world.Guards));

    private void Replace(PartitionReplica replica)
    {
        Tenure.EndAll(TenureEndReason.Repaired, "simulated");
        Tenure.Repair(replica);
        RunDue();
    }

    public void RunDue()
    {
        foreach (var action in Tenure.TakeDue()) action();
    }

    private void Send()
    {
        while (Tenure.TakeRecord() is { } record) _travelling.Enqueue(record);
    }
}

/// <summary>A reader that owns nothing.</summary>
internal sealed class NoSink : IReplicaSink
{
    public static readonly NoSink Instance = new();

    public void Accepted(in LoggedDelta delta) { }

    public void Rejected(in LoggedDelta delta) { }

    public void GrantLanded(in LoggedGrant grant) { }

    public void Incomplete(in ReplicaFault fault) { }
}
