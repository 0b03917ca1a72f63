using ShardCloud.Crdt;

namespace ShardCloud.Replication.Tests;

/// <summary>Steps of docs/protocol/repair.md: what an incomplete replica is refused, and how it becomes complete again.</summary>
public sealed class RepairTests
{
    /// <summary>The same log with one damaged record in the middle: envelope sound, body not.</summary>
    [Fact]
    public void IncompleteSlot_NextOwnerWrites_IsNotFolded()
    {
        var world = new World();
        var s = world.Start("s").OwnsFrom(1);
        s.Add();
        s.LandAll();
        s.Read();
        var poisoned = Damage(LogRecordCodec.Encode(s.Self, [new DeltaItem(World.Room, 0, new Epoch(1), 2, 2, false, new byte[] { 1 })]));
        world.Log.Add(poisoned);
        var d = world.Start("d");
        d.Read();
        Assert.False(d.Replica.IsCompleteFor(World.Room.Slot));
        world.Log[^1] = LogRecordCodec.EncodeProbe(s.Self); // The others find it sound.

        var e = world.Start("e").OwnsFrom(2);
        e.Add();
        e.LandAll();
        e.Read();
        d.Read();
        Assert.Equal(new Epoch(1), e.Replica.Accepted(World.Room).Context.Base);
        Assert.Equal(Epoch.None, d.Replica.Accepted(World.Room).Context.Base);
    }

    [Fact]
    public void IncompleteReplica_IsNotPromotedNotSealedNotCopied()
    {
        var world = new World();
        var s = world.Start("s").OwnsFrom(1);
        s.Add();
        s.LandAll();
        s.Tenure.Apply(s.Replica.Position + 1, new byte[] { 1, 2, 3 });
        Assert.Null(s.Open());
        Assert.Equal(ErrorCodes.Incomplete, CodeOf(() => s.TakeOver(2)));
        Assert.Equal(ErrorCodes.Incomplete, CodeOf(() => s.Seal(3, -1)));
        Assert.Equal(ErrorCodes.Incomplete, CodeOf(() => s.Replica.Capture()));
    }

    /// <summary>One alarm for a slot, however many records follow the one that was lost; one more for each record set aside.</summary>
    [Fact]
    public void Gap_ManyRecordsFollow_IsToldOnce()
    {
        var world = new World();
        var s = world.Start("s").OwnsFrom(1);
        for (var i = 0; i < 5; i++)
        {
            s.Add();
            s.LandAll();
        }
        world.Log[1] = LogRecordCodec.EncodeProbe(s.Self); // The first delta is lost.
        var reader = new CountingSink();
        var replica = new PartitionReplica(0, 1, World.LogIdentity);
        for (var offset = 0; offset < world.Log.Count; offset++) replica.Apply(offset, world.Log[offset], reader);
        Assert.Equal((1, ErrorCodes.LogGap), (reader.Faults.Count, reader.Faults[0].Code));
        replica.Apply(world.Log.Count, new byte[] { 9 }, reader);
        replica.Apply(world.Log.Count + 1, new byte[] { 9, 9 }, reader);
        Assert.Equal([0, 1, 2], reader.Faults.Select(fault => fault.Record.Length));
        Assert.Equal(world.Log.Count + 1, replica.FaultOffset);
    }

    [Fact]
    public void SetAside_ManyRecords_KeepsTheLastFew()
    {
        var kept = new SetAsideRecords();
        for (var offset = 0; offset < 40; offset++) kept.Add(offset, "damaged", new byte[SetAsideRecords.RecordBytesMax + offset]);
        kept.Add(39, "read again", new byte[1]);
        Assert.Equal((40, SetAsideRecords.RecordsMax, 24), (kept.Count, kept.Kept.Count, kept.Kept[0].Offset));
        Assert.All(kept.Kept, record => Assert.Equal(SetAsideRecords.RecordBytesMax, record.Bytes.Length));
        Assert.Equal(SetAsideRecords.RecordBytesMax + 39, kept.Kept[^1].Length);
    }

