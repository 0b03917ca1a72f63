using System.Globalization;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>One move and why.</summary>
/// <param name="Entry">What moves.</param>
/// <param name="From">Its owner.</param>
/// <param name="To">Where it goes.</param>
/// <param name="Gain">Weight of edges that are cut before and not after it, in accesses a second, when the moves before it in the plan are made; below 0 where balance asks for it.</param>
/// <param name="With">Up to three endpoints at its destination that it is used most with.</param>
/// <param name="LoadFrom">Load of its owner before it, as a multiple of the owner's share.</param>
/// <param name="LoadTo">Load of the destination after it, likewise.</param>
public sealed record PlacementMove(EntryKey Entry, ShardId From, ShardId To, double Gain, IReadOnlyList<EndpointId> With, double LoadFrom, double LoadTo)
{
    /// <summary>The move and its reason as one line for people.</summary>
    public string Say()
    {
        var why = Gain > 0 ? string.Create(CultureInfo.InvariantCulture, $"{Gain:0.###} accesses/s less between shards")
            : Gain < 0 ? string.Create(CultureInfo.InvariantCulture, $"for the balance, with {-Gain:0.###} accesses/s more between shards") : "for the balance";
        var with = With.Count == 0 ? "" : $", beside {string.Join(", ", With)}";
        return string.Create(CultureInfo.InvariantCulture, $"{Entry}: {From} -> {To}: {why}{with}; {From} had {100 * LoadFrom:0} % of its share, {To} has {100 * LoadTo:0} %");
    }
}

/// <summary>How good a placement is. <c>Cut</c>: share of the weight of all edges whose ends are at different shards, 0 to 1. <c>Imbalance</c>: how far the shard with most load is above its share.</summary>
public readonly record struct PlacementQuality(double Cut, double Imbalance);

/// <summary>Moves of one round, in the order in which they are to be made, and what they bring.</summary>
/// <param name="Moves">The moves.</param>
/// <param name="Before">Before the first of them.</param>
/// <param name="After">After the last.</param>
/// <param name="Held">Moves that would be good, left for later rounds: the budget is spent, or there is no room.</param>
/// <param name="Left">What gathering would save before this round, if there were room for it: share of the weight of all edges, 0 to 1.</param>
/// <param name="Rest">That the placement rests, for the next plan; null where this one moves something for traffic.</param>
public sealed record PlacementPlan(IReadOnlyList<PlacementMove> Moves, PlacementQuality Before, PlacementQuality After, int Held, double Left = 0, PlacementRest? Rest = null);
