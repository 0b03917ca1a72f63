using CsCheck;

namespace ShardCloud.Crdt.Tests;

/// <summary>The ranges agree with a plain set of dots.</summary>
public sealed class ContextTests
{
    private static readonly Gen<Dot> AnyDot = Gen.Select(Gen.Long[1, 3], Gen.Long[1, 12], (e, s) => new Dot(new Epoch(e), s));
    private static readonly Gen<Dot[]> Dots = AnyDot.Array[0, 20];

    [Fact]
    public void Context_AnyDots_AgreesWithASet() =>
        Gen.Select(Dots, Dots).Sample((left, right) =>
        {
            var (a, b) = (CausalContext.Of(left), right.Aggregate(CausalContext.Empty, (context, dot) => context.Add(dot)));
            var (setA, setB) = (left.ToHashSet(), right.ToHashSet());

            Assert.Equal(setA.Count, a.Count);
            Assert.Equal(CausalContext.Of(left.Concat(right)), a.Union(b));
            Assert.Equal(a.Union(b), b.Union(a));
            Assert.Equal(setA.Intersect(setB).Count(), a.IntersectionCount(b));
            Assert.Equal(setA.IsSupersetOf(setB), a.Covers(b));
            for (var epoch = 0L; epoch <= 4; epoch++)
            {
                var mine = setA.Where(dot => dot.Epoch.Value == epoch).Select(dot => dot.Sequence).ToHashSet();
                Assert.Equal(Enumerable.Range(1, 13).First(s => !mine.Contains(s)) - 1, a.MaximumOf(new Epoch(epoch)));
                Assert.Equal(mine.DefaultIfEmpty().Max(), a.HighestOf(new Epoch(epoch)));
                for (var s = 1L; s <= 13; s++) Assert.Equal(mine.Contains(s), a.Contains(new Dot(new Epoch(epoch), s)));
            }
        }, iter: 3_000, threads: 1);

    /// <summary>Folding is the same before and after a union, once or twice, in one step or several; what is seen stays seen.</summary>
    [Fact]
    public void Fold_AnyDots_AgreesWithASetThatHoldsTheClosedEpochs() =>
        Gen.Select(Dots, Dots, Gen.Long[0, 4], Gen.Long[0, 4]).Sample((left, right, one, two) =>
        {
            var (a, b, low, high) = (CausalContext.Of(left), CausalContext.Of(right), new Epoch(Math.Min(one, two)), new Epoch(Math.Max(one, two)));
            var folded = a.Fold(high);

            Assert.Equal(folded, a.Fold(low).Fold(high));
            Assert.Equal(folded, folded.Fold(low));
            Assert.Equal(a.Union(b).Fold(high), folded.Union(b.Fold(low)));
            Assert.Equal(a.Union(b).Fold(high), b.Union(folded));
            Assert.True(folded.Covers(a));
            Assert.Equal(high.Value > low.Value, !a.Fold(low).Covers(folded));
            for (var epoch = 1L; epoch <= 5; epoch++)
                for (var s = 1L; s <= 13; s++)
                {
                    var dot = new Dot(new Epoch(epoch), s);
                    Assert.Equal(epoch <= high.Value || a.Contains(dot), folded.Contains(dot));
                }
            Assert.Equal(right.Distinct().Count(folded.Contains), folded.IntersectionCount(b));
            Assert.Equal(right.Distinct().Count(folded.Contains), b.IntersectionCount(folded));
        }, iter: 3_000, threads: 1);