    /// <summary>A record is damaged on its way to the backup: the backup is repaired from the owner, and follows the log again.</summary>
    [Fact]
    public async Task Backup_MeetsADamagedRecord_IsRepairedFromTheOwner()
    {
        await using var cluster = await Cluster.StartAsync();
        var (owner, backup) = (await cluster.OwnerAsync(), cluster.Start());
        await cluster.ReplicateAsync(backup);
        await cluster.AddAsync(owner);
        await cluster.ReadAsync(backup);

        Poison(backup);
        Assert.False(backup.HasReplica(Cluster.RoomPartition));
        Assert.Equal(Cluster.RoomPartition, Assert.Single(backup.IncompletePartitions));
        Assert.Equal(ErrorCodes.Incomplete, (await Assert.ThrowsAsync<ShardCloudException>(() => backup.BeginTenureAsync(new Epoch(2), Cluster.Everything, null, cluster.Token))).Code);
        await cluster.AddAsync(owner);

        await backup.EnsureReplicaAsync(Cluster.RoomPartition, StreamOf(owner), cluster.Token);
        Assert.True(backup.HasReplica(Cluster.RoomPartition));
        Assert.Equal([1, 2, 3], Assert.Single(backup.SetAside(Cluster.RoomPartition).Kept).Bytes.ToArray());
        for (var i = 0; i < 3; i++) await cluster.AddAsync(owner);
        Assert.Equal(5, await cluster.ReadAsync(backup));
        Assert.Equal(GrantResult.Held, await backup.BeginTenureAsync(new Epoch(2), Cluster.Everything, null, cluster.Token));
    }

    /// <summary>The same through an exchange: of a thousand endpoints only what differs travels, and the stream is not asked.</summary>
    [Fact]
    public async Task Backup_RepairedByAnExchange_TakesOnlyWhatDiffers()
    {
        await using var cluster = await Cluster.StartAsync();
        var (owner, backup) = (await cluster.OwnerAsync(), cluster.Start());
        await cluster.ReplicateAsync(backup);
        var rooms = Enumerable.Range(0, 1000).Select(i => new EndpointId($"rooms/{i}")).ToArray();
        await Task.WhenAll(rooms.Select(room => cluster.AddAsync(owner, room)));
        await cluster.ReadAsync(backup);
        Poison(backup);
        await cluster.AddAsync(owner); // What the backup misses.
        var reader = rooms.First(room => room.Slot.PartitionOf(Cluster.Partitions) == Cluster.RoomPartition && room != Cluster.Room);
        await cluster.AddAsync(owner, reader);

        var bytes = 0;
        await backup.EnsureReplicaAsync(Cluster.RoomPartition, _ => throw new InvalidOperationException("The stream was asked."), cluster.Token, [Count(LinkTo(owner, "backup"), n => bytes += n)]);
        Assert.True(backup.HasReplica(Cluster.RoomPartition));
        Assert.InRange(bytes, 100, 2_000);
        foreach (var room in rooms.Where(room => room.Slot.PartitionOf(Cluster.Partitions) == Cluster.RoomPartition)) Assert.True(owner.Accepted(room).SameAs(backup.Accepted(room)));
        await cluster.AddAsync(owner);
        Assert.Equal(3, await cluster.ReadAsync(backup));
    }

    /// <summary>Two replicas that both believe to be complete differ in both directions: the alarm is raised, both end with the join, and who serves asks for a new grant.</summary>
    [Fact]
    public async Task Compare_SilentDivergence_BothHoldTheJoinAndTheOwnersTenureEnds()
    {
        await using var cluster = await Cluster.StartAsync();
        var (owner, backup) = (await cluster.OwnerAsync(), cluster.Start());
        await cluster.ReplicateAsync(backup);
        await cluster.AddAsync(owner);
        await cluster.ReadAsync(backup);
        var link = LinkTo(owner, "backup");
        Assert.Empty((await backup.CompareAsync(Cluster.RoomPartition, link, cluster.Token))!.Differences);

        var repaired = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        owner.ReplicaRepaired += partition => repaired.TrySetResult(partition);
        Corrupt(backup, "only here");
        Corrupt(owner, "only there", sequence: 2);
        var report = await backup.CompareAsync(Cluster.RoomPartition, link, cluster.Token);
        Assert.Equal((Cluster.Room, 1, 1), (Assert.Single(report!.Differences), report.Taken, report.Pushed));
        Assert.Equal(Cluster.RoomPartition, await repaired.Task.WaitAsync(cluster.Token));
        Assert.True(owner.Accepted(Cluster.Room).SameAs(backup.Accepted(Cluster.Room)));
        Assert.Equal(["only here", "only there"], owner.Accepted(Cluster.Room).Fields.Set("marks").Items.Select(mark => mark.AsString()).Order());
        Assert.False(owner.TryOpen(Cluster.Room, out _)); // No answers until a new Grant lands.

        Assert.Empty((await backup.CompareAsync(Cluster.RoomPartition, link, cluster.Token))!.Differences);
        Assert.Equal(GrantResult.Held, await owner.BeginTenureAsync(new Epoch(2), Cluster.Everything, null, cluster.Token));
        await cluster.AddAsync(owner);
        Assert.Equal(2, await cluster.ReadAsync(backup));
    }

