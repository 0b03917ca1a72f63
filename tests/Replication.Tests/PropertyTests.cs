using CsCheck;

namespace ShardCloud.Replication.Tests;

public class PropertyTests
{
    private static readonly EndpointId[] Rooms = [.. Enumerable.Range(0, 12).Select(i => new EndpointId($"rooms/{i}"))];

    private static readonly Gen<GrantCoverage> Coverages =
        from first in Gen.Int[0, 15]
        from count in Gen.Int[0, 16]
        from except in Gen.Int[0, (1 << 12) - 1]
        from placed in Gen.Int[0, (1 << 12) - 1]
        let range = new SlotRange(first * 1024, Math.Max(1, Math.Min(count, 16 - first)) * 1024)
        let hashes = Rooms.Where((_, i) => (except >> i & 1) == 1).Select(r => r.KeyHash).Where(h => range.Contains(Slot.Of(h))).ToArray()
        select new GrantCoverage(count == 0 ? [] : [new SlotCover(range, hashes)], [.. Rooms.Where((_, i) => (placed >> i & 1) == 1 && i % 3 == 0)]);

    // Method: land Grants in any order in the table, and keep them all in a list; per endpoint the highest in the list that covers it counts.
    [Fact]
    public void Coverage_GrantsLandInAnyOrder_AgreesWithAListOfAllGrants() =>
        Gen.Select(Gen.Long[1, 40], Coverages).List[1, 20].Sample(grants =>
        {
            var table = new CoverageTable(SlotRange.All, Guards.All);
            foreach (var (epoch, coverage) in grants) table.Land(epoch, coverage);
            foreach (var room in Rooms)
            {
                var expected = grants.Where(g => NaivelyCovers(g.Item2, room)).Select(g => g.Item1).DefaultIfEmpty(0).Max();
                if (table.EpochOf(room.KeyHash) != expected) return false;
            }
            return true;
        }, iter: 1000);

    // The restored table must go on as the original does.
    [Fact]
    public void Coverage_RestoredFromASnapshot_GoesOnAlike() =>
        Gen.Select(Gen.Select(Gen.Long[1, 40], Coverages).List[1, 10], Gen.Select(Gen.Long[1, 40], Coverages).List[1, 10]).Sample((before, after) =>
        {
            var (table, restored) = (new CoverageTable(SlotRange.All, Guards.All), new CoverageTable(SlotRange.All, Guards.All));
            foreach (var (epoch, coverage) in before) table.Land(epoch, coverage);
            restored.Restore(table.BySlot, table.Apart);
            foreach (var (epoch, coverage) in after)
            {
                table.Land(epoch, coverage);
                restored.Land(epoch, coverage);
            }
            return Rooms.All(r => table.EpochOf(r.KeyHash) == restored.EpochOf(r.KeyHash));
        }, iter: 1000);

    // Method: a random history of grants, handoffs, writes, late landings, lost acks, failures and pauses on three members, decided step by step by
    // the seed. Then: no answered write is missing in the log's accepted state; an answered read holds every write answered before it; and every
    // reader agrees, whatever snapshot it started from. Now and then a record comes to a member damaged; it is repaired from a complete one, by the
    // production exchange, and asks for a new grant.
    [Fact]
    public async Task History_AnyOrderOfLandings_AnsweredWritesSurviveAndAllReadersAgree() =>
        await Gen.Select(Gen.Int, Gen.Int[0, 2]).SampleAsync((seed, ack) => RunAsync(new Random(seed), ((AckMode[])[AckMode.Log, AckMode.Lease, AckMode.Replica])[ack]), iter: 450);

    [Fact]
    public void Record_DamagedAnywhere_IsSetAsideOrHarmless() =>
        Gen.Select(Gen.Int[0, 2], Gen.Int[0, 4000], Gen.Byte, Gen.Int[0, 40]).Sample((which, at, flip, cut) =>
        {
            var world = new World();
            var s = world.Start("s").OwnsFrom(1);
            s.Add();
            s.LandAll();
            s.Add(endpoint: Rooms[3]);
            s.LandAll();
            var damaged = world.Log[which].ToArray();
            damaged[at % damaged.Length] ^= flip;
            world.Log[which] = damaged[..Math.Max(0, damaged.Length - cut)];
            var reader = world.ReadAll();
            var unharmed = flip == 0 && cut == 0;
            return reader.Position == 2 && (unharmed ? reader.IsComplete : reader.SetAside > 0 && !reader.IsComplete);
        }, iter: 1000);