    /// <summary>
    /// What the log reader does: at a Grant all replicas have joined the same accepted deltas and fold the older epochs. Then they read the same as a
    /// replica that never folds, stay byte for byte the same as each other, and changes of later epochs do the same to all.
    /// </summary>
    [Fact]
    public void Fold_AtTheSameOffsetOnEveryReplica_ReadsAsIfNeverFolded() =>
        Gen.Select(Histories.Any, Histories.Any).Sample((early, late) =>
        {
            var world = new World(Document.Join, early);
            var accepted = world.Commits.Select(commit => commit.Delta).Aggregate(Document.Empty, Document.Join);
            var closed = new Epoch(accepted.Context.Ranges.ToArray().Select(range => range.Epoch.Value).DefaultIfEmpty(0).Max());
            var folded = accepted.Fold(closed);
            Assert.Equal(accepted.View(), folded.View());
            Assert.Equal(closed == Epoch.None ? 0 : closed.Value, folded.Context.Base.Value);

            // A later owner, which saw the folded state, and readers that folded or not.
            var owner = new World(Document.Join, late, folded, closed.Value);
            var expected = owner.Commits.Select(commit => commit.Delta).Reverse().Aggregate(folded, Document.Join);
            var (plain, live) = (accepted, new LiveDocument(folded));
            foreach (var (_, delta, _, _) in owner.Commits)
            {
                plain = Document.Join(plain, delta);
                live.Join(delta);
            }
            Assert.Equal(DocumentCodec.ToBytes(expected), DocumentCodec.ToBytes(live.Snapshot()));
            var travelled = DocumentCodec.DecodeDocument(DocumentCodec.ToBytes(live.Snapshot()));
            Assert.True(travelled.SameAs(live.Snapshot()));
            Assert.True(live.Snapshot().Context.Ranges.Length <= plain.Context.Ranges.Length);
            // Late repeats of closed epochs change nothing.
            foreach (var (_, delta, _, _) in world.Commits) live.Join(delta);
            Assert.Equal(DocumentCodec.ToBytes(expected), DocumentCodec.ToBytes(live.Snapshot()));
        }, iter: 200, threads: 1);

    [Fact]
    public void Fold_CounterOfManyEpochs_BecomesOneEntryAndItsEpochIsClosed()
    {
        var state = Document.Empty;
        for (var epoch = 1L; epoch <= 50; epoch++) JoinTests.Changed(state, epoch, 1, t => t.Map("m").Counter("c").Add(epoch % 2 == 0 ? -1 : 3), out state);
        var before = DocumentCodec.ToBytes(state).Length;

        var folded = state.Fold(new Epoch(49));
        JoinTests.Changed(folded, 51, 1, t => t.Map("m").Counter("c").Add(1), out var next);

        Assert.Equal((50, 50, 51), (state.Fields.Map("m").Counter("c"), folded.Fields.Map("m").Counter("c"), next.Fields.Map("m").Counter("c")));
        Assert.InRange(DocumentCodec.ToBytes(folded).Length, 10, 40);
        Assert.InRange(before, 300, 1_000);
        Assert.Throws<ArgumentOutOfRangeException>(() => new DocumentTransaction(folded, new Epoch(49), 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => new DocumentTransaction(folded, new Epoch(7), 1));
    }

    [Fact]
    public void Union_NextDotAfterManyEpochs_AllocatesNothing()
    {
        var context = Enumerable.Range(1, 20).Aggregate(CausalContext.Empty, (seen, epoch) => seen.Union(CausalContext.Of(new DotRange(new Epoch(epoch), 1, 10))));
        var next = CausalContext.Of(new DotRange(new Epoch(20), 10, 11));
        _ = context.Union(next);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var extended = context.Union(next);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(11, extended.MaximumOf(new Epoch(20)));
    }

    [Fact]
    public void Context_GapFilled_BecomesOneRange()
    {
        var context = CausalContext.Of([new Dot(new Epoch(1), 1), new Dot(new Epoch(1), 3)]);
        Assert.Equal(1, context.MaximumOf(new Epoch(1)));

        var filled = context.Add(new Dot(new Epoch(1), 2));

        Assert.Equal(3, filled.MaximumOf(new Epoch(1)));
        Assert.Equal(1, filled.Ranges.Length);
    }

    [Fact]
    public void Union_NothingNew_AllocatesNothing()
    {
        var large = CausalContext.Of(new DotRange(new Epoch(1), 1, 1_000));
        var small = CausalContext.Of(new Dot(new Epoch(1), 7));
        _ = large.Union(small);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var same = large.Union(small);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(large, same);
    }
}
