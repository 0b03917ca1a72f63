using CsCheck;

namespace ShardCloud.Crdt.Tests;

/// <summary>The product's join keeps every law over generated histories.</summary>
public sealed class JoinTests
{
    public static readonly TheoryData<string> LawNames = new(Laws.All.Keys);

    [Theory]
    [MemberData(nameof(LawNames))]
    public void Join_AnyHistory_KeepsTheLaw(string law) =>
        Histories.Any.Sample(steps => Assert.Null(Laws.All[law](Document.Join, steps)), iter: 250, threads: 1);

    [Fact]
    public void Join_RemovalArrivesBeforeTheAdd_AddStaysRemoved()
    {
        var add = Changed(Document.Empty, 1, 1, t => t.Set("s").Add("x"), out var withX);
        var remove = Changed(withX, 2, 1, t => t.Set("s").Remove("x"), out _);

        var late = Document.Join(Document.Join(Document.Empty, remove), add);

        Assert.False(late.Fields.Set("s").Contains("x"));
        Assert.Equal(1, late.Context.MaximumOf(new Epoch(1)));
    }

    [Fact]
    public void Join_ConcurrentAddAndRemove_AddWins()
    {
        Changed(Document.Empty, 1, 1, t => t.Set("s").Add("x"), out var shared);
        var remove = Changed(shared, 2, 1, t => t.Set("s").Remove("x"), out _);
        var again = Changed(shared, 3, 1, t => t.Set("s").Add("x"), out _);

        Assert.True(Document.Join(Document.Join(shared, remove), again).Fields.Set("s").Contains("x"));
        Assert.True(Document.Join(Document.Join(shared, again), remove).Fields.Set("s").Contains("x"));
    }

    // Were the lower of two concurrent writes thrown away at the join, the first replica would read "low" and the second nothing.
    [Fact]
    public void Join_WinnerClearedByOneWhoNeverSawTheLoser_OrderOfArrivalDoesNotMatter()
    {
        var low = Changed(Document.Empty, 1, 1, t => t.Register("r").Set("low"), out _);
        var high = Changed(Document.Empty, 2, 1, t => t.Register("r").Set("high"), out var withHigh);
        var clear = Changed(withHigh, 3, 1, t => t.Register("r").Clear(), out _);

        var first = new[] { low, clear, high }.Aggregate(Document.Empty, Document.Join);
        var second = new[] { low, high, clear }.Aggregate(Document.Empty, Document.Join);

        Assert.True(first.SameAs(second));
        Assert.Equal("low", first.Fields.Register("r").AsString());
    }

    // A dot counted twice made the join believe that nothing was left to remove elsewhere: "y" stayed.
    [Fact]
    public void Join_RenewedElementWhoseRenewalIsGone_StillRemovesElsewhere()
    {
        Changed(Document.Empty, 1, 1, t => { t.Set("s").Add("x"); t.Set("t").Add("y"); }, out var shared);
        var renew = Changed(shared, 2, 1, t => { t.Set("s").Add("x"); t.Set("t").Remove("y"); }, out var renewed);
        var remove = Changed(renewed, 3, 1, t => t.Set("s").Remove("x"), out var expected);

        Assert.True(Document.Join(Document.Join(shared, remove), renew).SameAs(expected));
    }

    [Fact]
    public void Join_OneNameWithTwoTypes_BothAreKept()
    {
        var counter = Changed(Document.Empty, 1, 1, t => t.Counter("x").Add(3), out var left);
        var set = Changed(Document.Empty, 2, 1, t => t.Set("x").Add("e"), out var right);

        var both = Document.Join(left, set);

        Assert.True(both.SameAs(Document.Join(right, counter)));
        Assert.Equal(3, both.Fields.Counter("x"));
        Assert.True(both.Fields.Set("x").Contains("e"));
    }