    [Fact]
    public void Record_OfRandomBytes_NeverThrows() =>
        Gen.Byte.Array[0, 300].Sample(bytes =>
        {
            var replica = new PartitionReplica(0, 1, World.LogIdentity);
            replica.Apply(0, bytes, NoSink.Instance);
            return replica.Position == 0 && !replica.IsComplete;
        }, iter: 2000);

    // Well-formed envelopes around random bodies: the checksum holds, the content does not.
    [Fact]
    public void Body_OfRandomBytes_NeverThrows() =>
        Gen.Select(Gen.Byte[1, 4], Gen.Byte.Array[0, 200]).Sample((kind, body) =>
        {
            var record = LogRecordCodec.Seal((RecordKind)kind, new IncarnationId("s~1"), [new SlotRange(7, 2)], body);
            var replica = new PartitionReplica(0, 1, World.LogIdentity);
            replica.Apply(0, record, NoSink.Instance);
            return replica.Position == 0 && (replica.IsComplete || !replica.IsCompleteFor(new Slot(7)) || replica.IsCompleteFor(new Slot(6)));
        }, iter: 2000);

    [Fact]
    public async Task Snapshot_CutOrDamaged_IsRefusedWithACode()
    {
        var world = new World();
        var s = world.Start("s").OwnsFrom(1);
        foreach (var room in Rooms) s.Add(endpoint: room);
        s.LandAll();
        var bytes = await BytesOf(s.Replica.Capture());
        Gen.Select(Gen.Int[0, bytes.Length - 1], Gen.Byte[1, 255], Gen.Bool).Sample((at, flip, cut) =>
        {
            var damaged = cut ? bytes[..at] : bytes.ToArray();
            if (!cut) damaged[at] ^= flip;
            var error = Record.Exception(() => PartitionSnapshot.ReadAsync(new MemoryStream(damaged)).GetAwaiter().GetResult());
            return error is ShardCloudException { Code: ErrorCodes.CorruptDelta };
        }, iter: 1000);
    }

    private static bool NaivelyCovers(GrantCoverage coverage, EndpointId endpoint) =>
        coverage.Placed.Contains(endpoint) || coverage.Slots.Any(s => s.Range.Contains(endpoint.Slot) && !s.Except.Contains(endpoint.KeyHash));

    private static async Task<byte[]> BytesOf(PartitionSnapshot snapshot)
    {
        var stream = new MemoryStream();
        await snapshot.WriteAsync(stream);
        return stream.ToArray();
    }

