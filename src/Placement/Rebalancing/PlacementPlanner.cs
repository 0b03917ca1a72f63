namespace ShardCloud.Placement.Rebalancing;

/// <summary>From today's placement few moves to a better one: less traffic between shards, no shard with much more than its share. Pure and deterministic: the same inputs give the same plan.</summary>
/// <remarks>
/// It minimises the weight of cut edges and <see cref="PlacementPolicy.MoveCost"/> for each move, within the limits of <see cref="PlacementPolicy"/>: <c>docs/placement.md</c>. In steps: clusters
/// (<see cref="PlacementClusters"/>), where each should be in the end (<see cref="PlacementTarget"/>), which moves on the way there this round makes (<see cref="PlacementRound"/>), and whether they are worth beginning (<see cref="PlacementRest"/>).
/// A change of what it makes of the same inputs is a new <see cref="Version"/>.
/// </remarks>
public static class PlacementPlanner
{
    /// <summary>Stands in every stored plan. One that another version made is not planned again. It is 1 until the first release, whatever changes.</summary>
    public const int Version = 1;

    private const int NeighboursNamed = 3;

    /// <summary>The moves of one round. Cost: about O((entries + edges) log entries).</summary>
    /// <exception cref="ShardCloudException">SC5080 to SC5083: inputs that no plan can be made from, or that no placement can satisfy.</exception>
    public static PlacementPlan Plan(PlacementInputs inputs)
    {
        PlacementCheck.Check(inputs);
        var model = new PlacementModel(inputs);
        var (round, left, rest) = RoundOf(model, PlacementClusters.Of(model));
        var moves = round.Moves.Select(move => new PlacementMove(
            inputs.Entries[move.Entry].Key, inputs.Shards[move.From].Id, inputs.Shards[move.To].Id, move.Gain, With(model, round.State.At, move), move.LoadFrom, move.LoadTo));
        return new PlacementPlan([.. moves], new PlacementState(model).Quality(), round.State.Quality(), round.Held, left, rest);
    }

    private static (PlacementRound Round, double Left, PlacementRest? Resting) RoundOf(PlacementModel model, int[] clusters)
    {
        var needs = new Lazy<PlacementRound>(() =>
        {
            var needed = PlacementTarget.Of(model, clusters, isGathered: false);
            return PlacementRound.Of(model, clusters, needed.At, needed.IsRequired);
        });
        if (model.TotalWeight <= 0) return (needs.Value, 0, model.Inputs.Rest); // Nothing is known of what is left.

        var (target, below, among) = (PlacementTarget.Of(model, clusters, isGathered: true), model.Inputs.Policy.RestBelow, PlacementRest.FingerprintOf(model.Inputs));
        var since = model.Inputs.Rest is { } before && before.Among == among ? before.Left : (double?)null;
        if (target.Left >= below)
        {
            var round = RoundTo(model, clusters, target);
            var rested = target.Left < since + below;
            if (!rested && round.IsBudgetSpent) return (round, target.Left, null);
            if (GainOf(round) > 0 && (!rested || Wakes(round) || Wakes(PlacementRound.Of(model, clusters, target.At, target.IsRequired, budget: 1)))) return (round, target.Left, null);
        }
        return (needs.Value, target.Left, new PlacementRest(Math.Min(since ?? target.Left, target.Left), among));

        double GainOf(PlacementRound round) => round.Saved - needs.Value.Saved;
        bool Wakes(PlacementRound round) => GainOf(round) >= PlacementRest.WakesAt * below * model.TotalWeight;
    }

    // A round that leaves something of its budget has no more to gather: moves wait for room, or for each other. What is near and better as a whole may be a way on.
    private static PlacementRound RoundTo(PlacementModel model, int[] clusters, PlacementTarget target)
    {
        var gathers = PlacementRound.Of(model, clusters, target.At, target.IsRequired);
        if (gathers.IsBudgetSpent || DividedPlacement.Near(model, target) is not { } near) return gathers;
        var divides = PlacementRound.Of(model, clusters, near, target.IsRequired);
        return divides.Worth > gathers.Worth && divides.Overload <= gathers.Overload ? divides : gathers;
    }

    /// <summary>The moves from today's placement to another one, in the order of the entries.</summary>
    internal static IEnumerable<PlacementMove> MovesTo(PlacementModel model, int[] at)
    {
        var state = new PlacementState(model);
        for (var entry = 0; entry < at.Length; entry++)
        {
            var (from, to) = (model.Owner[entry], at[entry]);
            if (from == to) continue;
            var (gain, loadFrom) = (PlacementTies.Gain(model, state.At, entry, to), state.Relative(from));
            state.Move(entry, to);
            var move = new PlannedMove(entry, from, to, gain, loadFrom, state.Relative(to));
            yield return new PlacementMove(model.Inputs.Entries[entry].Key, model.Inputs.Shards[from].Id, model.Inputs.Shards[to].Id, gain, With(model, at, move), loadFrom, move.LoadTo);
        }
    }

    // As everything is after the round: of a cluster that is gathered, all may be new at the shard.
    private static EndpointId[] With(PlacementModel model, int[] at, PlannedMove move) =>
    [
        .. Enumerable.Range(model.First[move.Entry], model.First[move.Entry + 1] - model.First[move.Entry])
            .Where(i => at[model.Ends[i]] == move.To && model.Inputs.Entries[model.Ends[i]].Key.IsEndpoint)
            .OrderByDescending(i => model.Weights[i]).ThenBy(i => model.Ends[i]).Take(NeighboursNamed)
            .Select(i => model.Inputs.Entries[model.Ends[i]].Key.Endpoint),
    ];
}
