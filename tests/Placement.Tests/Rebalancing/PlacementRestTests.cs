using ShardCloud.Bench.Placement;
using ShardCloud.Placement.Rebalancing;

namespace ShardCloud.Placement.Tests.Rebalancing;

/// <summary>A placement that has come to rest stays so while loads only waver, and begins again for what is worth it. The graph here has no clusters: much is left to gain at rest, and waits for room.</summary>
public sealed class PlacementRestTests
{
    private readonly Workload _workload = Rested();

    private PlacementInputs Inputs => _workload.Inputs();

    [Fact]
    public void Traffic_ThatWavers_MovesNothing_ThoughRoomComesAndGoes()
    {
        Assert.True(Inputs.Rest!.Left > 2 * Inputs.Policy.RestBelow, "where nothing is left to gain, nothing is proved");
        var awake = 0;
        for (var seed = 1; seed <= 20; seed++)
        {
            var inputs = _workload.Wavering(0.01, seed).Inputs();
            awake = Math.Max(awake, PlacementPlanner.Plan(inputs with { Rest = null }).Moves.Count);
            var plan = PlacementPlanner.Plan(inputs);
            Assert.True(plan is { Moves.Count: 0, Rest: not null }, $"seed {seed}: {plan.Moves.Count} moves");
            _workload.Apply(plan);
        }
        Assert.True(awake > _workload.Endpoints / 1_000, $"without rest it would move {awake}");
    }

    [Fact]
    public void Rest_Lasts_UntilRestBelowMoreIsToBeGained_ThanWasLeast()
    {
        var (inputs, awake) = Wavering();
        var (left, below) = (awake.Left, inputs.Policy.RestBelow);

        var resting = PlacementPlanner.Plan(inputs with { Rest = inputs.Rest! with { Left = left - below + 1e-9 } });
        Assert.Empty(resting.Moves);
        Assert.Equal((left, left - below + 1e-9), (resting.Left, resting.Rest!.Left)); // What grows slowly ends it too.
        Assert.Equal(left, PlacementPlanner.Plan(inputs with { Rest = inputs.Rest! with { Left = left + 0.1 } }).Rest!.Left);

        var begun = PlacementPlanner.Plan(inputs with { Rest = inputs.Rest! with { Left = left - below - 1e-9 } });
        Assert.Equal(awake.Moves.Select(move => move.Say()), begun.Moves.Select(move => move.Say()));
        Assert.Null(begun.Rest);
    }

    [Fact]
    public void Traffic_ThatChanges_EndsIt()
    {
        var inputs = Inputs;
        var strangers = inputs.Edges.Where(edge => inputs.Entries[edge.A].Owner != inputs.Entries[edge.B].Owner).Take(50).ToHashSet();
        var more = inputs.Edges.Sum(edge => edge.Weight) / 20 / strangers.Count;

        var plan = PlacementPlanner.Plan(inputs with { Edges = [.. inputs.Edges.Select(edge => strangers.Contains(edge) ? edge with { Weight = edge.Weight + more } : edge)] });

        Assert.NotEmpty(plan.Moves);
        Assert.Null(plan.Rest);
    }

    [Fact]
    public void RoundThatSavesMuchAtOnce_EndsIt_WhateverWasLeft()
    {
        var start = Workload.Clusters(100, 3, 0.7, 4, noise: 0.03, seed: 6).Inputs();

        var plan = PlacementPlanner.Plan(start with { Rest = new PlacementRest(1, PlacementRest.FingerprintOf(start)) });

        Assert.Equal(PlacementPlanner.Plan(start).Moves.Count, plan.Moves.Count);
        Assert.True(plan.Before.Cut - plan.After.Cut >= PlacementRest.WakesAt * start.Policy.RestBelow);
    }

    // What one round can save is bounded by its budget: then several count.
    [Fact]
    public void MuchThatASmallBudgetSavesBitByBit_EndsItToo()
    {
        var start = Workload.Clusters(500, 3, 0, 4, noise: 0.03, seed: 6).Inputs();
        var inputs = start with { Policy = start.Policy with { MoveBudget = 0.002 } };

        var plan = PlacementPlanner.Plan(inputs with { Rest = new PlacementRest(1, PlacementRest.FingerprintOf(inputs)) });

        Assert.True(plan.Moves.Count is > 0 and <= 3, $"{plan.Moves.Count} moves");
        Assert.True(plan.Before.Cut - plan.After.Cut < PlacementRest.WakesAt * start.Policy.RestBelow);
    }

    // The gain of a pin is none of the gain that a rest ends for.
    [Fact]
    public void AtRest_APinThatSavesMuch_MovesAlone()
    {
        var (inputs, _) = Wavering();
        var cut = inputs.Edges.Last(edge => inputs.Entries[edge.A].Owner != inputs.Entries[edge.B].Owner);
        var (pinned, weight) = (inputs.Entries[cut.A].Key.Endpoint, inputs.Edges.Sum(edge => edge.Weight) / 10);
        var pins = new Dictionary<EndpointId, ShardId> { [pinned] = inputs.Shards[inputs.Entries[cut.B].Owner].Id };
        inputs = inputs with { Edges = [.. inputs.Edges.Select(edge => edge == cut ? edge with { Weight = weight } : edge)], Policy = inputs.Policy with { Pins = pins }, Rest = inputs.Rest! with { Left = 1 } };

        var plan = PlacementPlanner.Plan(inputs);

        Assert.Contains(plan.Moves, move => move.Entry.Endpoint == pinned && move.Gain > 0.09 * inputs.Edges.Sum(edge => edge.Weight));
        Assert.NotNull(plan.Rest);
    }

