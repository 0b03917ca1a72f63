using CsCheck;
using ShardCloud.Bench.Resync;
using ShardCloud.Crdt;

namespace ShardCloud.Replication.Tests;

/// <summary>The exchange of docs/protocol/repair.md between two replicas, both sides' cores with nothing between.</summary>
public sealed class ExchangeTests
{
    private const int Writers = 3;

    // Method: three writers change fields of every kind in some endpoints; each side gets its own share of the deltas, some lost, some twice, in its own order. What
    // both should hold is the join of what both were given.
    [Fact]
    public void Join_AnyDivergence_BothEndWithTheJoinAndASecondExchangeMovesNothing() =>
        Gen.Int.Sample(seed =>
        {
            var random = new Random(seed);
            var (left, right) = Diverge(random, subset: false);
            var expected = left.Keys.Union(right.Keys).ToDictionary(e => e, e => JoinOf(left.GetValueOrDefault(e), right.GetValueOrDefault(e)));

            for (var round = 0; round < 2; round++)
            {
                var (asker, pushed) = Run(ExchangeMode.Join, left, right, salt: seed + round);
                foreach (var taken in asker.Taken) left[taken.Endpoint] = taken;
                foreach (var push in pushed) right[push.Endpoint] = Merge(right.GetValueOrDefault(push.Endpoint), push);
                if (round == 1) Assert.Equal((0, 0, 0), (asker.Differences.Count, asker.Taken.Count, pushed.Count));
            }
            foreach (var (endpoint, document) in expected)
                Assert.True(document.SameAs(left[endpoint].Document) && document.SameAs(right[endpoint].Document), $"{endpoint} is not the join; seed {seed}");
            return left.Count == expected.Count && right.Count == expected.Count;
        }, iter: 400);

    // The asker may hold more than the answerer, other documents, or other endpoints: it takes the answerer's state to the last bit.
    [Fact]
    public void Adopt_AnyDivergence_IsTheAnswerersState() =>
        Gen.Int.Sample(seed =>
        {
            var (left, right) = Diverge(new Random(seed), subset: (seed & 1) == 0);
            var (asker, _) = Run(ExchangeMode.Adopt, left, right, seed);
            Assert.True(asker.IsExact, $"not exact; seed {seed}");
            Assert.Equal(right.Count, asker.Adopted!.Endpoints.Count);
            return asker.Adopted.Endpoints.All(e => e.Document.SameAs(right[e.Endpoint].Document) && e.Sequences.SameAs(right[e.Endpoint].Sequences));
        }, iter: 300);

    /// <summary>What an incomplete replica did not fold, the complete peer did: the outcome is folded.</summary>
    [Fact]
    public void Adopt_PeerHasFolded_IsFolded()
    {
        var room = new EndpointId("rooms/1");
        var old = Written(Document.Empty, 3, t => { t.Counter("n").Add(5); t.Set("s").Add("a"); });
        var peer = Written(old.Fold(new Epoch(3)), 7, t => t.Counter("n").Add(1));
        var (asker, _) = Run(ExchangeMode.Adopt, Side(new SnapshotEndpoint(room, new EpochSequences(3, 1), 4, old)), Side(new SnapshotEndpoint(room, new EpochSequences(7, 1), 9, peer)), 1);
        Assert.True(asker.IsExact);
        Assert.True(peer.SameAs(Assert.Single(asker.Adopted!.Endpoints).Document));
    }

    /// <summary>Both folded alike: of a large document only the new change travels, not what stands under the folded epochs.</summary>
    [Fact]
    public void Adopt_SameFolded_OnlyTheChangeTravels()
    {
        var room = new EndpointId("rooms/1");
        var large = Written(Document.Empty, 3, t => { for (var i = 0; i < 200; i++) t.Set("members").Add($"member-{i:D20}"); }).Fold(new Epoch(3));
        var peer = Written(Written(large, 7, t => t.Set("members").Add("gone again")), 7, t => { t.Set("members").Add("one more"); t.Set("members").Remove("gone again"); });
        var mine = Written(large, 6, t => t.Counter("n").Increment());
        var joined = Document.Join(mine, peer);
        var (asker, pushed) = Run(ExchangeMode.Join, Side(new SnapshotEndpoint(room, new EpochSequences(7, 1), 4, mine)), Side(new SnapshotEndpoint(room, new EpochSequences(7, 1), 4, peer)), 1);
        Assert.InRange(asker.Bytes, 1, 600);
        Assert.True(joined.SameAs(Assert.Single(asker.Taken).Document));
        Assert.True(joined.SameAs(Document.Join(peer, Assert.Single(pushed).Delta)));

        var behind = Run(ExchangeMode.Adopt, Side(new SnapshotEndpoint(room, new EpochSequences(3, 1), 4, large)), Side(new SnapshotEndpoint(room, new EpochSequences(7, 1), 9, peer)), 1).Asker;
        Assert.True(behind.IsExact);
        Assert.InRange(behind.Bytes, 1, 1_500);
        Assert.True(DocumentCodec.ToBytes(peer).Length > 5_000);
    }

