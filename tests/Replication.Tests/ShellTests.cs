using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using ShardCloud.Crdt;
using ShardCloud.Tests;

namespace ShardCloud.Replication.Tests;

/// <summary>The shells with the product's own clients against the local log and the storage emulator.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class ShellTests(AzuriteFixture azurite)
{
    [Fact]
    public async Task Write_IsAnswered_AndVisibleAtASecondReplica()
    {
        await using var cluster = await Cluster.StartAsync();
        var (owner, backup) = (await cluster.OwnerAsync(), cluster.Start());
        await cluster.ReplicateAsync(backup);
        for (var i = 0; i < 20; i++) await cluster.AddAsync(owner);
        Assert.Equal(20, await cluster.ReadAsync(backup));
        Assert.False(backup.TryOpen(Cluster.Room, out _));
    }

    [Fact]
    public async Task Writes_OfManyEndpointsAtOnce_AreAllAnsweredInFewRecords()
    {
        await using var cluster = await Cluster.StartAsync();
        var owner = await cluster.OwnerAsync();
        var before = owner.Position(0) + owner.Position(1);
        var answers = Enumerable.Range(0, 500).Select(i => cluster.Add(owner, new EndpointId($"rooms/{i}"))).ToList();
        Assert.All(await Task.WhenAll(answers), outcome => Assert.Equal(ReleaseOutcome.Released, outcome));
        Assert.InRange(owner.Position(0) + owner.Position(1) - before, 2, 400); // Gathered while publishes were in flight.
    }

    [Fact]
    public async Task Where_ByNameAndAcceptedFields_PicksInEveryPartitionUpToTheBound()
    {
        await using var cluster = await Cluster.StartAsync();
        var owner = await cluster.OwnerAsync();
        await Task.WhenAll(Enumerable.Range(0, 40).Select(i => cluster.Add(owner, new EndpointId($"rooms/{i}"))));

        Assert.Equal(["rooms/37", "rooms/7"], owner.Where((endpoint, fields) => endpoint.Value.EndsWith('7') && fields.Count == 1, 40)
            .Select(endpoint => endpoint.Value).Where(name => name is "rooms/7" or "rooms/37").Order(StringComparer.Ordinal));
        Assert.Empty(owner.Where((_, fields) => fields.Count > 1, 40));
        Assert.Equal(2 * 3, owner.Where((_, _) => true, 3).Count); // Of two partitions.
    }

    /// <summary>Over the real log: what is spent leaves the owner, its backup and the snapshot with the renewed Grant, once the cloud is at the level for it.</summary>
    [Theory]
    [InlineData(LogRecordCodec.ForgettingLevel - 1, 1)]
    [InlineData(LogRecordCodec.ForgettingLevel, 0)]
    public async Task RenewedGrant_SpentDocument_LeavesAtItsLevel(int level, int left)
    {
        await using var cluster = await Cluster.StartAsync();
        var (owner, backup) = (cluster.Start(level: level), cluster.Start(level: level));
        foreach (var member in new[] { owner, backup })
        {
            await member.StartAsync(cluster.Token);
            await cluster.ReplicateAsync(member);
        }
        Assert.Equal(GrantResult.Held, await owner.BeginTenureAsync(new Epoch(1), Cluster.Everything, null, cluster.Token));
        await CommitAsync(change => change.Register("v").Set(1));
        await CommitAsync(change => change.Register("v").Clear());
        Assert.Equal(left == 0 ? (1, 0) : (0, 0), owner.CountSpent(Cluster.RoomPartition));

        var forget = new Forgetting(Cluster.RoomPartition, owner.Position(Cluster.RoomPartition));
        Assert.Equal(GrantResult.Held, await owner.BeginTenureAsync(new Epoch(2), Cluster.Everything, null, cluster.Token, forget));
        await backup.ReachedAsync(Cluster.RoomPartition, owner.Position(Cluster.RoomPartition), cluster.Token);

        foreach (var member in new[] { owner, backup }) Assert.Equal(left, member.CaptureSnapshot(Cluster.RoomPartition).Endpoints.Count);
        await cluster.AddAsync(owner);
        await backup.ReachedAsync(Cluster.RoomPartition, owner.Position(Cluster.RoomPartition), cluster.Token);
        Assert.Equal(1, await cluster.ReadAsync(backup));

        async Task CommitAsync(Action<DocumentTransaction> change)
        {
            Assert.True(owner.TryOpen(Cluster.Room, out var owned));
            var transaction = owned.BeginTransaction();
            change(transaction);
            Assert.Equal(CommitOutcome.Committed, owned.TryCommit(transaction, out var token));
            Assert.Equal(ReleaseOutcome.Released, await owned.WhenReleasedAsync(token, cluster.Token));
        }
    }

    [Fact]
    public async Task Restart_FromSnapshotAndTail_HasEverything()
    {
        await using var cluster = await Cluster.StartAsync();
        var container = new BlobServiceClient(azurite.ConnectionString).GetBlobContainerClient("snapshots");
        var application = AzuriteFixture.NewApplication();
        var owner = await cluster.OwnerAsync(1, container, application);
        await cluster.AddAsync(owner);
        Assert.True(await owner.WriteSnapshotAsync(Cluster.RoomPartition, cluster.Token));
        Assert.False(await owner.WriteSnapshotAsync(Cluster.RoomPartition, cluster.Token)); // As new as the one there.
        await cluster.AddAsync(owner); // The tail.
        var position = owner.Position(Cluster.RoomPartition);
        await cluster.StopAsync(owner);

        var next = cluster.Start(container, application);
        await next.StartAsync(cluster.Token);
        await cluster.ReplicateAsync(next);
        Assert.Equal(position, next.Position(Cluster.RoomPartition));
        Assert.Equal(2, Cluster.Value(next.Accepted(Cluster.Room)));
        Assert.Equal(GrantResult.Held, await next.BeginTenureAsync(new Epoch(2), Cluster.Everything, null, cluster.Token));
        await cluster.AddAsync(next);
        Assert.Equal(3, await cluster.ReadAsync(next));
    }

    [Fact]
    public async Task Snapshot_OfAnOlderOffset_DoesNotReplaceANewerOne()
    {
        await using var cluster = await Cluster.StartAsync();
        var container = new BlobServiceClient(azurite.ConnectionString).GetBlobContainerClient("snapshots");
        var store = new SnapshotStore(container, AzuriteFixture.NewApplication(), "log-1");
        await store.EnsureCreatedAsync(cluster.Token);
        var owner = await cluster.OwnerAsync();
        var older = owner.CaptureSnapshot(Cluster.RoomPartition);
        await cluster.AddAsync(owner);
        var newer = owner.CaptureSnapshot(Cluster.RoomPartition);
        Assert.True(await store.SaveAsync(newer, cluster.Token));
        Assert.False(await store.SaveAsync(older, cluster.Token));
        Assert.Equal(newer.Position, (await store.LoadAsync(Cluster.RoomPartition, NotDamaged, cluster.Token))!.Position);
    }

    /// <summary>The last two snapshots are kept: a damaged one is told of, and the one before it used, with the tail of the log from its offset.</summary>
    [Fact]
    public async Task Snapshot_Damaged_TheOneBeforeItAndTheTailAreUsed()
    {
        await using var cluster = await Cluster.StartAsync();
        var container = new BlobServiceClient(azurite.ConnectionString).GetBlobContainerClient("snapshots");
        var application = AzuriteFixture.NewApplication();
        var store = new SnapshotStore(container, application, "log-1");
        var owner = await cluster.OwnerAsync(1, container, application);
        var positions = new List<long>();
        for (var i = 0; i < 3; i++)
        {
            await cluster.AddAsync(owner);
            Assert.True(await owner.WriteSnapshotAsync(Cluster.RoomPartition, cluster.Token));
            positions.Add(owner.Position(Cluster.RoomPartition));
        }
        var newest = (await container.GetBlobsAsync(BlobTraits.Metadata, BlobStates.None, $"{application}/", cluster.Token).ToListAsync(cluster.Token)).MaxBy(blob => long.Parse(blob.Metadata["position"]))!;
        Assert.Equal(positions[2], long.Parse(newest.Metadata["position"]));
        var blob = container.GetBlobClient(newest.Name);
        var bytes = (await blob.DownloadContentAsync(cluster.Token)).Value.Content.ToArray();
        bytes[^20] ^= 1;
        await blob.UploadAsync(BinaryData.FromBytes(bytes), new BlobUploadOptions { Metadata = newest.Metadata }, cluster.Token);

        var damaged = new List<string>();
        Assert.Equal(positions[1], (await store.LoadAsync(Cluster.RoomPartition, (_, name) => damaged.Add(name), cluster.Token))!.Position);
        Assert.Equal(newest.Name, Assert.Single(damaged));
        await cluster.StopAsync(owner);
        var next = cluster.Start(container, application);
        await next.StartAsync(cluster.Token);
        await cluster.ReplicateAsync(next);
        Assert.Equal((3, positions[2]), (Cluster.Value(next.Accepted(Cluster.Room)), next.Position(Cluster.RoomPartition)));

        // The next one takes the place of the older one, whichever is damaged: there is always one that can be read.
        Assert.Equal(GrantResult.Held, await next.BeginTenureAsync(new Epoch(2), Cluster.Everything, null, cluster.Token));
        await cluster.AddAsync(next);
        Assert.True(await next.WriteSnapshotAsync(Cluster.RoomPartition, cluster.Token));
        Assert.Equal(next.Position(Cluster.RoomPartition), (await store.LoadAsync(Cluster.RoomPartition, NotDamaged, cluster.Token))!.Position);
    }

    private static void NotDamaged(ShardCloudException error, string name) => Assert.Fail($"{name}: {error.Message}");

    [Fact]
    public async Task Newcomer_FromAPeersStream_StartsWhereThePeerStands()
    {
        await using var cluster = await Cluster.StartAsync();
        var owner = await cluster.OwnerAsync();
        await cluster.AddAsync(owner);
        var newcomer = cluster.Start();
        var opened = 0;
        await newcomer.EnsureReplicaAsync(Cluster.RoomPartition, async cancellation =>
        {
            opened++;
            var stream = new MemoryStream();
            await owner.OpenSnapshotStreamAsync(Cluster.RoomPartition, stream, cancellation);
            stream.Position = 0;
            return stream;
        }, cluster.Token);
        Assert.Equal((1, 1), (opened, Cluster.Value(newcomer.Accepted(Cluster.Room))));
        await cluster.AddAsync(owner);
        Assert.Equal(2, await cluster.ReadAsync(newcomer));
    }

    /// <summary>What shadow reads rest on: an owner's document and that of a replica have the same causal context once the replica has read as far, whatever grants there were.</summary>
    [Fact]
    public async Task Replica_GetsToTheVeryDocumentThatItsOwnerShows()
    {
        await using var cluster = await Cluster.StartAsync();
        var (first, second, reader) = (await cluster.OwnerAsync(), cluster.Start(), cluster.Start());
        await cluster.ReplicateAsync(second);
        await cluster.ReplicateAsync(reader);
        for (var i = 0; i < 3; i++)
        {
            await cluster.AddAsync(first);
            await AssertSameAsync(first);
        }

        // A handoff with nothing written after it, then with something.
        var final = await first.SealAsync(new HandoffId(2), Cluster.Everything, new Dictionary<int, long>(), _ => Task.CompletedTask, cluster.Token);
        Assert.Equal(GrantResult.Held, await second.BeginTenureAsync(new Epoch(3), Cluster.Everything, final.Endpoints, cluster.Token));
        await AssertSameAsync(second);
        await cluster.AddAsync(second);
        await AssertSameAsync(second);

        // A take-over.
        Assert.Equal(GrantResult.Held, await first.BeginTenureAsync(new Epoch(4), Cluster.Everything, null, cluster.Token));
        await AssertSameAsync(first);
        await cluster.AddAsync(first);
        await AssertSameAsync(first);

        async Task AssertSameAsync(ReplicationService owner)
        {
            Assert.True(owner.TryOpen(Cluster.Room, out var owned));
            var shown = owned.Current.Context;
            var seen = await reader.SeenAsync(Cluster.Room, shown, cluster.Token);
            await reader.ReachedAsync(Cluster.RoomPartition, await EndAsync(owner), cluster.Token);
            Assert.Equal(shown, reader.Accepted(Cluster.Room).Context);
            Assert.True(seen.Context.Covers(shown));
        }

        async Task<long> EndAsync(ReplicationService owner)
        {
            await owner.AppendProbeAsync(Cluster.RoomPartition, cluster.Token);
            return owner.Position(Cluster.RoomPartition);
        }
    }

    [Fact]
    public async Task Replica_ThatHasNotSeenEnough_IsWaitedForNoLongerThanAsked()
    {
        await using var cluster = await Cluster.StartAsync();
        var owner = await cluster.OwnerAsync();
        using var enough = new CancellationTokenSource();
        var wait = owner.SeenAsync(Cluster.Room, Crdt.CausalContext.Of(new Crdt.Dot(new Epoch(9), 1)), enough.Token);
        await cluster.AddAsync(owner); // A record, and still not enough.
        Assert.False(wait.IsCompleted);

        await enough.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => wait);
        Assert.Equal(ErrorCodes.Incomplete, (await Assert.ThrowsAsync<ShardCloudException>(() => cluster.Start().SeenAsync(Cluster.Room, default, cluster.Token))).Code);
    }

    [Fact]
    public async Task Replica_SaysWhatItWasMadeOf()
    {
        await using var cluster = await Cluster.StartAsync();
        var (container, application) = (new BlobServiceClient(azurite.ConnectionString).GetBlobContainerClient("snapshots"), AzuriteFixture.NewApplication());
        var owner = await cluster.OwnerAsync(1, container, application);
        await cluster.AddAsync(owner);
        Assert.True(await owner.WriteSnapshotAsync(Cluster.RoomPartition, cluster.Token));
        var (fromPeer, fromBlob) = (cluster.Start(container, application), cluster.Start(container, application));
        await fromPeer.EnsureReplicaAsync(Cluster.RoomPartition, async cancellation =>
        {
            var stream = new MemoryStream();
            await owner.OpenSnapshotStreamAsync(Cluster.RoomPartition, stream, cancellation);
            stream.Position = 0;
            return stream;
        }, cluster.Token);
        await fromBlob.EnsureReplicaAsync(Cluster.RoomPartition, _ => Task.FromResult<Stream?>(null), cluster.Token);

        Assert.Equal((ReplicaOrigin.Log, ReplicaOrigin.Peer, ReplicaOrigin.Blob), (owner.OriginOf(Cluster.RoomPartition), fromPeer.OriginOf(Cluster.RoomPartition), fromBlob.OriginOf(Cluster.RoomPartition)));
    }

    [Fact]
    public async Task Replica_IsDroppedOnlyWhereNothingNeedsIt()
    {
        await using var cluster = await Cluster.StartAsync();
        var (owner, other) = (await cluster.OwnerAsync(), cluster.Start());
        await cluster.ReplicateAsync(other);
        await cluster.AddAsync(owner);

        Assert.False(await owner.DropIdleReplicaAsync(Cluster.RoomPartition, () => false, cluster.Token)); // It is served here.
        await cluster.AddAsync(owner);
        Assert.False(await other.DropIdleReplicaAsync(Cluster.RoomPartition, () => true, cluster.Token));
        Assert.Equal(2, await cluster.ReadAsync(other));

        Assert.True(await other.DropIdleReplicaAsync(Cluster.RoomPartition, () => false, cluster.Token));
        Assert.False(other.Reads(Cluster.RoomPartition));
        Assert.False(await other.DropIdleReplicaAsync(Cluster.RoomPartition, () => false, cluster.Token)); // There is none any more.

        await cluster.AddAsync(owner);
        await cluster.ReplicateAsync(other);
        Assert.Equal(3, await cluster.ReadAsync(other)); // Made anew, and none the worse.
    }

    [Fact]
    public async Task CopiesForAnOwner_KeepTheReplica()
    {
        await using var cluster = await Cluster.StartAsync();
        var backup = cluster.Start(ack: AckMode.Replica);
        await cluster.ReplicateAsync(backup);
        var transaction = new Crdt.DocumentTransaction(Crdt.Document.Empty, new Epoch(1), 1);
        transaction.Counter("count").Increment();
        var delta = Crdt.DocumentCodec.ToBytes(transaction.Commit(out _, out _));
        backup.Keep(Cluster.RoomPartition, new IncarnationId("shard-9~1"), new BackupBatch(backup.Self, [new CopiedDelta(Cluster.Room, new Epoch(1), 1, 1, delta)])); // The log never shows it.

        Assert.False(await backup.DropIdleReplicaAsync(Cluster.RoomPartition, () => false, cluster.Token));
    }

    [Fact]
    public async Task Handoff_MovesWhatWasNotYetAnswered()
    {
        await using var cluster = await Cluster.StartAsync();
        var (source, destination) = (await cluster.OwnerAsync(), cluster.Start());
        await cluster.ReplicateAsync(destination);
        await cluster.AddAsync(source);
        var pending = cluster.Add(source);
        var positions = new Dictionary<int, long> { [0] = destination.Position(0), [1] = destination.Position(1) };
        var final = await source.SealAsync(new HandoffId(2), Cluster.Everything, positions, _ => Task.CompletedTask, cluster.Token);
        Assert.False(source.TryOpen(Cluster.Room, out _));
        var held = destination.BeginTenureAsync(new Epoch(3), Cluster.Everything, final.Endpoints, cluster.Token);
        Assert.True(destination.TryOpen(Cluster.Room, out var owned)); // Admitted at once.
        Assert.Equal(2, Cluster.Value(owned.Current));
        Assert.Equal(GrantResult.Held, await held);
        Assert.Equal(ReleaseOutcome.Released, await owned.WhenReleasedAsync(owned.Seen(), cluster.Token));
        Assert.Equal(ReleaseOutcome.Released, await pending); // It lay before the Grant.
        Assert.Equal(2, await cluster.ReadAsync(destination));
    }

    [Fact]
    public async Task TakeOver_EndsTheTenureOfTheOldOwner()
    {
        await using var cluster = await Cluster.StartAsync();
        var (old, next) = (await cluster.OwnerAsync(), cluster.Start());
        var ended = new TaskCompletionSource<TenureEnded>(TaskCreationOptions.RunContinuationsAsynchronously);
        old.TenureEnded += e => ended.TrySetResult(e);
        await cluster.ReplicateAsync(next);
        Assert.Equal(GrantResult.Held, await next.BeginTenureAsync(new Epoch(2), Cluster.Everything, null, cluster.Token));
        Assert.Equal(TenureEndReason.HigherGrant, (await ended.Task.WaitAsync(cluster.Token)).Reason);
    }

    [Fact]
    public async Task Log_StopsForAWhile_AnswersWaitAndNothingIsLost()
    {
        await using var cluster = await Cluster.StartAsync();
        var owner = await cluster.OwnerAsync();
        await cluster.AddAsync(owner);
        await cluster.StopLogAsync();
        var waiting = Enumerable.Range(0, 5).Select(_ => cluster.Add(owner)).ToList();
        Assert.All(waiting, answer => Assert.False(answer.IsCompleted));
        await cluster.StartLogAsync();
        Assert.All(await Task.WhenAll(waiting), outcome => Assert.Equal(ReleaseOutcome.Released, outcome));
        Assert.Equal(6, await cluster.ReadAsync(owner));
    }

    [Fact]
    public async Task ReadsLog_LogStopsForAWhile_ReadsWaitUntilItIsReadBehindThem()
    {
        await using var cluster = await Cluster.StartAsync();
        var owner = await cluster.OwnerAsync(reads: ReadMode.Log);
        await cluster.AddAsync(owner);
        Assert.Equal(ReleaseOutcome.Released, await cluster.Read(owner).WaitAsync(cluster.Token));
        await cluster.StopLogAsync();
        var waiting = Enumerable.Range(0, 5).Select(_ => cluster.Read(owner)).ToList();
        Assert.All(waiting, answer => Assert.False(answer.IsCompleted));
        await cluster.StartLogAsync();
        Assert.All(await Task.WhenAll(waiting).WaitAsync(cluster.Token), outcome => Assert.Equal(ReleaseOutcome.Released, outcome));
    }

    [Fact]
    public async Task Append_ThatTheLogRefuses_EndsTheTenure()
    {
        await using var cluster = await Cluster.StartAsync();
        var owner = await cluster.OwnerAsync();
        var ended = new TaskCompletionSource<TenureEnded>(TaskCreationOptions.RunContinuationsAsynchronously);
        owner.TenureEnded += e => ended.TrySetResult(e);
        await cluster.AddAsync(owner);

        // A record over the log's limit: refused for good.
        var names = Enumerable.Range(0, 4000).Select(i => new EndpointId($"{i:D6}{new string('x', 480)}")).Where(e => e.Slot.PartitionOf(Cluster.Partitions) == Cluster.RoomPartition);
        var tooLarge = LogRecordCodec.Encode(owner.Self, new RetireBody(new Epoch(1), owner.Self, GrantCoverage.OfEndpoints([.. names, .. names])));
        var error = await Assert.ThrowsAsync<ShardCloudException>(() => owner.LogOf(Cluster.RoomPartition).AppendAsync(tooLarge, cluster.Token));
        Assert.Equal(ErrorCodes.AppendFailed, error.Code);
        Assert.Equal(TenureEndReason.AppendFailed, (await ended.Task.WaitAsync(cluster.Token)).Reason);
        Assert.False(owner.TryOpen(Cluster.Room, out _));
        Assert.Equal(GrantResult.Held, await owner.BeginTenureAsync(new Epoch(2), Cluster.Everything, null, cluster.Token));
        await cluster.AddAsync(owner);
        Assert.Equal(2, await cluster.ReadAsync(owner));
    }

    [Fact]
    public async Task Record_ThatCannotBeRead_RaisesTheAlarmAndStopsServing()
    {
        await using var cluster = await Cluster.StartAsync();
        var owner = await cluster.OwnerAsync();
        var alarm = new TaskCompletionSource<ReplicaFault>(TaskCreationOptions.RunContinuationsAsynchronously);
        owner.ReplicaIncomplete += (_, fault) => alarm.TrySetResult(fault);
        await cluster.AddAsync(owner);
        await owner.LogOf(Cluster.RoomPartition).AppendAsync([1, 2, 3], cluster.Token);
        Assert.Equal(ErrorCodes.CorruptDelta, (await alarm.Task.WaitAsync(cluster.Token)).Code);
        Assert.False(owner.TryOpen(Cluster.Room, out _));
        Assert.Equal(ErrorCodes.Incomplete, Assert.Throws<ShardCloudException>(() => owner.CaptureSnapshot(Cluster.RoomPartition)).Code);
        var newcomer = cluster.Start(); // It meets the same record.
        Assert.Equal(ErrorCodes.Incomplete, (await Assert.ThrowsAsync<ShardCloudException>(() => newcomer.EnsureReplicaAsync(Cluster.RoomPartition, null, cluster.Token))).Code);
    }

    [Fact]
    public async Task Queue_PastItsBound_RefusesBeforeAnythingChanged()
    {
        await using var cluster = await Cluster.StartAsync();
        var owner = await cluster.OwnerAsync();
        await cluster.StopLogAsync();
        Assert.True(owner.TryOpen(Cluster.Room, out var owned));
        ShardCloudException? refused = null;
        var written = 0;
        for (; refused is null && written < 100; written++)
        {
            var transaction = owned.BeginTransaction();
            transaction.Register("r").Set(new string('x', 200 * 1024));
            refused = Record.Exception(() => owned.TryCommit(transaction, out _)) as ShardCloudException;
        }
        Assert.Equal(ErrorCodes.QueueFull, refused?.Code);
        Assert.InRange(written, 20, 25); // 4 MiB of 200 KiB each.
        await cluster.StartLogAsync();
        Assert.Equal(ReleaseOutcome.Released, await owned.WhenReleasedAsync(owned.Seen(), cluster.Token));
        await cluster.AddAsync(owner); // Nothing that was committed is lost, and writes are taken again.
        Assert.Equal(1, await cluster.ReadAsync(owner));
    }

    [Fact]
    public async Task ControlRecord_IsHeardByEveryMember()
    {
        await using var cluster = await Cluster.StartAsync();
        var (left, right) = (cluster.Start(), cluster.Start());
        var heard = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        right.Control.Heard += version =>
        {
            if (version == new MapVersion(7)) heard.TrySetResult();
        };

        // The channel reads from its start on; it may stand there only after the first publication.
        while (!heard.Task.IsCompleted)
        {
            cluster.Token.ThrowIfCancellationRequested();
            await left.Control.PublishMapVersionAsync(new MapVersion(7), cluster.Token);
        }
    }

    [Fact]
    public async Task Start_OnAnotherLog_IsRefused()
    {
        await using var cluster = await Cluster.StartAsync();
        var member = cluster.Start(logIdentity: "log-2");
        Assert.Equal(ErrorCodes.LogReplaced, (await Assert.ThrowsAsync<ShardCloudException>(() => member.StartAsync(cluster.Token))).Code);
    }

    /// <summary>Goal: under <c>ack: replica</c> an answer does not wait for the log, and its backup knows that it is the only one that has it; about to leave, it keeps nothing more. Method: the log is down.</summary>
    [Fact]
    public async Task AckReplica_LogDown_AnswersLeaveThroughTheBackup()
    {
        await using var cluster = await Cluster.StartAsync();
        ReplicationService owner = null!;
        byte[] last = [];
        var backup = cluster.Start(ack: AckMode.Replica);
        owner = cluster.Start(ack: AckMode.Replica, toBackup: (partition, batch, _) =>
        {
            backup.Keep(partition, owner.Self, BackupBatch.Read(last = BytesOf(batch)));
            return Task.FromResult(true);
        });
        await cluster.ReplicateAsync(owner);
        Assert.Equal(GrantResult.Held, await owner.BeginTenureAsync(new Epoch(1), Cluster.Everything, null, cluster.Token));
        await cluster.AddAsync(owner); // By the log: no backup is named yet.
        await cluster.ReplicateAsync(backup);
        owner.NameBackup(Cluster.RoomPartition, backup.Self);

        await cluster.StopLogAsync();
        for (var write = 0; write < 20; write++) await cluster.AddAsync(owner);

        backup.Keep(Cluster.RoomPartition, owner.Self, BackupBatch.Read(last)); // Sent again.
        backup.KeepNoMore();
        Assert.Equal(ErrorCodes.NotOwner, Assert.Throws<ShardCloudException>(() => backup.Keep(Cluster.RoomPartition, owner.Self, BackupBatch.Read(last))).Code);
        Assert.Equal([owner.Self], backup.CopiedOwners);
    }

    private static byte[] BytesOf(BackupBatch batch)
    {
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        batch.Write(bytes);
        return bytes.WrittenSpan.ToArray();
    }
}
