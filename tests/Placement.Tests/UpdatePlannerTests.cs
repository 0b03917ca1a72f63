using ShardCloud.Routing;

namespace ShardCloud.Placement.Tests;

/// <summary>The planner over whole rolls: random layouts, moves that are lost, owners that die in between.</summary>
public sealed class UpdatePlannerTests
{
    private static ShardId[] Fresh => Roll.Fresh;

    // Method: roll a random cloud with random waves. Of each round's moves some are lost; between rounds shards of either version die, their entries go to any other, and a new start comes that may
    // or may not get them back. Whatever happens, no slot and no placed endpoint is moved twice, none leaves the new version for another shard of it, and when nothing is in the way the wave is full.
    [Fact]
    public void Roll_WhateverIsLostAndWhoeverDies_MovesEachAtMostOnce()
    {
        for (var seed = 1; seed <= 30; seed++)
        {
            var roll = new Roll(seed);
            foreach (var percent in roll.Waves) roll.Wave(percent);
            Assert.True(roll.Moved.MoreThanOnce == 0, $"seed {seed}: {roll.Moved.MoreThanOnce} moved twice");
        }
    }

    [Fact]
    public void Roll_WithoutTrouble_IsExactEvenAndGoesBackWhenceItCame()
    {
        for (var seed = 1; seed <= 12; seed++)
        {
            var roll = new Roll(seed, isCalm: true);
            var start = roll.Owners();
            foreach (var percent in roll.Waves)
            {
                roll.Wave(percent);
                var there = roll.Map.SlotRuns.Where(run => Fresh.Contains(run.Entry.Owner.Shard)).Sum(run => run.Slots.Count);
                Assert.True(there == (Slot.Count * percent + 99) / 100, $"seed {seed}: {there} slots at {percent} %");
                Assert.Equal((roll.Placed * percent + 99) / 100, roll.Map.Placed.Count(placed => Fresh.Contains(placed.Entry.Owner.Shard)));
            }
            var loads = Fresh.Select(shard => roll.Map.SlotRuns.Where(run => run.Entry.Owner.Shard == shard).Sum(run => run.Slots.Count)).ToList();
            Assert.True(loads.Max() - loads.Min() <= Fresh.Length, $"seed {seed}: {string.Join(',', loads)}");
            Assert.True(roll.Readers() <= roll.Map.PartitionCount + Fresh.Length - 1, $"seed {seed}: {roll.Readers()} readers of {roll.Map.PartitionCount} partitions");
            Assert.True(UpdatePlanner.Wave(roll.Map, "1.0.0", Fresh, roll.Moved, 100).IsDone);

            roll.Back();
            Assert.Equal(start, roll.Owners());
        }
    }

    [Fact]
    public void Plan_OfTheSameMap_IsTheSame()
    {
        string Text() => string.Join(';', new Roll(7).Plan(37).Moves.Select(move => $"{move.To}:{string.Join(',', move.Entries)}"));
        Assert.Equal(Text(), Text());
    }

    [Fact]
    public void Entries_ThatAreOnTheMove_AreWaitedFor()
    {
        var roll = new Roll(3, isCalm: true);
        var (key, entry) = roll.Map.OwnedBy(roll.Map.Live.Keys.First(owner => owner.Shard.Value == "shard-1")).First();
        var other = roll.Map.Live.Keys.First(incarnation => incarnation != entry.Owner && !Fresh.Contains(incarnation.Shard));
        roll.Commit(new PlanMove([key], entry.Owner, other));

        var plan = roll.Plan(100);

        Assert.Equal(key.IsEndpoint ? 1 : key.Slots.Count, plan.NotNow);
        Assert.DoesNotContain(plan.Moves.SelectMany(move => move.Entries), planned => planned.Slots.First >= key.Slots.First && planned.Slots.End <= key.Slots.End && !planned.IsEndpoint);
    }

    // Method: random maps, random slots and placed endpoints in use. While they are waited for nothing in use moves, and all that is idle and wanted does; once they are not, the wave is full.
    [Fact]
    public void Busy_IsTakenLastOrLeft_AndTheWaveIsFullWhenItIsNotWaitedFor()
    {
        for (var seed = 1; seed <= 30; seed++)
        {
            var roll = new Roll(seed, isCalm: true);
            var busy = roll.Busy(isWaitedFor: true);
            foreach (var percent in roll.Waves)
            {
                var (all, idle, forced) = (roll.Plan(percent), roll.Plan(percent, busy), roll.Plan(percent, busy with { IsWaitedFor = false }));
                Assert.Equal((all.Slots, all.Endpoints), (idle.Slots + idle.DeferredSlots, idle.Endpoints + idle.DeferredEndpoints));
                Assert.Equal((all.Slots, all.Endpoints, 0), (forced.Slots, forced.Endpoints, forced.Deferred));
                Assert.Equal(0, idle.Busy);
                Assert.DoesNotContain(idle.Moves.SelectMany(move => move.Entries), entry => IsBusy(entry, busy));

                var free = roll.Map.SlotRuns.SelectMany(run => Enumerable.Range(run.Slots.First, run.Slots.Count)).Count(slot => !IsBusy(EntryKey.Of(new SlotRange(slot, 1)), busy));
                Assert.True(idle.DeferredSlots == Math.Max(0, all.Slots - free), $"seed {seed}, {percent} %: {idle.DeferredSlots} slots wait, {all.Slots} are wanted, {free} are idle");
                Assert.Equal(forced.Moves.SelectMany(move => move.Entries).Where(entry => IsBusy(entry, busy)).Sum(entry => entry.IsEndpoint ? 1 : entry.Slots.Count), forced.Busy);
            }
        }
    }

    private static bool IsBusy(EntryKey entry, BusyEntries busy) => entry.IsEndpoint ? busy.Endpoints.Contains(entry.Endpoint) : busy.Slots.Any(slots => slots.Overlaps(entry.Slots));
}