    private static async Task<bool> RunAsync(Random random, AckMode ack)
    {
        var world = new World(Guards.All, ack);
        Node[] nodes = [world.Start("s"), world.Start("d"), world.Start("e")];
        Node BackupOf(Node node) => nodes[(Array.IndexOf(nodes, node) + 1) % nodes.Length];
        foreach (var node in nodes) node.Tenure.NameBackup(BackupOf(node).Self);
        var (epoch, item, snapshots, writes) = (1L, 0, new List<PartitionSnapshot>(), new List<(Node By, EndpointId Room, string Item, ReleaseToken Token)>());
        var reads = new List<(Node By, ReleaseToken Token, string[] Missing)>();
        var owner = nodes[0];
        owner.TakeOver(epoch);
        for (var step = 0; step < 60; step++)
        {
            var node = nodes[random.Next(nodes.Length)];
            switch (random.Next(13))
            {
                case 0: // Take-over. The fence takes the old owner's lease; under `lease` a valid lease at the ack is what the rule rests on.
                    if (ack == AckMode.Replica)
                    {
                        // One crash at a time, and only the named backup; it has read the log's end when it begins.
                        if (owner.Tenure.Holdings.Any(h => !h.IsSettled)) break;
                        node = BackupOf(owner);
                        node.Read();
                    }
                    if (!node.Replica.IsComplete) break; // No promotion.
                    foreach (var other in nodes) other.LeaseValid = false;
                    (owner, node.LeaseValid) = (node, true);
                    node.TakeOver(++epoch);
                    break;
                case 1 when node != owner && node.Replica.IsComplete && owner.Replica.IsComplete && owner.Tenure.Holdings.Count > 0 && owner.Tenure.Holdings.All(h => h.IsSettled) && owner.Open(Rooms[0]) is not null:
                    var final = owner.Seal(++epoch, node.Replica.Position);
                    if (random.Next(4) == 0) owner.Tenure.Unseal(final.Handoff);
                    else
                    {
                        node.Receive(++epoch, final);
                        (owner, node.LeaseValid) = (node, true);
                    }
                    break;
                case 2 when ack == AckMode.Replica && node.Tenure.TakeBatch() is { } batch: // Instead of a failed append, which would be the owner's crash.
                    node.BackUp(batch, BackupOf(node), random);
                    break;
                case 2 when ack != AckMode.Replica && random.Next(4) == 0 && node.Travelling > 0:
                    node.Fail();
                    break;
                case 3 or 4 when node.Travelling > 0:
                    node.Land()();
                    break;
                case 5 when node.Travelling > 0 && random.Next(3) == 0:
                    var ack1 = node.Land();
                    node.Read();
                    ack1(); // The reader was faster than the ack.
                    break;
                case 6 or 7:
                    node.Read(random.Next(1, 4));
                    break;
                case 8 when node.Replica.IsComplete:
                    snapshots.Add(await PartitionSnapshot.ReadAsync(new MemoryStream(await BytesOf(node.Replica.Capture()))));
                    break;
                case 12 when node.Replica.IsComplete:
                    // Under `replica` an owner that becomes incomplete ends as in a crash: case 0.
                    if (ack != AckMode.Replica || node != owner) node.ReadDamaged(random.Next(1000));
                    break;
                case 12:
                    if (!await node.RepairFromAnyAsync(nodes)) break;
                    if (node == owner) node.TakeOver(++epoch);
                    break;
                case 9:
                    var read = Rooms[random.Next(3)];
                    if (node.Open(read) is not { } seen) break;
                    var items = seen.Current.Fields.Set("items");
                    var missing = writes.Where(w => w.Room == read && w.By.Outcome(w.Token) == ReleaseOutcome.Released && !items.Contains(w.Item));
                    reads.Add((node, node.Tenure.Release.ForRead(seen), [.. missing.Select(w => w.Item)]));
                    break;
                default:
                    var room = Rooms[random.Next(3)];
                    if (node.Open(room) is not { } state) break;
                    var name = $"i{item++}";
                    if (node.Commit(state, t => t.Set("items").Add(name)) == CommitOutcome.Committed) writes.Add((node, room, name, AnswerRelease.ForWrite(state)));
                    break;
            }
        }
        await Node.ReadToTheEndAsync(nodes);

        var truth = world.ReadAll();
        Assert.True(truth.IsComplete, "a gap in the log");
        foreach (var (by, room, name, token) in writes)
        {
            var (answered, there) = (by.Outcome(token) == ReleaseOutcome.Released, truth.Accepted(room).Fields.Set("items").Contains(name));
            Assert.True(there || !answered, $"{name} of {by.Self} was answered and is lost");
        }
        foreach (var (by, token, missing) in reads)
            Assert.True(missing.Length == 0 || by.Outcome(token) != ReleaseOutcome.Released, $"{by.Self} answered a read that lacks {string.Join(' ', missing)}");
        foreach (var replica in nodes.Select(n => n.Replica).Concat(snapshots.Select(s => world.ReadAll(s))))
            foreach (var room in Rooms)
                Assert.True(truth.Accepted(room).SameAs(replica.Accepted(room)) && truth.EpochOf(room) == replica.EpochOf(room), $"readers differ on {room}");

        // The owner's served state is what the log says, plus nothing, once all has landed.
        foreach (var room in Rooms)
            if (owner.Open(room) is { } open) Assert.True(truth.Accepted(room).SameAs(open.Current), $"the owner serves another {room} than the log holds");
        return true;
    }
}