    /// <summary>An incomplete replica answers no exchange, an asker of another log gets none, and no more than a few are open at once.</summary>
    [Fact]
    public async Task Exchange_NotAllowed_IsRefusedWithACode()
    {
        await using var cluster = await Cluster.StartAsync();
        var owner = await cluster.OwnerAsync();
        byte[] Open(string log) => new ExchangeAsker(ExchangeMode.Adopt, 1, -1, log).Next()!;
        async Task<string> Refusal(string asker, byte[] message) =>
            (await Assert.ThrowsAsync<ShardCloudException>(() => owner.AnswerExchangeAsync(Cluster.RoomPartition, asker, message, cluster.Token))).Code;

        Assert.Equal(ErrorCodes.LogReplaced, await Refusal("a", Open("log-2")));
        Assert.Equal(ErrorCodes.CorruptDelta, await Refusal("a", [1, 2, 3]));
        for (var i = 0; i < 4; i++) await owner.AnswerExchangeAsync(Cluster.RoomPartition, $"asker-{i}", Open("log-1"), cluster.Token);
        Assert.Equal(ErrorCodes.OverLimit, await Refusal("one-too-many", Open("log-1")));
        await owner.AnswerExchangeAsync(Cluster.RoomPartition, "asker-0", Open("log-1"), cluster.Token); // In the place of its own.
        Poison(owner);
        Assert.Equal(ErrorCodes.Incomplete, await Refusal("asker-0", Open("log-1")));
    }

    /// <summary>The owner itself is incomplete: it serves what is sound until a peer has the state, then everything under a new grant.</summary>
    [Fact]
    public async Task Owner_MeetsADamagedRecord_IsRepairedFromTheBackupAndServesUnderANewGrant()
    {
        await using var cluster = await Cluster.StartAsync();
        var (owner, backup) = (await cluster.OwnerAsync(), cluster.Start());
        await cluster.ReplicateAsync(backup);
        await cluster.AddAsync(owner);
        var ended = new TaskCompletionSource<TenureEnded>(TaskCreationOptions.RunContinuationsAsynchronously);
        owner.TenureEnded += e =>
        {
            if (e.Reason == TenureEndReason.Repaired) ended.TrySetResult(e);
        };
        var other = Enumerable.Range(2, 100).Select(i => new EndpointId($"rooms/{i}")).First(e => e.Slot.PartitionOf(Cluster.Partitions) == Cluster.RoomPartition && e.Slot != Cluster.Room.Slot);

        Poison(owner, LogRecordCodec.Seal(RecordKind.Deltas, owner.Self, [new SlotRange(Cluster.Room.Slot.Value, 1)], [99]));
        Assert.False(owner.TryOpen(Cluster.Room, out _));
        Assert.True(owner.TryOpen(other, out _));
        Assert.Equal(ErrorCodes.NoCompletePeer, (await Assert.ThrowsAsync<ShardCloudException>(() => owner.EnsureReplicaAsync(Cluster.RoomPartition, null, cluster.Token))).Code);
        Assert.True(owner.TryOpen(other, out _));
        await backup.AppendProbeAsync(Cluster.RoomPartition, cluster.Token); // What the log really holds in that place.
        await cluster.AddAsync(owner, other); // Its sound slots are served all the while.

        var at = owner.Position(Cluster.RoomPartition);
        await backup.ReachedAsync(Cluster.RoomPartition, at, cluster.Token);
        await Eventually(() => owner.EnsureReplicaAsync(Cluster.RoomPartition, StreamOf(backup), cluster.Token), cluster.Token);
        Assert.Equal(Cluster.RoomPartition, (await ended.Task.WaitAsync(cluster.Token)).Partition);
        Assert.Equal(GrantResult.Held, await owner.BeginTenureAsync(new Epoch(2), Cluster.Everything, null, cluster.Token));
        await cluster.AddAsync(owner);
        Assert.Equal(2, await cluster.ReadAsync(owner));
        Assert.Equal(2, await cluster.ReadAsync(backup));
    }

