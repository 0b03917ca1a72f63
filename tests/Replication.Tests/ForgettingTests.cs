using CsCheck;
using ShardCloud.Crdt;
using ShardCloud.Routing;

namespace ShardCloud.Replication.Tests;

/// <summary>Spent documents leave the replicas with a Grant of their owner's: docs/protocol/forgetting.md.</summary>
public sealed class ForgettingTests
{
    private static readonly EndpointId Room = World.Room, Other = new("rooms/2");
    private static readonly EndpointId[] Rooms = [Room, Other, new("rooms/3")];

    [Fact]
    public void RenewedGrant_SpentDocument_LeavesReplicasOwnerAndSnapshots()
    {
        var (world, s) = Start();
        Set(s, 7, Other);
        var d = world.Start("d");
        Expire(s);
        Assert.Equal((1, 1), s.Tenure.CountSpent());
        Renew(s, 2);
        d.Read();

        Assert.Equal((0, 1), s.Tenure.CountSpent());
        foreach (var replica in new[] { s.Replica, d.Replica, world.ReadAll() })
        {
            Assert.Equal((1, true), (replica.EndpointCount, replica.IsComplete));
            Assert.Equal([Other], replica.Capture().Endpoints.Select(e => e.Endpoint));
        }
        Assert.Equal(7, Value(s.Open(Other)!.Current));
    }

    [Fact]
    public void ForgottenEndpoint_WrittenAgain_LivesEverywhere()
    {
        var (world, s) = Start();
        var d = world.Start("d");
        Expire(s);
        Renew(s, 2);
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(Set(s, 9)));
        Set(s, 10);
        d.Read();