    [Fact]
    public void Join_RepeatedDelta_GivesTheSameInstance()
    {
        var delta = Changed(Document.Empty, 1, 1, t => { t.Counter("c").Add(3); t.Set("s").Add("x"); t.Map("m").Register("r").Set(1); }, out var state);
        Changed(state, 1, 4, t => t.Counter("other").Add(1), out var later);

        Assert.Same(later, Document.Join(later, delta));
    }

    // Goal: the fast path (few changed places) and the merge (many) do the same. Method: grow one replica by single deltas, the other by halves.
    [Fact]
    public void Join_LargeSets_SmallAndLargeStepsAgree()
    {
        var (state, single, next) = (Document.Empty, Document.Empty, 1L);
        var deltas = new List<Delta>();
        var random = new Random(5);
        for (var i = 0; i < 1_500; i++)
        {
            var transaction = new DocumentTransaction(state, new Epoch(4), next);
            if (random.Next(4) == 0) transaction.Set("s").Remove(random.Next(400));
            else transaction.Set("s").Add(random.Next(400));
            deltas.Add(transaction.Commit(out state, out next));
            single = Document.Join(single, deltas[^1]);
        }

        var halves = Document.Join(
            deltas.Take(750).Aggregate(Document.Empty, Document.Join),
            deltas.Skip(750).Aggregate(Document.Empty, Document.Join));

        Assert.True(single.SameAs(state));
        Assert.True(halves.SameAs(state));
        Assert.InRange(state.Fields.Set("s").Count, 200, 400);
    }

    // The hot path: one changed counter in a document that also holds a large set must not touch the set.
    [Fact]
    public void Join_SmallDeltaIntoALargeDocument_AllocatesLittle()
    {
        var (state, next) = (Document.Empty, 1L);
        for (var part = 0; part < 4; part++)
        {
            var fill = new DocumentTransaction(state, new Epoch(1), next);
            for (var i = 0; i < 2_500; i++) fill.Set("s").Add((part * 2_500) + i);
            fill.Counter("c").Increment();
            fill.Commit(out state, out next);
        }
        var delta = Changed(state, 1, next, t => t.Counter("c").Increment(), out var expected);
        var joined = Document.Join(state, delta);

        var before = GC.GetAllocatedBytesForCurrentThread();
        joined = Document.Join(state, delta);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.True(joined.SameAs(expected));
        Assert.Same(state.Root.Find("s", FieldKind.Set), joined.Root.Find("s", FieldKind.Set));
        Assert.InRange(allocated, 1, 800);
    }

    // Only removals elsewhere may cost a scan of the whole document: deltas that arrive in order and change what they name must not.
    [Fact]
    public void Join_ChangesInOrder_NeedNoScan()
    {
        var (state, next) = (Document.Empty, 1L);
        for (var i = 0; i < 50; i++)
        {
            var transaction = new DocumentTransaction(state, new Epoch(1 + (i / 20)), i % 20 == 0 ? next = 1 : next);
            transaction.Counter("c").Add(i + 1);
            transaction.Register("r").Set(i);
            transaction.Set("s").Add(i % 7);
            transaction.Map("m").Register("w").Set(i);
            transaction.AddRequestRecord(new RequestRecord($"q{i % 5}", 200, "", default, 0, 0));
            var before = state;
            var delta = transaction.Commit(out state, out next);

            var pass = new JoinPass(before.Context, delta.Changes.Context, Stamps.Next());
            before.Root.Join(delta.Changes.Root, ref pass);
            before.RequestTable.Join(delta.Changes.RequestTable, ref pass);
            Assert.True(pass.IsFinished, $"change {i} needs a scan");
        }

        var removal = Changed(state, 3, next, t => t.Set("s").Remove(3), out _);
        var scan = new JoinPass(state.Context, removal.Changes.Context, Stamps.Next());
        state.Root.Join(removal.Changes.Root, ref scan);
        Assert.False(scan.IsFinished);
    }

    internal static Delta Changed(Document state, long epoch, long next, Action<DocumentTransaction> change, out Document changed)
    {
        var transaction = new DocumentTransaction(state, new Epoch(epoch), next);
        change(transaction);
        return transaction.Commit(out changed, out _);
    }
}
