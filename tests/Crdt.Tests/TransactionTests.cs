namespace ShardCloud.Crdt.Tests;

public sealed class TransactionTests
{
    private static readonly Epoch Five = new(5);

    [Fact]
    public void Commit_SeveralChanges_SpendsContiguousDotsAndReadsItsOwn()
    {
        var transaction = new DocumentTransaction(Document.Empty, Five, 1);
        transaction.Counter("c").Add(2);
        transaction.Counter("c").Add(3);
        transaction.Set("s").Add("x");
        transaction.Register("r").Set("first");
        transaction.Register("r").Set("second");

        Assert.True(transaction.HasChanges);
        Assert.Equal(5, transaction.Counter("c").Value);
        Assert.True(transaction.Set("s").Contains("x"));
        var delta = transaction.Commit(out var next, out var nextSequence);

        Assert.Equal((Five, 1, 3, 4), (delta.Epoch, delta.FirstSequence, delta.LastSequence, nextSequence));
        Assert.Equal("second", next.Fields.Register("r").AsString());
        Assert.Equal(3, next.Context.MaximumOf(Five));
        Assert.Equal(4, next.NextSequence(Five));
    }

    [Fact]
    public void Commit_NothingChanged_GivesAnEmptyDeltaAndTheSameDocument()
    {
        var transaction = new DocumentTransaction(Document.Empty, Five, 1);
        transaction.Counter("c").Add(0);
        Assert.False(transaction.Set("s").Remove("never"));
        Assert.False(transaction.DropRequestRecord("never"));

        Assert.False(transaction.HasChanges);
        var delta = transaction.Commit(out var next, out var nextSequence);

        Assert.True(delta.IsEmpty);
        Assert.Equal((0, 1), (delta.IssuedCount, nextSequence));
        Assert.Same(Document.Empty, next);
    }

    // A removal must leave a trace in the contiguous maximum, or a replica could not tell that it missed one.
    [Fact]
    public void Commit_OnlyARemoval_SpendsADot()
    {
        JoinTests.Changed(Document.Empty, 5, 1, t => t.Set("s").Add("x"), out var state);
        var removal = JoinTests.Changed(state, 5, 2, t => t.Set("s").Remove("x"), out var next);

        Assert.Equal((2, 2), (removal.FirstSequence, removal.LastSequence));
        Assert.Equal(2, next.Context.MaximumOf(Five));
        Assert.False(next.IsEmpty);
        Assert.Equal(0, next.Fields.Count);
    }

    [Fact]
    public void Commit_AddedAndRemovedInOne_LeavesOnlyTheSpentDot()
    {
        var delta = JoinTests.Changed(Document.Empty, 5, 1, t => { t.Set("s").Add("x"); t.Set("s").Remove("x"); }, out var next);

        Assert.Equal(1, delta.IssuedCount);
        Assert.Equal(0, delta.Changes.Fields.Count);
        Assert.True(Document.Join(Document.Empty, delta).SameAs(next));
    }

    [Fact]
    public void RequestRecord_AddFindDrop_TravelsByDelta()
    {
        var record = new RequestRecord("id-1", 201, "text/plain", new byte[] { 104, 105 }, 42, 1_700_000_000_000);
        var add = JoinTests.Changed(Document.Empty, 5, 1, t => t.AddRequestRecord(record), out var state);
        var drop = JoinTests.Changed(state, 6, 1, t => Assert.True(t.DropRequestRecord("id-1")), out _);

        var replica = Document.Join(Document.Empty, add);
        Assert.True(replica.TryGetRequest("id-1", out var found));
        Assert.Equal(record, found);
        Assert.False(replica.TryGetRequest("id-2", out _));
        Assert.False(Document.Join(replica, drop).TryGetRequest("id-1", out _));
    }

    [Fact]
    public void Handle_NameOfAnotherType_ThrowsSC3001WithTheFacts()
    {
        JoinTests.Changed(Document.Empty, 5, 1, t => t.Counter("x").Add(1), out var state);
        var transaction = new DocumentTransaction(state, Five, 2);

        var error = Assert.Throws<ShardCloudException>(() => transaction.Set("x"));

        Assert.Equal("SC3001", error.Code);
        Assert.Contains("'x' is a counter, not a set", error.Message);
    }