        foreach (var replica in new[] { s.Replica, d.Replica, world.ReadAll() })
        {
            Assert.True(replica.IsComplete);
            Assert.Equal((10, 2), (Value(replica.Accepted(Room)), replica.LastSequence(Room, new Epoch(2))));
        }
        d.TakeOver(3);
        d.LandAll();
        d.Read();
        Assert.Equal(10, Value(d.Open()!.Current));
    }

    /// <summary>An endpoint that was only asked for costs its owner memory too.</summary>
    [Fact]
    public void OpenedAndNeverWritten_LeavesTheOwner()
    {
        var (_, s) = Start();
        Assert.NotNull(s.Open(new EndpointId("rooms/nobody")));
        Assert.Equal((1, 0), s.Tenure.CountSpent());
        Renew(s, 2);
        Assert.Equal((0, 0), s.Tenure.CountSpent());
    }

    [Fact]
    public void Kept_WhatHoldsSomething_OrWasChangedSince_OrIsAnothers()
    {
        var (world, s) = Start();
        Set(s, 1);
        s.Commit(s.Open(Other)!, t => t.AddRequestRecord(new RequestRecord("id", 204, "", default, 0, 0)));
        s.LandAll();
        var forgetTo = s.Replica.Position;
        Clear(s); // After the epoch was asked for.
        s.Renew(2, forgetTo);
        s.LandAll();
        Assert.Equal(2, world.ReadAll().EndpointCount);

        // The next one does, but for the endpoint that is not covered.
        var d = world.Start("d");
        d.Read();
        d.Tenure.Begin(new Epoch(3), GrantCoverage.OfEndpoints(Room), null);
        d.LandAll();
        s.Read();
        s.Tenure.Begin(new Epoch(4), new GrantCoverage([new SlotCover(SlotRange.All, [Room.KeyHash])], []), null, s.Replica.Position);
        s.LandAll();
        Assert.Equal(2, world.ReadAll().EndpointCount);
    }

    /// <summary>Convergent endpoints stay: an older epoch of another owner may still be open.</summary>
    [Fact]
    public void Kept_Convergent()
    {
        var world = new World(templates: new TemplateTable([new TemplateSpec("/rooms/{room}", Mode.Convergent)]));
        var s = world.Start("s").OwnsFrom(1);
        Expire(s);
        Renew(s, 2);
        Assert.Equal(1, world.ReadAll().EndpointCount);
        Assert.Equal((0, 1), s.Tenure.CountSpent());
    }

    /// <summary>What a closed epoch wrote comes behind the Grant that closed it, to an endpoint that nobody remembers.</summary>
    [Fact]
    public void LateDelta_OfAnEarlierLife_IsRejected()
    {
        var (world, s) = Start();
        Expire(s);
        s.Commit(s.Open()!, t => t.Register("v").Set(5)); // Travels.
        Assert.Equal(1, s.Travelling);
        var d = world.Start("d");
        d.OwnsFrom(2);
        Renew(d, 3);
        Assert.Equal(0, d.Replica.EndpointCount);

        s.LandAll();
        foreach (var replica in new[] { d.Replica, world.ReadAll() })
        {
            d.Read();
            Assert.True(replica.Accepted(Room).IsEmpty && replica.IsComplete);
            Assert.Equal(1, replica.RejectedItems);
        }
    }

    /// <summary>
    /// The backup has a copy of a write, not of the one that removed it, and has read neither when it takes over; both land before its Grant, and a renewed Grant of the old owner's behind them.
    /// That Grant may speak only of what its owner had read before it asked the map for the epoch: then whoever takes over later has read it too. Without that the copy would bring the write back.
    /// </summary>
    [Theory]
    [InlineData(false, 0)]
    [InlineData(true, 5)]
    public void StaleCopy_BringsNothingBack_BecauseOfTheOffset(bool isBroken, long shows)
    {
        var world = new World(ack: AckMode.Replica);
        var (s, b) = (world.Start("s"), world.Start("b"));
        s.Tenure.NameBackup(b.Self);
        s.OwnsFrom(1);
        b.Read();
        s.Commit(s.Open()!, t => t.Register("v").Set(5));
        s.Copy(b)();
        s.Commit(s.Open()!, t => t.Register("v").Clear());
        var asked = s.Replica.Position; // Epoch 2; then epoch 3 is committed for b, which reads the log's end.
        b.Read();
        b.TakeOver(3);
        s.LandAll();
        s.Read();
        s.Renew(2, isBroken ? s.Replica.Position : asked);
        s.LandAll();
        b.LandAll();
        b.Read();

        Assert.Equal(shows, Value(world.ReadAll().Accepted(Room)));
        Assert.Equal(shows, Value(b.Open()!.Current));
    }

    [Fact]
    public void Grant_ThatCarries_ForgetsNothing()
    {
        var (world, s) = Start();
        Expire(s);
        var d = world.Start("d");
        d.Read();
        s.Commit(s.Open(Other)!, t => t.Register("v").Set(3));
        d.Tenure.Begin(new Epoch(3), GrantCoverage.OfSlots(SlotRange.All), s.Seal(2, d.Replica.Position).Endpoints, d.Replica.Position);
        d.LandAll();
        Assert.Equal(-1, LogRecordCodec.Decode(world.Log[^2]).Grant!.ForgetTo);
        Assert.Equal(2, world.ReadAll().EndpointCount);
    }

    /// <summary>The source cannot tell a destination what it has forgotten. It need not: the destination has read the log's end after the plan, and nothing that is on the move is granted to its owner again.</summary>
    [Fact]
    public void Handoff_ToOneThatHasNotReadTheGrant_ServesNothingThatWasForgotten()
    {
        var (world, s) = Start();
        var d = world.Start("d");
        Set(s, 5);
        d.Read();
        Clear(s);
        var asked = s.Replica.Position; // Epoch 2; then the handoff is planned, and its destination reads the log's end.
        d.Read();
        s.Renew(2, asked);
        s.LandAll();
        s.Read();
        Assert.Equal(0, s.Replica.EndpointCount);

        d.Receive(4, s.Seal(3, d.Replica.Position));
        Assert.Equal(0, Value(d.Open()!.Current));
        d.Commit(d.Open()!, t => Set(t, 6));
        d.LandAll();
        d.Read();
        foreach (var replica in new[] { d.Replica, world.ReadAll() }) Assert.Equal((6, true), (Value(replica.Accepted(Room)), replica.IsComplete));
        Assert.True(d.Replica.Accepted(Room).SameAs(d.Open()!.Current));
    }

    /// <summary>The answerer stands before the Grant, and shows what the asker has forgotten since: no difference, and nothing comes back. Nor by what was sent before and arrives after it.</summary>
    [Fact]
    public async Task Exchange_OneHasForgottenSince_FindsNoDifference()
    {
        var (world, s) = Start();
        var d = world.Start("d");
        Set(s, 5);
        d.Read();
        var before = d.Replica.Capture();
        Clear(s);
        d.Read();
        var spent = d.Replica.Capture();
        Renew(s, 2);
        foreach (var peer in new[] { before, spent })
        {
            var asker = await CompareAsync(s.Replica, peer);
            Assert.Equal((0, 0, 0), (asker.Differences.Count, asker.Taken.Count, asker.Pushed));
            var old = Assert.Single(peer.Endpoints);
            Assert.False(s.Replica.TakeIn(old.Endpoint, old.Sequences, old.Document, asOf: peer.Position));
        }
        d.Read();
        Assert.Empty((await CompareAsync(s.Replica, d.Replica.Capture())).Differences);
        Assert.Equal(0, s.Replica.EndpointCount);
    }

    /// <summary>An older release must not read such a Grant: it would keep what the others forget. Others are written as ever.</summary>
    [Fact]
    public void Record_AsksForItsLevel()
    {
        var (world, s) = Start();
        Assert.Equal(1, LogRecordCodec.MinReaderOf(world.Log[^1]));
        Renew(s, 2);
        Assert.Equal(LogRecordCodec.ForgettingLevel, LogRecordCodec.MinReaderOf(world.Log[^1]));
        Assert.NotNull(PartitionLog.WhyNot(world.Log[^1], cloud: LogRecordCodec.ForgettingLevel - 1));
    }

    // Method: a random history of three members: endpoints that are set and cleared, renewed grants whose record is queued late, take-overs, handoffs, late landings, failed appends, copies for
    // backups, damaged records and repairs, comparisons. The same log is read by a replica that forgets nothing: every field must be the same, all readers equal to the last bit whatever snapshot
    // they started from, comparisons find no difference, and an answered read shows the last answered write or one after it.
    [Fact]
    public async Task History_WithAndWithoutForgetting_ShowsTheSame()
    {
        var forgot = 0;
        await Gen.Select(Gen.Int, Gen.Int[0, 2]).SampleAsync(async (seed, ack) =>
        {
            if (await RunAsync(new Random(seed), ((AckMode[])[AckMode.Log, AckMode.Lease, AckMode.Replica])[ack])) Interlocked.Increment(ref forgot);
            return true;
        }, iter: 450);
        Assert.True(forgot > 100, $"documents were forgotten in {forgot} histories");
    }

    private static async Task<bool> RunAsync(Random random, AckMode ack)
    {
        var world = new World(Guards.All, ack);
        Node[] nodes = [world.Start("s"), world.Start("d"), world.Start("e")];
        Node BackupOf(Node node) => nodes[(Array.IndexOf(nodes, node) + 1) % nodes.Length];
        foreach (var node in nodes) node.Tenure.NameBackup(BackupOf(node).Self);
        var (epoch, value, snapshots) = (1L, 0L, new List<PartitionSnapshot>());
        var (writes, reads) = (new List<(Node By, EndpointId Room, long Value, ReleaseToken Token)>(), new List<(Node By, ReleaseToken Token, long Shown, long[] Allowed)>());
        var asked = new List<(Node By, long Epoch, long ForgetTo)>(); // Renewals in the map that their owner has not begun.
        (Node To, HandoffId Handoff)? planned = null;
        var owner = nodes[0];
        owner.TakeOver(epoch);
        for (var step = 0; step < 160; step++)
        {
            var node = random.Next(2) == 0 ? owner : nodes[random.Next(nodes.Length)];
            switch (random.Next(20))
            {
                case 0 when random.Next(4) == 0:
                    if (ack == AckMode.Replica)
                    {
                        if (owner.Tenure.Holdings.Any(h => !h.IsSettled)) break;
                        node = BackupOf(owner);
                    }
                    node.Read(); // Whoever takes over reads to the log's end after its commit.
                    if (!node.Replica.IsComplete) break;
                    foreach (var other in nodes) other.LeaseValid = false;
                    (owner, node.LeaseValid, planned) = (node, true, null);
                    node.TakeOver(++epoch);
                    break;
                case 1 when planned is null && node != owner && node.Replica.IsComplete:
                    planned = (node, new HandoffId(++epoch));
                    node.Read(); // The first step of a destination, after the plan.
                    break;
                case 2 when planned is var (to, handoff) && to.Replica.IsComplete && owner.Replica.IsComplete && owner.Tenure.Holdings.Count > 0 && owner.Tenure.Holdings.All(h => h.IsSettled) && owner.Open(Room) is not null:
                    planned = null;
                    var final = owner.Seal(handoff.Value, to.Replica.Position);
                    if (random.Next(4) == 0) owner.Tenure.Unseal(handoff);
                    else
                    {
                        to.Receive(++epoch, final);
                        (owner, to.LeaseValid) = (to, true);
                    }
                    break;
                case 3 when ack == AckMode.Replica && node.Tenure.TakeBatch() is { } batch:
                    node.BackUp(batch, BackupOf(node), random);
                    break;
                case 3 when ack != AckMode.Replica && random.Next(12) == 0 && node.Travelling > 0:
                    node.Fail();
                    break;
                case 4 or 5 or 6 when node.Travelling > 0:
                    var acknowledge = node.Land();
                    if (random.Next(4) == 0) node.Read(); // The reader was faster than the ack.
                    acknowledge();
                    break;
                case 7 or 8:
                    node.Read(random.Next(1, 6));
                    break;
                case 9 when node.Replica.IsComplete:
                    snapshots.Add(node.Replica.Capture());
                    break;
                case 10 or 16 when planned is null && owner.Tenure.Holdings.Count > 0 && owner.Tenure.Holdings.All(h => h.IsSettled):
                    asked.Add((owner, ++epoch, owner.Replica.Position));
                    break;
                case 11 or 12 when asked.Count > 0:
                    var (by, renewed, forgetTo) = asked[0];
                    asked.RemoveAt(0);
                    if (by.Replica.IsComplete && by.Tenure.Holdings.Count > 0 && by.Tenure.Holdings.All(h => h.Epoch.Value < renewed)) by.Renew(renewed, forgetTo);
                    break;
                case 13 when random.Next(6) == 0 || !node.Replica.IsComplete:
                    if (!node.Replica.IsComplete)
                    {
                        if (!await node.RepairFromAnyAsync(nodes)) break;
                        if (node == owner) node.TakeOver(++epoch);
                    }
                    else if (ack != AckMode.Replica || node != owner) node.ReadDamaged(random.Next(1000));
                    break;
                case 14:
                    var peer = nodes[random.Next(nodes.Length)];
                    if (peer == node || peer.Replica.Position < node.Replica.Position || !peer.Replica.IsComplete) break;
                    var frozen = peer.Replica.Capture();
                    node.Read((int)(frozen.Position - node.Replica.Position) + random.Next(4));
                    if (!node.Replica.IsComplete) break;
                    Assert.Empty((await CompareAsync(node.Replica, frozen)).Differences);
                    break;
                case 15:
                    var looked = Rooms[random.Next(Rooms.Length)];
                    if (node.Open(looked) is not { } seen) break;
                    var last = writes.FindLastIndex(w => w.Room == looked && w.By.Outcome(w.Token) == ReleaseOutcome.Released);
                    reads.Add((node, node.Tenure.Release.ForRead(seen), Value(seen.Current), [.. last < 0 ? [0] : Array.Empty<long>(), .. writes.Skip(Math.Max(0, last)).Where(w => w.Room == looked).Select(w => w.Value)]));
                    break;
                default:
                    var room = Rooms[random.Next(Rooms.Length)];
                    if (node.Open(room) is not { } state) break;
                    var (next, sequence) = (random.Next(5) < 3 ? 0 : ++value, state.LastSequence);
                    if (node.Commit(state, t => Set(t, next)) == CommitOutcome.Committed && state.LastSequence > sequence) writes.Add((node, room, next, AnswerRelease.ForWrite(state)));
                    break;
            }
        }
        await Node.ReadToTheEndAsync(nodes);

        var (truth, naive, hasForgotten) = (new PartitionReplica(0, 1, World.LogIdentity), new PartitionReplica(0, 1, World.LogIdentity), false);
        for (var offset = 0; offset < world.Log.Count; offset++)
        {
            var before = truth.EndpointCount;
            truth.Apply(offset, world.Log[offset], NoSink.Instance);
            naive.Apply(offset, WithoutForgetting(world.Log[offset]), NoSink.Instance);
            hasForgotten |= truth.EndpointCount < before;
        }
        Assert.True(truth.IsComplete && naive.IsComplete && truth.RejectedItems == naive.RejectedItems, "what counts depends on what is forgotten");
        foreach (var room in Rooms) Assert.Equal(Value(naive.Accepted(room)), Value(truth.Accepted(room)));
        foreach (var (by, token, shown, allowed) in reads)
            Assert.True(by.Outcome(token) != ReleaseOutcome.Released || allowed.Contains(shown), $"an answered read showed {shown}; {string.Join(' ', allowed)} were possible");
        foreach (var replica in nodes.Select(n => n.Replica).Concat(snapshots.Select(s => world.ReadAll(s))))
            Assert.Equal(new DigestTree(truth.Capture().Endpoints, 1).Root, new DigestTree(replica.Capture().Endpoints, 1).Root);
        foreach (var room in Rooms)
            if (owner.Open(room) is { } open) Assert.True(truth.Accepted(room).SameAs(open.Current), $"the owner serves another {room} than the log holds");
        return hasForgotten;
    }

    private static byte[] WithoutForgetting(byte[] record) => LogRecordCodec.Decode(record) is { Grant: { ForgetTo: >= 0 } grant, Envelope: { } envelope } ? LogRecordCodec.Encode(envelope.Writer, grant with { ForgetTo = -1 }) : record;

    private static async Task<ExchangeAsker> CompareAsync(PartitionReplica mine, PartitionSnapshot theirs)
    {
        ExchangeAnswerer? answerer = null;
        var asker = await ExchangeRun.JoinAsync(_ => Task.FromResult(mine.Capture()), World.LogIdentity, theirs.Position, whole: false, (message, _) =>
        {
            if (ExchangeAnswerer.StepOf(message.Span) == ExchangeStep.Open) answerer = new ExchangeAnswerer(theirs, ExchangeMode.Join, ExchangeAnswerer.ReadOpen(message.Span).Salt);
            return Task.FromResult<byte[]?>(answerer!.Answer(message.Span));
        }, CancellationToken.None);
        return asker!;
    }

    private static (World World, Node Owner) Start()
    {
        var world = new World();
        return (world, world.Start("s").OwnsFrom(1));
    }

    /// <summary>Written and emptied, both in the log.</summary>
    private static void Expire(Node node)
    {
        Set(node, 5);
        Clear(node);
    }

    private static ReleaseToken Set(Node node, long value, EndpointId? room = null)
    {
        var state = node.Open(room)!;
        Assert.Equal(CommitOutcome.Committed, node.Commit(state, t => Set(t, value)));
        var token = AnswerRelease.ForWrite(state);
        node.LandAll();
        return token;
    }

    private static void Clear(Node node) => Set(node, 0);

    private static void Set(DocumentTransaction change, long value)
    {
        if (value == 0) change.Register("v").Clear();
        else change.Register("v").Set(value);
    }

    private static void Renew(Node node, long epoch)
    {
        node.Renew(epoch, node.Replica.Position);
        node.LandAll();
        node.Read();
    }

    private static long Value(Document document) => document.Fields.Register("v") is { IsNone: false } value ? value.AsInt64() : 0;
}
