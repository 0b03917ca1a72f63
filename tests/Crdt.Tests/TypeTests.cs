namespace ShardCloud.Crdt.Tests;

/// <summary>What each type means, one owner alone and two that did not see each other.</summary>
public sealed class TypeTests
{
    [Fact]
    public void GrowCounter_NegativeAmount_IsRefused()
    {
        var grown = One(t => t.GrowCounter("g").Add(5));
        Assert.Equal(5, grown.Fields.GrowCounter("g"));
        Assert.Throws<ArgumentOutOfRangeException>(() => On(grown, t => t.GrowCounter("g").Add(-1)));
    }

    [Fact]
    public void BoundedCounter_OneOwner_NeverLeavesTheBounds()
    {
        var (state, random) = (Document.Empty, new Random(11));
        for (var i = 1; i <= 500; i++)
        {
            var amount = random.Next(-7, 8);
            var before = state.Fields.BoundedCounter("b");
            var allowed = before + amount is >= -3 and <= 10;
            state = On(state, t => Assert.Equal(allowed || amount == 0, t.BoundedCounter("b", -3, 10).TryAdd(amount)));
            Assert.Equal(allowed ? before + amount : before, state.Fields.BoundedCounter("b"));
        }
    }

    [Fact]
    public void BoundedCounter_PastTheFloor_ThrowsSC3008AndChangesNothing()
    {
        var transaction = new DocumentTransaction(One(t => t.BoundedCounter("seats", 0, 5).Add(2)), new Epoch(9), 1);
        var error = Assert.Throws<ShardCloudException>(() => transaction.BoundedCounter("seats", 0, 5).Add(-3));
        Assert.Equal("SC3008", error.Code);
        Assert.Contains("'seats' is at 2", error.Message);
        Assert.False(transaction.HasChanges);
    }

    // What the docs promise for merges: shown as it is, refuses to go further out, comes back.
    [Fact]
    public void BoundedCounter_MergePastTheFloor_IsShownAndOnlyTheWayBackIsAllowed()
    {
        var shared = One(t => t.BoundedCounter("seats").Add(1));
        var merged = Merge(shared, t => t.BoundedCounter("seats").Add(-1), t => t.BoundedCounter("seats").Add(-1));

        Assert.Equal(-1, merged.Fields.BoundedCounter("seats"));
        On(merged, t => Assert.False(t.BoundedCounter("seats").TryAdd(-1)));
        Assert.Equal(0, On(merged, t => t.BoundedCounter("seats").Add(1)).Fields.BoundedCounter("seats"));
    }

    [Fact]
    public void RemoveWinsSet_ConcurrentAddAndRemove_RemoveWinsUntilTheNextAdd()
    {
        var shared = One(t => t.RemoveWinsSet("s").Add("x"));
        var merged = Merge(shared, t => t.RemoveWinsSet("s").Add("x"), t => Assert.True(t.RemoveWinsSet("s").Remove("x")));

        Assert.False(merged.Fields.RemoveWinsSet("s").Contains("x"));
        Assert.Empty(merged.Fields.RemoveWinsSet("s").Items);
        Assert.True(On(merged, t => t.RemoveWinsSet("s").Add("x")).Fields.RemoveWinsSet("s").Contains("x"));
    }

    [Fact]
    public void RemoveWinsSet_ForbiddenBeforeItWasAdded_ConcurrentAddDoesNotGetIn()
    {
        var merged = Merge(Document.Empty, t => t.RemoveWinsSet("s").Add("x"), t => t.RemoveWinsSet("s").Forbid("x"));
        Assert.Equal(0, merged.Fields.RemoveWinsSet("s").Count);
        Assert.Equal(1, On(merged, t => { t.RemoveWinsSet("s").Add("y"); t.RemoveWinsSet("s").Clear(); t.RemoveWinsSet("s").Add("z"); }).Fields.RemoveWinsSet("s").Count);
    }

    [Fact]
    public void MultiValueRegister_ConcurrentWrites_AreKeptUntilAWriteThatHasSeenThem()
    {
        var merged = Merge(One(t => t.MultiValueRegister("r").Set("old")), t => t.MultiValueRegister("r").Set("a"), t => t.MultiValueRegister("r").Set("b"));

        Assert.Equal(["a", "b"], merged.Fields.MultiValueRegister("r").Select(value => value.AsString()));
        Assert.Equal(["c"], On(merged, t => t.MultiValueRegister("r").Set("c")).Fields.MultiValueRegister("r").Select(value => value.AsString()));
        Assert.Empty(On(merged, t => t.MultiValueRegister("r").Clear()).Fields.MultiValueRegister("r"));
    }

