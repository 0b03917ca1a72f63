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
