namespace ShardCloud.Placement;

/// <summary>A stored plan made again.</summary>
/// <param name="Stored">What was stored.</param>
/// <param name="Planned">What the planner makes of its inputs here and now.</param>
/// <param name="Difference">The first thing that differs; null where every byte is the same.</param>
public sealed record PlanReplay(UpdatePlan Stored, UpdatePlan Planned, string? Difference)
{
    /// <summary>True when every byte is the same.</summary>
    public bool IsSame => Difference is null;

    /// <summary>Plans again from the inputs of a stored plan, and compares the bytes.</summary>
    /// <exception cref="ShardCloudException">SC5058 or SC5059, see <see cref="PlanFile.Read"/>.</exception>
    public static PlanReplay Of(ReadOnlyMemory<byte> bytes)
    {
        var (inputs, stored) = PlanFile.Read(bytes);
        var planned = UpdatePlanner.Plan(inputs);
        return new PlanReplay(stored, planned, PlanFile.Write(inputs, planned).AsSpan().SequenceEqual(bytes.Span) ? null
            : FirstDifference(Lines(stored), Lines(planned)) ?? "the moves are the same and are grouped otherwise");
    }

    /// <summary>The first line in which two plans differ, as people read it; null: none.</summary>
    internal static string? FirstDifference(IReadOnlyList<string> stored, IReadOnlyList<string> planned)
    {
        for (var i = 0; i < Math.Max(stored.Count, planned.Count); i++)
        {
            var (was, becomes) = (stored.ElementAtOrDefault(i) ?? "nothing", planned.ElementAtOrDefault(i) ?? "nothing");
            if (was != becomes) return $"stored {was}, planned {becomes}";
        }
        return null;
    }

    private static List<string> Lines(UpdatePlan plan) =>
    [
        .. plan.Moves.SelectMany(move => move.Entries.Select(entry => $"{entry} to {move.To}")),
        $"{plan.Slots} slots and {plan.Endpoints} placed endpoints, {plan.Busy} of them in use; {plan.NotNow} cannot move now; {plan.DeferredSlots} slots and {plan.DeferredEndpoints} placed endpoints are waited for",
    ];
}