    [Fact]
    public void Flags_ConcurrentEnableAndDisable_TheNamedSideWins()
    {
        var shared = One(t => { t.Flag("ew").Enable(); t.DisableWinsFlag("dw").Enable(); });
        var merged = Merge(shared, t => { t.Flag("ew").Enable(); t.DisableWinsFlag("dw").Enable(); }, t => { t.Flag("ew").Disable(); t.DisableWinsFlag("dw").Disable(); });

        Assert.True(merged.Fields.Flag("ew"));
        Assert.False(merged.Fields.DisableWinsFlag("dw"));
        Assert.False(On(merged, t => t.Flag("ew").Disable()).Fields.Flag("ew"));
        Assert.True(On(merged, t => t.DisableWinsFlag("dw").Enable()).Fields.DisableWinsFlag("dw"));
        Assert.False(Document.Empty.Fields.Flag("ew") || Document.Empty.Fields.DisableWinsFlag("dw"));
    }

    [Fact]
    public void List_ConcurrentAppends_InterleaveByDotAndNothingMoves()
    {
        var shared = One(t => { t.List("l").Append("1"); t.List("l").Append("2"); });
        var left = Delta(shared, 7, t => { t.List("l").Append("late a"); t.List("l").Append("late b"); }, out var withLeft);
        var right = Delta(shared, 8, t => t.List("l").Append("early"), out var withRight);

        Assert.Equal(["1", "2", "early"], Items(withRight));
        var merged = Document.Join(withRight, left);
        Assert.Equal(["1", "2", "late a", "late b", "early"], Items(merged));
        Assert.True(merged.SameAs(Document.Join(withLeft, right)));
        Assert.Equal(["late b", "early"], merged.Fields.List("l").After(new Dot(new Epoch(7), 1)).Select(item => item.Value.AsString()));
    }

    [Fact]
    public void List_TrimConcurrentWithAppends_RemovesOnlyWhatItHasSeen()
    {
        var shared = One(t => { for (var i = 0; i < 200; i++) t.List("l").Append($"{i}"); });
        var merged = Merge(shared, t => t.List("l").Append("unseen"), t => { t.List("l").Append("seen"); Assert.Equal(199, t.List("l").TrimTo(2)); });

        Assert.Equal(["199", "unseen", "seen"], Items(merged));
        Assert.True(On(merged, t => Assert.True(t.List("l").Remove(merged.Fields.List("l").Positions.First().Position))).Fields.List("l").Count == 2);
    }

    // A list that is trimmed as it grows: the removed dots are found where they stood.
    [Fact]
    public void Join_AppendAndTrim_NeedsNoScan()
    {
        var state = One(t => { for (var i = 0; i < 100; i++) t.List("l").Append(i); t.Set("s").Add("x"); });
        var delta = Delta(state, 3, t => { t.List("l").Append("new"); t.List("l").TrimTo(10); }, out var after);
        var pass = new JoinPass(state.Context, delta.Changes.Context, Stamps.Next());
        state.Root.Join(delta.Changes.Root, ref pass);

        Assert.True(pass.IsFinished);
        Assert.Equal(10, Document.Join(state, delta).Fields.List("l").Count);
        Assert.Equal(10, after.Fields.List("l").Count);
    }

    [Fact]
    public void ExpiringMap_PastItsDeadline_StaysUntilTheOwnerRemovesIt()
    {
        var noon = new DateTimeOffset(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);
        var state = One(t => { t.ExpiringMap("x").Set("a", 1, noon); t.ExpiringMap("x").Set("b", 2, noon.AddSeconds(1)); });
        Assert.Equal(2, state.Fields.ExpiringMap("x").Count);

        var after = On(state, t => Assert.Equal(1, t.ExpiringMap("x").RemoveExpired(noon)));

        Assert.Null(after.Fields.ExpiringMap("x").Find("a"));
        Assert.Equal((2, noon.AddSeconds(1)), after.Fields.ExpiringMap("x").Find("b") is { } entry ? (entry.Value.AsInt64(), entry.Deadline) : default);
    }

    [Fact]
    public void ExpiringMap_RenewedWhileItIsRemoved_Stays()
    {
        var noon = new DateTimeOffset(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);
        var shared = One(t => t.ExpiringMap("x").Set("a", 1, noon));
        var merged = Merge(shared, t => t.ExpiringMap("x").Set("a", 1, noon.AddHours(1)), t => Assert.Equal(1, t.ExpiringMap("x").RemoveExpired(noon)));
        Assert.Equal(noon.AddHours(1), merged.Fields.ExpiringMap("x").Find("a")?.Deadline);
    }

