using static ShardCloud.Routing.Tests.Build;

namespace ShardCloud.Routing.Tests;

// Each guard twice: with it the promise holds, without it the same shortest history breaks it. A guard that nothing needs is not one.
public sealed class GuardTests
{
    /// <summary>h planned and sealed, its final delta at D; cancelled; S takes and answers a write; the plan is repeated; D still holds h's delta and grants.</summary>
    [Theory]
    [InlineData(Guards.All, false)]
    [InlineData(Guards.All & ~Guards.G5, true)]
    public void G5_CancelledHandoff_CannotBeGrantedByItsOldFinalDelta(Guards guards, bool comesToLife)
    {
        var first = Start(guards).With(guards, new PlanMove(Entries(Room1), S, D));
        var handoff = first.Lookup(Room1)!.Handoff; // D keeps the final delta under this id.
        var again = first.With(guards, new CancelMove(handoff, Entries(Room1))).With(guards, new PlanMove(Entries(Room1), S, D));

        var stale = new GrantMove(handoff, Entries(Room1), D);
        Assert.Equal(comesToLife, again.Check(Commit(stale), guards) is null); // D would serve without the write that S answered.
    }

    /// <summary>A slot at k; e placed alone from it; the slot moves; e returns to it.</summary>
    [Theory]
    [InlineData(Guards.All, true)]
    [InlineData(Guards.All & ~Guards.G7, false)]
    public void G7_EpochsOfSlotAndPlacedEndpoint_AreNeverSharedAndNeverGoBack(Guards guards, bool holds)
    {
        var epochs = new List<(IncarnationId Owner, Epoch Epoch)>();
        var map = Start(guards);
        void Note() => epochs.Add((map.Lookup(Room1)!.Owner, map.Lookup(Room1)!.Epoch));
        void Move(EntryKey key, IncarnationId from, IncarnationId to)
        {
            map = map.With(guards, new PlanMove([key], from, to));
            map = map.With(guards, new GrantMove(map.Version is var h && key.IsEndpoint ? map.Lookup(key.Endpoint)!.Handoff : map.LookupSlot(new Slot((ushort)key.Slots.First))!.Handoff, [key], to));
        }

        Note();
        Move(EntryKey.Of(Room1), S, D);
        Note(); // D issues dots under this epoch.
        Move(EntryKey.Of(Room1), D, B);
        Note();
        Move(EntryKey.Of(SlotRange.All), S, B);
        map = map.With(guards, new ReturnToSlot([Room1]));
        Note(); // B again, by the slot: a lower epoch is ignored by every reader, an equal one issues D's dots twice.

        var grows = epochs.Zip(epochs.Skip(1)).All(pair => pair.First.Epoch < pair.Second.Epoch);
        Assert.Equal(holds, grows);
    }

    /// <summary>D is fenced between verify and grant; its take-over found nothing to redirect; D's late commit would make it owner.</summary>
    [Theory]
    [InlineData(Guards.All, true)]
    [InlineData(Guards.All & ~Guards.G14, false)]
    public void G14_FencedDestination_NeverBecomesOwner(Guards guards, bool holds)
    {
        var map = Start(guards).With(guards, new PlanMove(Entries(Room1), S, D));
        var late = new GrantMove(map.Lookup(Room1)!.Handoff, Entries(Room1), D);
        map = map.With(guards, new Fence(D), new Redirect(D, B));

        if (map.Check(Commit(late), guards) is null) map = map.Apply(map.Change(late), guards);
        Assert.Equal(holds, map.Live.ContainsKey(map.Lookup(Room1)!.Owner)); // An owner that is not live: nobody serves, ever.
    }

    /// <summary>Try 1 sent at 2 s is applied, its answer lost; try 2 sent at 5 s gets 412; the row shows the own renewal. Lease 10 s: an observer that saw the change at 2 s fences at 13 s.</summary>
    [Theory]
    [InlineData(Guards.All, true)]
    [InlineData(Guards.All & ~Guards.G12, false)]
    public void G12_RenewalOfUnknownOutcome_IsDatedByItsFirstTry(Guards guards, bool holds)
    {
        var row = new MemberRow { Incarnation = S, LeaseLength = TimeSpan.FromSeconds(10), ETag = "1" };
        var keeper = new LeaseKeeper(row, Clock(0), guards);
        var observer = new LeaseObserver();

        Assert.Equal(new LeaseCommand.Renew(2, "1"), Assert.Single(keeper.Step(new LeaseEvent.Tick(), Clock(2))));
        var applied = row with { RenewalCount = 2, ETag = "2" };
        Assert.Empty(observer.Step([applied], TimeSpan.FromSeconds(2)));
        keeper.Step(new LeaseEvent.NotConfirmed(2), Clock(4));
        Assert.Equal(new LeaseCommand.Renew(2, "1"), Assert.Single(keeper.Step(new LeaseEvent.ReadFailed(), Clock(5)))); // The re-read is lost too: try 2.
        keeper.Step(new LeaseEvent.NotConfirmed(2), Clock(5.1)); // 412
        keeper.Step(new LeaseEvent.RowRead(applied), Clock(5.2));

        Assert.True(keeper.IsValid(Clock(10.9))); // 2 s + 9 s, had no later renewal been confirmed.
        foreach (var second in (double[])[4, 6, 8, 10, 12, 12.9]) Assert.Empty(observer.Step([applied], TimeSpan.FromSeconds(second)));
        Assert.Equal(S, Assert.Single(observer.Step([applied], TimeSpan.FromSeconds(13))).Incarnation);
        Assert.Equal(holds, !keeper.IsValid(Clock(13))); // Two would serve.
    }

    /// <summary>S's shard restarts while S runs on: the successor registers. Its row must say nothing about S.</summary>
    [Theory]
    [InlineData(Guards.All, true)]
    [InlineData(Guards.All & ~Guards.G13, false)]
    public void G13_SuccessorRegisters_PredecessorIsNotTakenForDead(Guards guards, bool holds)
    {
        var (first, second) = (new IncarnationId("s~1"), new IncarnationId("s~2"));
        var rowOfFirst = new MemberRow { Incarnation = first, LeaseLength = TimeSpan.FromSeconds(10), ETag = "1" };
        var rowOfSecond = new MemberRow { Incarnation = second, LeaseLength = TimeSpan.FromSeconds(10), ETag = "2" };
        var keeper = new LeaseKeeper(rowOfFirst, Clock(0));
        var observer = new LeaseObserver(guards);

        // The table keeps what has different keys and replaces what has the same.
        var table = new Dictionary<string, MemberRow> { [MemberDirectory.KeyOf(first, guards)] = rowOfFirst };
        observer.Step([.. table.Values], TimeSpan.FromSeconds(1));
        table[MemberDirectory.KeyOf(second, guards)] = rowOfSecond;
        var ended = observer.Step([.. table.Values], TimeSpan.FromSeconds(2));

        Assert.True(keeper.IsValid(Clock(2))); // S serves, by right.
        Assert.Equal(holds, ended.Count == 0);
    }

    private static LeaseClock Clock(double seconds) => new(TimeSpan.FromSeconds(seconds), TimeSpan.FromSeconds(seconds), At.AddSeconds(seconds));
}