    /// <summary>The log has moved an endpoint on since the other's state was frozen: that is no divergence.</summary>
    [Fact]
    public void Join_ChangedSinceTheCut_IsLeftOut()
    {
        var rooms = Enumerable.Range(0, 50).Select(i => new EndpointId($"rooms/{i}")).ToArray();
        var right = Side([.. rooms.Select(room => new SnapshotEndpoint(room, new EpochSequences(1, 1), 5, Written(Document.Empty, 1, t => t.Counter("n").Increment())))]);
        var left = Side([.. right.Values]);
        left[rooms[3]] = left[rooms[3]] with { Sequences = new EpochSequences(1, 2), ChangedAt = 11, Document = Written(left[rooms[3]].Document, 1, t => t.Counter("n").Increment()) };
        left[new EndpointId("rooms/new")] = left[rooms[3]] with { Endpoint = new EndpointId("rooms/new") };
        var (asker, pushed) = Run(ExchangeMode.Join, left, right, 1);
        Assert.Equal((0, 0, 0), (asker.Differences.Count, asker.Taken.Count, pushed.Count));

        left[rooms[3]] = left[rooms[3]] with { ChangedAt = 10 }; // At the cut: now it counts.
        Assert.Equal(rooms[3], Assert.Single(Run(ExchangeMode.Join, left, right, 2).Asker.Differences));
    }

    /// <summary>The same dots with other payloads, as only damaged memory makes them: contexts show nothing, whole documents do.</summary>
    [Fact]
    public void Join_SameDotsOtherPayload_ASecondThoroughExchangeConverges()
    {
        var room = new EndpointId("rooms/1");
        Document Titled(string title) => Written(Document.Empty, 1, t => { t.Register("title").Set(title); t.Register("text").Set(new string('x', 200)); });
        var (left, right) = (Side(new SnapshotEndpoint(room, new EpochSequences(1, 2), 4, Titled("a"))), Side(new SnapshotEndpoint(room, new EpochSequences(1, 2), 4, Titled("b"))));
        foreach (var whole in (bool[])[false, true])
        {
            var (asker, pushed) = Run(ExchangeMode.Join, left, right, whole ? 2 : 1, whole);
            Assert.Equal(room, Assert.Single(asker.Differences));
            foreach (var taken in asker.Taken) left[taken.Endpoint] = taken;
            foreach (var push in pushed) right[push.Endpoint] = Merge(right[push.Endpoint], push);
        }
        Assert.True(left[room].Document.SameAs(right[room].Document));
    }

    [Fact]
    public void Message_CutOrDamaged_IsRefusedWithACode() =>
        Gen.Select(Gen.Int[0, 100], Gen.Int[0, 2000], Gen.Byte[1, 255], Gen.Bool).Sample((which, at, flip, isAnswer) =>
        {
            var (left, right) = Diverge(new Random(5), subset: false);
            var message = 0;
            try
            {
                Run(ExchangeMode.Join, left, right, 1, damage: bytes =>
                {
                    if (message++ != (2 * (which % 4)) + (isAnswer ? 1 : 0) || bytes.Length == 0) return bytes;
                    var damaged = bytes.ToArray();
                    damaged[at % damaged.Length] ^= flip;
                    return flip % 2 == 0 ? damaged : damaged[..(at % damaged.Length)];
                });
                return true; // An answer has no checksum of its own: what still reads as one is caught by the hashes of the next exchange.
            }
            catch (ShardCloudException error)
            {
                return error.Code == ErrorCodes.CorruptDelta;
            }
        }, iter: 500);

    /// <summary>The bar, in small: a tenth of the endpoints diverged costs at most a fifth of the state. In full: bench/Resync.</summary>
    [Theory]
    [InlineData(false, 20)]
    [InlineData(true, 5)]
    public void Adopt_ATenthDiverged_CostsAtMostAFifthOfTheState(bool realistic, int percentMax)
    {
        const int count = 10_000;
        var (left, right) = (Side(), Side());
        for (var i = 0; i < count; i++)
        {
            var before = realistic ? ResyncLoad.Room(i) : ResyncLoad.Counter(i);
            left[before.Endpoint] = before;
            right[before.Endpoint] = i % 10 == 3 ? ResyncLoad.Next(before) : before;
        }
        var (asker, _) = Run(ExchangeMode.Adopt, left, right, 1);
        Assert.True(asker.IsExact);
        Assert.Equal(count / 10, asker.Differences.Count);
        var full = ResyncLoad.BytesOf(Snapshot(right, 10));
        Assert.InRange(asker.Bytes * 100.0 / full, 0.1, percentMax);
    }

    private static Dictionary<EndpointId, SnapshotEndpoint> Side(params IReadOnlyList<SnapshotEndpoint> endpoints) => endpoints.ToDictionary(e => e.Endpoint);

