namespace ShardCloud.Placement.Rebalancing;

/// <summary>A stored plan of placements made again.</summary>
/// <param name="Stored">What was stored.</param>
/// <param name="Planned">What the planner makes of its inputs here and now.</param>
/// <param name="Difference">The first thing that differs; null where every byte is the same.</param>
public sealed record PlacementReplay(PlacementPlan Stored, PlacementPlan Planned, string? Difference)
{
    /// <summary>True when every byte is the same.</summary>
    public bool IsSame => Difference is null;

    /// <summary>Plans again from the inputs of a stored plan, and compares the bytes.</summary>
    /// <exception cref="ShardCloudException">SC5058 or SC5059, see <see cref="PlacementPlanFile.Read"/>; SC5080 to SC5083 for inputs that no plan can be made from.</exception>
    public static PlacementReplay Of(ReadOnlyMemory<byte> bytes)
    {
        var (inputs, stored) = PlacementPlanFile.Read(bytes);
        var planned = PlacementPlanner.Plan(inputs);
        return new PlacementReplay(stored, planned, PlacementPlanFile.Write(inputs, planned).AsSpan().SequenceEqual(bytes.Span) ? null
            : PlanReplay.FirstDifference(Lines(stored), Lines(planned)) ?? "the moves are the same and their figures differ");
    }

    private static List<string> Lines(PlacementPlan plan) => [.. plan.Moves.Select(move => move.Say())];
}