    /// <summary>A change of one nested field sends that field only, however much stands beside it.</summary>
    [Fact]
    public void Map_OneNestedFieldChanged_DeltaHoldsThatFieldOnly()
    {
        var state = One(t =>
        {
            var profile = t.Map("users").Map("anna");
            for (var i = 0; i < 100; i++) profile.Register($"field {i}").Set(new string('x', 50));
            profile.Map("deep").Set("tags").Add("old");
            t.Map("users").Map("bert").List("log").Append("entry");
        });
        var register = Delta(state, 2, t => t.Map("users").Map("anna").Register("field 7").Set("y"), out _);
        var tag = Delta(state, 2, t => t.Map("users").Map("anna").Map("deep").Set("tags").Add("new"), out var after);

        Assert.InRange(DocumentCodec.ToBytes(state).Length, 5_000, 10_000);
        Assert.InRange(DocumentCodec.ToBytes(register).Length, 10, 48);
        Assert.InRange(DocumentCodec.ToBytes(tag).Length, 10, 48);
        Assert.Equal(["deep"], tag.Changes.Fields.Map("users").Map("anna").Keys);
        Assert.Equal(["new", "old"], after.Fields.Map("users").Map("anna").Map("deep").Set("tags").Items.Select(item => item.AsString()));
    }

    [Fact]
    public void Register_Typed_ReadsWhatWasWritten()
    {
        var (id, time) = (Guid.NewGuid(), DateTimeOffset.FromUnixTimeMilliseconds(1_764_000_000_123));
        var transaction = new DocumentTransaction(Document.Empty, new Epoch(1), 1);
        new RegisterHandle<Guid>(transaction.Register("id")).Set(id);
        new RegisterHandle<DateTimeOffset>(transaction.Register("time")).Set(time);
        new RegisterHandle<DayOfWeek>(transaction.Register("day")).Set(DayOfWeek.Friday);
        new RegisterHandle<int>(transaction.Register("n")).Set(-7);

        Assert.Equal(id, new RegisterHandle<Guid>(transaction.Register("id")).Value);
        Assert.Equal(time, new RegisterHandle<DateTimeOffset>(transaction.Register("time")).Value);
        Assert.Equal(DayOfWeek.Friday, new RegisterHandle<DayOfWeek>(transaction.Register("day")).Value);
        Assert.Equal(-7, new RegisterHandle<int>(transaction.Register("n")).Value);
        Assert.False(new RegisterHandle<bool>(transaction.Register("none")).HasValue);
        Assert.Throws<InvalidOperationException>(() => new RegisterHandle<string>(transaction.Register("n")).Value);
        Assert.Throws<NotSupportedException>(() => new RegisterHandle<Version>(transaction.Register("v")));
    }

    [Fact]
    public void ReadOnly_AnyWrite_ThrowsTheGivenErrorAndReadsStillWork()
    {
        var state = One(t => { t.Set("s").Add("x"); t.Counter("c").Add(1); t.List("l").Append(1); t.RemoveWinsSet("v").Add(1); });
        var view = DocumentTransaction.ReadOnly(state, () => new ShardCloudException("SC3005", "no", "no"));
        var writes = new Action[]
        {
            () => view.Counter("c").Increment(), () => view.GrowCounter("g").Increment(), () => view.BoundedCounter("b").TryAdd(1), () => view.Set("s").Add("x"),
            () => view.Set("s").Remove("x"), () => view.Set("s").Clear(), () => view.RemoveWinsSet("v").Forbid("x"), () => view.Register("r").Set(1),
            () => view.MultiValueRegister("mv").Set(1), () => view.Flag("f").Enable(), () => view.DisableWinsFlag("d").Enable(), () => view.List("l").Append(1),
            () => view.List("l").TrimTo(0), () => view.ExpiringMap("x").Set(1, 1, default), () => view.Map("m").Counter("c").Increment(), () => view.Map("m").Remove("c"),
            () => view.DropRequestRecord("id"), () => view.Commit(out _, out _),
        };

        Assert.All(writes, (write, i) => Assert.True(Record.Exception(write) is ShardCloudException { Code: "SC3005" } || i == 15, $"write {i}"));
        Assert.Equal(1, view.Counter("c").Value);
        Assert.True(view.Set("s").Contains("x"));
    }

    private static string[] Items(Document document) => document.Fields.List("l").Items.Select(item => item.AsString()).ToArray();

    private static Document One(Action<DocumentTransaction> change) => On(Document.Empty, change);

    private static Document On(Document state, Action<DocumentTransaction> change)
    {
        Delta(state, 1, change, out var after);
        return after;
    }

    private static Delta Delta(Document state, long epoch, Action<DocumentTransaction> change, out Document after) =>
        JoinTests.Changed(state, epoch, state.NextSequence(new Epoch(epoch)), change, out after);

    /// <summary>Two owners, epochs 7 and 8, change what they share without seeing each other; both ways to merge must agree.</summary>
    private static Document Merge(Document shared, Action<DocumentTransaction> left, Action<DocumentTransaction> right)
    {
        var (one, two) = (Delta(shared, 7, left, out var withOne), Delta(shared, 8, right, out var withTwo));
        var merged = Document.Join(withOne, two);
        Assert.True(merged.SameAs(Document.Join(withTwo, one)));
        return merged;
    }
}