    [Fact]
    public void Handle_TypeChosenMeanwhileInTheSameTransaction_ThrowsSC3001AtTheWrite()
    {
        var transaction = new DocumentTransaction(Document.Empty, Five, 1);
        var counter = transaction.Counter("x");
        transaction.Set("x").Add("taken");

        Assert.Equal("SC3001", Assert.Throws<ShardCloudException>(counter.Increment).Code);
    }

    [Theory]
    [InlineData("é", 128, true)]
    [InlineData("é", 129, false)]
    [InlineData("a", 0, false)]
    public void Handle_NameLength_IsBoundedInBytes(string letter, int count, bool allowed)
    {
        var transaction = new DocumentTransaction(Document.Empty, Five, 1);
        var name = string.Concat(Enumerable.Repeat(letter, count));

        if (allowed) transaction.Map(name).Counter(name).Increment();
        else Assert.Equal("SC3002", Assert.Throws<ShardCloudException>(() => transaction.Counter(name)).Code);
        Assert.Equal(allowed, transaction.HasChanges);
    }

    [Fact]
    public void Handle_MapsDeeperThanEight_ThrowsSC3002()
    {
        var transaction = new DocumentTransaction(Document.Empty, Five, 1);
        var map = transaction.Map("1");
        for (var depth = 2; depth < Limits.MapDepthMax; depth++) map = map.Map("m");
        map.Counter("deepest").Increment();

        Assert.Equal("SC3002", Assert.Throws<ShardCloudException>(() => map.Map("m").Counter("too deep")).Code);
        transaction.Commit(out var next, out _);
        Assert.True(DocumentCodec.DecodeDocument(DocumentCodec.ToBytes(next)).SameAs(next));
    }

    [Fact]
    public void Commit_DeltaOver256KiB_ThrowsSC3003AndChangesNothing()
    {
        var transaction = new DocumentTransaction(Document.Empty, Five, 1);
        transaction.Register("big").Set(new byte[Limits.DeltaBytesMax]);

        Assert.Equal("SC3003", Assert.Throws<ShardCloudException>(() => transaction.Commit(out _, out _)).Code);
        Assert.True(Document.Empty.IsEmpty);
    }

    [Fact]
    public void Commit_DocumentOver512KiB_ThrowsSC3004ButMayShrink()
    {
        var (state, next) = (Document.Empty, 1L);
        Delta Fill(string name, int bytes)
        {
            var transaction = new DocumentTransaction(state, Five, next);
            transaction.Register(name).Set(new byte[bytes]);
            return transaction.Commit(out state, out next);
        }
        Fill("a", 200_000);
        Fill("b", 200_000);
        var before = state;

        Assert.Equal("SC3004", Assert.Throws<ShardCloudException>(() => Fill("c", 150_000)).Code);
        Assert.Same(before, state);
        Assert.Equal(3, next);

        // Two owners on both sides of a split may together pass the bound; removing must still be possible then.
        var other = JoinTests.Changed(Document.Empty, 6, 1, t => t.Register("c").Set(new byte[200_000]), out _);
        state = Document.Join(state, other);
        var shrink = new DocumentTransaction(state, Five, next);
        shrink.Register("a").Set("small");
        shrink.Commit(out state, out next);
        Assert.Equal(DocumentCodec.ToBytes(state).Length, state.EncodedSize);
    }

    [Fact]
    public void Start_SequenceAlreadySeen_IsRefused()
    {
        JoinTests.Changed(Document.Empty, 5, 1, t => t.Counter("c").Add(1), out var state);

        Assert.Throws<ArgumentOutOfRangeException>(() => new DocumentTransaction(state, Five, 1));
    }

    [Fact]
    public void Use_AfterCommit_IsRefused()
    {
        var transaction = new DocumentTransaction(Document.Empty, Five, 1);
        var counter = transaction.Counter("c");
        counter.Increment();
        transaction.Commit(out _, out _);

        Assert.Throws<InvalidOperationException>(counter.Increment);
        Assert.Throws<InvalidOperationException>(() => transaction.Commit(out _, out _));
    }

    [Fact]
    public void Coalesce_WithAHole_IsRefused()
    {
        var first = JoinTests.Changed(Document.Empty, 5, 1, t => t.Counter("c").Add(1), out var one);
        JoinTests.Changed(one, 5, 2, t => t.Counter("c").Add(1), out var two);
        var third = JoinTests.Changed(two, 5, 3, t => t.Counter("c").Add(1), out _);

        Assert.Throws<ArgumentException>(() => Delta.Coalesce(first, third));
    }
}