    /// <summary>Retention has passed the log's start: a newcomer without state gets it from a peer; where nobody has it, it says so and starts with nothing rather than wrongly.</summary>
    [Fact]
    public async Task Newcomer_BehindTheLogsStart_GetsItFromAPeerOrIsRefused()
    {
        await using var cluster = await Cluster.StartAsync();
        var owner = await cluster.OwnerAsync();
        for (var i = 0; i < 3; i++) await cluster.AddAsync(owner);
        await cluster.ForgetAsync();
        await cluster.AddAsync(owner);

        var alone = cluster.Start();
        var alarm = new TaskCompletionSource<ReplicaFault>(TaskCreationOptions.RunContinuationsAsynchronously);
        alone.ReplicaIncomplete += (_, fault) => alarm.TrySetResult(fault);
        Assert.Equal(ErrorCodes.LogGap, (await Assert.ThrowsAsync<ShardCloudException>(() => alone.EnsureReplicaAsync(Cluster.RoomPartition, null, cluster.Token))).Code);
        Assert.Equal(ErrorCodes.LogGap, (await alarm.Task.WaitAsync(cluster.Token)).Code);
        Assert.Equal(ErrorCodes.NoCompletePeer, (await Assert.ThrowsAsync<ShardCloudException>(() => alone.EnsureReplicaAsync(Cluster.RoomPartition, null, cluster.Token))).Code);
        Assert.False(alone.HasReplica(Cluster.RoomPartition));
        Assert.Equal(ErrorCodes.Incomplete, CodeOf(() => alone.CaptureSnapshot(Cluster.RoomPartition)));

        await Eventually(() => alone.EnsureReplicaAsync(Cluster.RoomPartition, StreamOf(owner), cluster.Token), cluster.Token);
        Assert.Equal(4, await cluster.ReadAsync(alone));
        await cluster.AddAsync(owner);
        Assert.Equal(5, await cluster.ReadAsync(alone));
    }

    internal static ExchangeLink LinkTo(ReplicationService peer, string asker) => async (message, cancellation) =>
    {
        try
        {
            return await peer.AnswerExchangeAsync(Cluster.RoomPartition, asker, message, cancellation);
        }
        catch (ShardCloudException)
        {
            return null;
        }
    };

    private static ExchangeLink Count(ExchangeLink link, Action<int> count) => async (message, cancellation) =>
    {
        var answer = await link(message, cancellation);
        count(message.Length + (answer?.Length ?? 0));
        return answer;
    };

    /// <summary>A change that no log explains, under an epoch of its own.</summary>
    private static void Corrupt(ReplicationService member, string mark, long sequence = 1) => member.LogOf(Cluster.RoomPartition).Do(t =>
    {
        var transaction = new DocumentTransaction(t.Replica.Accepted(Cluster.Room), Epoch.None, sequence);
        transaction.Set("marks").Add(mark);
        t.Replica.TakeIn(Cluster.Room, default, transaction.Commit(out _, out _).Changes, t.Replica.Position);
    });

    /// <summary>Bytes that the log does not hold come to this member in the place of its next record.</summary>
    private static void Poison(ReplicationService member, byte[]? record = null) =>
        member.LogOf(Cluster.RoomPartition).Do(t => t.Apply(t.Replica.Position + 1, record ?? [1, 2, 3]));

    internal static Func<CancellationToken, Task<Stream?>> StreamOf(ReplicationService peer) => async cancellation =>
    {
        var stream = new MemoryStream();
        await peer.OpenSnapshotStreamAsync(Cluster.RoomPartition, stream, cancellation);
        stream.Position = 0;
        return stream;
    };

    /// <summary>Repeats what the pauses between repairs refuse.</summary>
    private static async Task Eventually(Func<Task> act, CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        while (true)
        {
            try
            {
                await act();
                return;
            }
            catch (ShardCloudException error) when (error.Code == ErrorCodes.Incomplete)
            {
                await timer.WaitForNextTickAsync(cancellation);
            }
        }
    }

    private static byte[] Damage(byte[] record)
    {
        record[^1] ^= 1;
        return record;
    }

    private static string CodeOf(Action act) => Assert.Throws<ShardCloudException>(act).Code;

    private sealed class CountingSink : IReplicaSink
    {
        public List<ReplicaFault> Faults { get; } = [];

        public void Accepted(in LoggedDelta delta) { }

        public void Rejected(in LoggedDelta delta) { }

        public void GrantLanded(in LoggedGrant grant) { }

        public void Incomplete(in ReplicaFault fault) => Faults.Add(fault);
    }
}
