using ShardCloud.Orchestrator.Shards;

namespace ShardCloud.Orchestrator.Tests.Shards;

/// <summary>Who counts as slow (docs/protocol/take-over.md, A slow shard, step 1), look by look.</summary>
public sealed class SlowShardsTests
{
    private static readonly IncarnationId A = new("a~1"), B = new("b~1"), C = new("c~1"), D = new("d~1");

    private readonly SlowShards _core = new(new SlowShardSettings { Looks = 3 });

    [Fact]
    public void MissedByUsAndByHalfOfTheOthers_ThreeLooksInARow_IsSlow()
    {
        Assert.Empty(Look(Silent(A, 2), Quick(B), Quick(C), Quick(D)));
        Assert.Empty(Look(Silent(A, 3), Quick(B), Quick(C), Quick(D)));
        Assert.Equal([A], Look(Silent(A, 2), Quick(B), Quick(C), Quick(D)));
        Assert.Equal([A], Look(Silent(A, 2), Quick(B), Quick(C), Quick(D))); // Said until it is over: who drains is told again.
    }

    [Fact]
    public void OfTwo_TheOtherDecides()
    {
        for (var look = 0; look < 2; look++) Look(Silent(A, 1), Quick(B));
        Assert.Equal([A], Look(Silent(A, 1), Quick(B)));
    }

    /// <summary>A collection, a burst of work: over before the third look.</summary>
    [Fact]
    public void OneLookInBetween_BeginsAnew()
    {
        for (var round = 0; round < 5; round++)
        {
            Assert.Empty(Look(Silent(A, 2), Quick(B), Quick(C)));
            Assert.Empty(Look(Silent(A, 2), Quick(B), Quick(C)));
            Assert.Empty(Look(round % 2 == 0 ? Quick(A) : Late(A), Quick(B), Quick(C)));
        }
    }

    /// <summary>We do not get through to it, most of the others do.</summary>
    [Fact]
    public void MissedByFewOthers_IsNotSlow()
    {
        for (var look = 0; look < 10; look++) Assert.Empty(Look(Silent(A, 1), Quick(B), Quick(C), Quick(D)));
    }

    /// <summary>We are what is slow: we miss several. It is told when that begins, and looks before it still count after it.</summary>
    [Fact]
    public void SeveralAtOnce_AreHeld_ToldOnce_AndCountNeitherWay()
    {
        Look(Silent(A, 2), Quick(B), Quick(C));
        Look(Silent(A, 2), Quick(B), Quick(C));
        var (slow, begins) = _core.Look([Silent(A, 0), Silent(B, 0), Silent(C, 0)]);
        Assert.Equal((0, true, 3), (slow.Count, begins, _core.Held));
        for (var look = 0; look < 10; look++) (slow, begins) = _core.Look([Silent(A, 1), Silent(B, 1), Quick(C)]);
        Assert.Equal((0, false, 2), (slow.Count, begins, _core.Held));

        Assert.Equal([A], Look(Silent(A, 2), Quick(B), Quick(C)));
        Assert.Equal(0, _core.Held);
        Assert.True(_core.Look([Silent(A, 1), Silent(B, 1), Quick(C)]).HoldBegins);
    }

    /// <summary>Everybody answers, late: the whole cloud is busy, or we are.</summary>
    [Fact]
    public void AllLate_IsNobodySlow()
    {
        for (var look = 0; look < 10; look++) Assert.Empty(Look(Late(A), Late(B), Late(C)));
    }

    /// <summary>Others that are themselves late have no vote: one prompt witness of three is not half.</summary>
    [Fact]
    public void OthersLate_HaveNoVote()
    {
        for (var look = 0; look < 10; look++) Assert.Empty(Look(Silent(A, 1), Late(B), Late(C), Quick(D)));
    }

    /// <summary>A dead one is its lease's business, and does not hide a slow one.</summary>
    [Fact]
    public void WithoutRenewals_IsNotSlow_AndHoldsNothing()
    {
        for (var look = 0; look < 2; look++) Assert.Empty(Look(Dead(B), Silent(A, 1), Quick(C)));
        Assert.Equal([A], Look(Dead(B), Silent(A, 1), Quick(C)));
        Assert.Equal(0, _core.Held);
    }

    [Fact]
    public void Alone_IsNeverSlow()
    {
        for (var look = 0; look < 10; look++) Assert.Empty(Look(Silent(A, 0)));
    }

    /// <summary>Another start of the shard has nothing to do with what was seen of the one before.</summary>
    [Fact]
    public void AnotherStart_BeginsAnew()
    {
        for (var look = 0; look < 2; look++) Look(Silent(A, 2), Quick(B), Quick(C));
        Assert.Empty(Look(Silent(new IncarnationId("a~2"), 2), Quick(B), Quick(C)));
        Assert.Empty(Look(Silent(A, 2), Quick(B), Quick(C)));
    }

    [Fact]
    public void Drained_IsQuickAgainAfterLooksInARow()
    {
        var run = default(SlowRun);
        foreach (var seen in (Sighting[])[Sighting.Slow, Sighting.Quick, Sighting.Quick, Sighting.Held, Sighting.Quick]) run = run.Next(seen);
        Assert.Equal(new SlowRun(0, 3), run);
        Assert.Equal(new SlowRun(0, 0), run.Next(Sighting.Unsure));
        Assert.Equal(new SlowRun(1, 0), run.Next(Sighting.Slow));
    }

    private IReadOnlyList<IncarnationId> Look(params ShardSight[] sights) => _core.Look(sights).Slow;

    private static ShardSight Quick(IncarnationId shard) => new(shard, TimeSpan.FromMilliseconds(4), Renews: true);

    private static ShardSight Late(IncarnationId shard) => new(shard, TimeSpan.FromSeconds(2.5), Renews: true);

    private static ShardSight Silent(IncarnationId shard, int missed) => new(shard, null, Renews: true, missed);

    private static ShardSight Dead(IncarnationId shard) => new(shard, null, Renews: false);
}