    private static (ExchangeAsker Asker, List<PushedState> Pushed) Run(ExchangeMode mode, Dictionary<EndpointId, SnapshotEndpoint> left, Dictionary<EndpointId, SnapshotEndpoint> right, long salt,
        bool whole = false, Func<byte[], byte[]>? damage = null)
    {
        damage ??= bytes => bytes;
        var asker = new ExchangeAsker(mode, salt, positionMin: 4, World.LogIdentity, whole);
        var open = damage(asker.Next()!);
        var (askedMode, askedSalt, positionMin, identity) = ExchangeAnswerer.ReadOpen(open);
        Assert.Equal((4, World.LogIdentity), (positionMin, identity));
        var answerer = new ExchangeAnswerer(Snapshot(right, 10), askedMode, askedSalt);
        asker.Receive(damage(answerer.Answer(open)));
        asker.Compare(Snapshot(left, 12));
        var pushed = new List<PushedState>();
        while (asker.Next() is { } message)
        {
            asker.Receive(damage(answerer.Answer(damage(message))));
            pushed.AddRange(answerer.TakePushed());
            Assert.True(asker.Messages < 1000);
        }
        return (asker, pushed);
    }

    private static PartitionSnapshot Snapshot(Dictionary<EndpointId, SnapshotEndpoint> side, long position) => new PartitionReplica(0, 1, World.LogIdentity).Capture().With(position, [.. side.Values]);

    private static (Dictionary<EndpointId, SnapshotEndpoint> Left, Dictionary<EndpointId, SnapshotEndpoint> Right) Diverge(Random random, bool subset)
    {
        var (left, right) = (Side(), Side());
        for (var i = random.Next(1, 60); i > 0; i--)
        {
            var endpoint = new EndpointId($"rooms/{i}");
            var (l, r) = (random.Next(8) == 0 ? null : Document.Empty, random.Next(8) == 0 ? null : Document.Empty);
            if (random.Next(3) == 0) r = l; // Alike, or missing on both sides.
            var start = random.Next(3) == 0 ? Written(Document.Empty, 1, t => Change(t, new Random(i))).Fold(new Epoch(1)) : Document.Empty;
            var states = Enumerable.Range(0, Writers).Select(_ => start).ToArray();
            var deltas = new List<Delta>();
            for (var write = random.Next(12); write > 0; write--)
            {
                // Writers see each other's changes now and then, so that removals meet what they remove.
                var w = random.Next(Writers);
                if (random.Next(3) == 0) states[w] = Document.Join(states[w], states[random.Next(Writers)]);
                var transaction = new DocumentTransaction(states[w], new Epoch(2 + w), states[w].NextSequence(new Epoch(2 + w)));
                Change(transaction, random);
                var delta = transaction.Commit(out states[w], out _);
                if (delta.IssuedCount > 0) deltas.Add(delta);
            }
            if (l is not null) l = Deliver(start, deltas, random);
            if (r is not null) r = subset && l is not null ? Deliver(l, deltas, random) : ReferenceEquals(r, l) ? l : Deliver(start, deltas, random);
            if (l is { IsEmpty: false }) left[endpoint] = new SnapshotEndpoint(endpoint, Sequences(random), random.Next(10), l);
            if (r is { IsEmpty: false }) right[endpoint] = new SnapshotEndpoint(endpoint, Sequences(random), random.Next(10), r);
        }
        return (left, right);
    }

    private static EpochSequences Sequences(Random random) =>
        new(2 + random.Next(2), random.Next(3), random.Next(3) == 0 ? new Dictionary<long, long> { [1] = random.Next(5) } : null);

    private static Document Deliver(Document start, List<Delta> deltas, Random random)
    {
        var document = start;
        foreach (var delta in deltas.Concat(deltas).OrderBy(_ => random.Next()).Where(_ => random.Next(3) > 0)) document = Document.Join(document, delta);
        return document;
    }

    private static void Change(DocumentTransaction t, Random random)
    {
        switch (random.Next(8))
        {
            case 0: t.Counter("n").Add(random.Next(1, 5)); break;
            case 1: t.Set("s").Add($"e{random.Next(4)}"); break;
            case 2: t.Set("s").Remove($"e{random.Next(4)}"); break;
            case 3: t.Register("r").Set(random.Next(9)); break;
            case 4: t.List("l").Append(new string('x', random.Next(60))); break;
            case 5: t.List("l").TrimTo(2); break;
            case 6: t.Flag("f").Enable(); break;
            default: t.Flag("f").Disable(); break;
        }
    }

    private static Document Written(Document before, long epoch, Action<DocumentTransaction> change)
    {
        var transaction = new DocumentTransaction(before, new Epoch(epoch), before.NextSequence(new Epoch(epoch)));
        change(transaction);
        transaction.Commit(out var after, out _);
        return after;
    }

    private static Document JoinOf(SnapshotEndpoint left, SnapshotEndpoint right) => Document.Join(left.Document ?? Document.Empty, right.Document ?? Document.Empty);

    private static SnapshotEndpoint Merge(SnapshotEndpoint mine, PushedState push)
    {
        return new SnapshotEndpoint(push.Endpoint, EpochSequences.Max(mine.Sequences, push.Sequences), mine.ChangedAt, Document.Join(mine.Document ?? Document.Empty, push.Delta));
    }
}
