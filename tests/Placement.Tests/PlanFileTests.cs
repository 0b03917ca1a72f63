using System.Text;
using System.Text.Json;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Tests;

/// <summary>Stored plans: the same bytes again, and nothing taken for a plan that is none.</summary>
public sealed class PlanFileTests
{
    // Method: roll random clouds with trouble. Each plan on the way, also with endpoints in use, is written with its inputs, read, and planned again from what was read.
    [Fact]
    public void Plan_FromItsStoredInputs_IsTheSameBytes()
    {
        for (var seed = 1; seed <= 25; seed++)
        {
            var roll = new Roll(seed);
            foreach (var percent in roll.Waves)
            {
                foreach (var busy in new[] { null, roll.Busy(isWaitedFor: true), roll.Busy(isWaitedFor: false) }) Same(roll.Inputs(percent, busy), seed);
                roll.Wave(percent);
            }
            if (roll.InputsBack() is { To.Count: > 0 } back) Same(back, seed);
        }

        static void Same(PlanInputs inputs, int seed)
        {
            var bytes = PlanFile.Write(inputs, UpdatePlanner.Plan(inputs));
            var replay = PlanReplay.Of(bytes);
            Assert.True(replay.IsSame, $"seed {seed}: {replay.Difference}");
            Assert.Equal(bytes, PlanFile.Write(PlanFile.Read(bytes).Inputs, replay.Planned));
        }
    }

    [Fact]
    public void Plan_WithAnotherMove_IsFoundToDiffer()
    {
        var inputs = new Roll(7, isCalm: true).Inputs(40);
        var plan = UpdatePlanner.Plan(inputs);
        var (to, entries) = plan.Moves[0];
        var changed = plan with { Moves = [(to, [EntryKey.Of(new SlotRange(5, 1)), .. entries.Skip(1)]), .. plan.Moves.Skip(1)] };

        Assert.Equal($"stored slots:5-5 to {to}, planned {entries[0]} to {to}", PlanReplay.Of(PlanFile.Write(inputs, changed)).Difference);
        Assert.StartsWith("stored 1 slots", PlanReplay.Of(PlanFile.Write(inputs, plan with { Slots = 1 })).Difference, StringComparison.Ordinal);
    }

    [Fact]
    public void Bytes_ThatAreNoPlanOfThisPlanner_AreRefused()
    {
        var text = Encoding.UTF8.GetString(PlanFile.Write(new Roll(7, isCalm: true).Inputs(40), new UpdatePlan([], 0, 0, 0)));

        Assert.Equal(ErrorCodes.PlannerUnknown, CodeOf(text.Replace("\"planner\":1", "\"planner\":2", StringComparison.Ordinal)));
        Assert.Equal(ErrorCodes.PlanUnreadable, CodeOf(text[..^2]));
        Assert.Equal(ErrorCodes.PlanUnreadable, CodeOf(text.Replace("\"percent\"", "\"per cent\"", StringComparison.Ordinal)));
        Assert.Equal(ErrorCodes.PlanUnreadable, CodeOf(text.Replace("\"busySlots\":[]", "\"busySlots\":[[16000,999]]", StringComparison.Ordinal)));
        Assert.Equal(ErrorCodes.PlanUnreadable, CodeOf(text.Replace("\"live\":[[0,", "\"live\":[[99,", StringComparison.Ordinal)));
        Assert.Equal(ErrorCodes.PlanUnreadable, CodeOf("{}"));
        Assert.Equal(ErrorCodes.PlanUnreadable, CodeOf("[1]"));
        using var json = JsonDocument.Parse(text);
        Assert.Equal(ErrorCodes.PlanUnreadable, CodeOf(JsonSerializer.Serialize(json.RootElement, new JsonSerializerOptions { WriteIndented = true })));

        static string CodeOf(string text) => Assert.Throws<ShardCloudException>(() => PlanReplay.Of(Encoding.UTF8.GetBytes(text))).Code;
    }

    [Fact]
    public void Map_OfAHundredThousandPlacedEndpoints_Fits()
    {
        var owner = new IncarnationId("shard-1~1");
        var inputs = new PlanInputs
        {
            Kind = PlanKind.Wave,
            Map = new MapVersion(9),
            PartitionCount = 16,
            From = "1.0.0",
            Percent = 100,
            Leaving = [],
            To = [new ShardId("shard-2")],
            Live = [(owner, "1.0.0")],
            Slots = [.. Enumerable.Range(0, Slot.Count).Select(slot => new PlanSlots(new SlotRange(slot, 1), owner, IncarnationId.None))],
            Placed = [.. Enumerable.Range(0, 100_000).Select(i => new PlanEndpoint(new EndpointId($"rooms/{i:d6}"), owner, IncarnationId.None, null, i % 7 == 0))],
            MovedSlots = [],
            BusySlots = [],
            IsBusyWaitedFor = false,
        };

        var bytes = PlanFile.Write(inputs, UpdatePlanner.Plan(inputs));

        Assert.InRange(bytes.Length, 1, PlanFile.BytesMax / 16);
        Assert.True(PlanReplay.Of(bytes) is { IsSame: true, Planned: { Slots: Slot.Count, Endpoints: 100_000, Busy: 14_286 } });
    }
}