    // P and q want to be together and are too heavy for that: where only shard-3, which has too much, gives something, the placement rests.
    [Fact]
    public void RoundForTheBalanceAlone_BeginsARest()
    {
        var plan = PlacementPlanner.Plan(RandomCloud.Small(
            [("p", 0, 0.85, false), ("q", 1, 0.85, false), .. Enumerable.Range(0, 13).Select(i => ($"x{i:D2}", 2, 0.1, false))], [("p", "q", 1)], new PlacementPolicy { MoveBudget = 1 }));

        Assert.NotEmpty(plan.Moves);
        Assert.All(plan.Moves, move => Assert.Equal(("shard-3", 0.0), (move.From.Value, move.Gain)));
        Assert.True(plan is { Left: 1, Rest: not null }, $"{plan.Left} {plan.Rest}");
    }

    [Fact]
    public void AtRest_PinsAndBalance_MoveWhatTheyMust_AndItRestsOn()
    {
        var inputs = Inputs;
        var pinned = inputs.Entries.Where(entry => entry.Owner == 0).MinBy(entry => entry.Load.Requests); // Too little to put anybody over.

        var plan = PlacementPlanner.Plan(inputs with { Policy = inputs.Policy with { Pins = new Dictionary<EndpointId, ShardId> { [pinned.Key.Endpoint] = inputs.Shards[1].Id } } });
        Assert.Equal(pinned.Key, Assert.Single(plan.Moves).Entry);
        Assert.NotNull(plan.Rest);

        var heavier = inputs.Entries.Select(entry => entry.Owner == 0 ? entry with { Load = entry.Load with { Requests = entry.Load.Requests * 1.3 } } : entry).ToList();
        plan = PlacementPlanner.Plan(inputs with { Entries = heavier });
        Assert.NotEmpty(plan.Moves);
        Assert.All(plan.Moves, move => Assert.Equal(inputs.Shards[0].Id, move.From));
        Assert.NotNull(plan.Rest);
    }

    [Fact]
    public void OtherShards_AndAnotherPolicy_AreLookedAtAnew()
    {
        var (inputs, _) = Wavering();
        Assert.Empty(PlacementPlanner.Plan(inputs).Moves);

        foreach (var other in (PlacementInputs[])
        [
            inputs with { Shards = [.. inputs.Shards, new PlacementShard(new ShardId("shard-9"), "1.0.0", true, PlacementShard.NoLimit)] },
            inputs with { Shards = [.. inputs.Shards.Select(shard => shard with { Capacity = shard.Capacity with { Requests = 1e9 } })] },
            inputs with { Policy = inputs.Policy with { GainMin = 0.09 } },
        ]) Assert.Null(PlacementPlanner.Plan(other).Rest);
    }

    [Fact]
    public void LessThanRestBelow_IsNotBegunAtAll()
    {
        var (inputs, awake) = Wavering();
        PlacementPlan Below(double restBelow) => PlacementPlanner.Plan(inputs with { Rest = null, Policy = inputs.Policy with { RestBelow = restBelow } });

        Assert.NotEmpty(Below(awake.Left - 1e-9).Moves);
        Assert.Empty(Below(awake.Left + 1e-9).Moves);
        Assert.NotNull(Below(awake.Left + 1e-9).Rest);
    }

    [Fact]
    public void RestBelowNothing_NeverRestsBeforeItMust()
    {
        var (inputs, awake) = Wavering();
        var policy = inputs.Policy with { RestBelow = 0 };

        var plan = PlacementPlanner.Plan(inputs with { Policy = policy, Rest = new PlacementRest(1, PlacementRest.FingerprintOf(inputs with { Policy = policy })) });

        Assert.Equal(awake.Moves.Count, plan.Moves.Count);
    }

    /// <summary>Loads that waver so that something would move if it did not rest, and what that is.</summary>
    private (PlacementInputs Inputs, PlacementPlan Awake) Wavering() => Enumerable.Range(1, 20).Select(seed => _workload.Wavering(0.01, seed).Inputs())
        .Select(inputs => (inputs, PlacementPlanner.Plan(inputs with { Rest = null }))).First(pair => pair.Item2.Moves.Count > 0);

    private static Workload Rested()
    {
        var workload = Workload.PowerLaw(3_000, 9_000, 8, 5);
        for (var round = 0; round < 60; round++)
        {
            var plan = PlacementPlanner.Plan(workload.Inputs());
            workload.Apply(plan);
            if (plan.Moves.Count == 0) return workload;
        }
        throw new InvalidOperationException("it does not come to rest");
    }
}
