using System.Text.Json.Serialization;
using ShardCloud.Contracts;
using ShardCloud.Placement.Rebalancing;

namespace ShardCloud.Orchestrator.Rebalancing;

/// <summary>A run with what only its own steps need.</summary>
/// <param name="Public">What everybody sees.</param>
/// <param name="Next">The first batch that was not begun.</param>
/// <param name="Cancelled">By whom it is to be stopped.</param>
/// <param name="BudgetMin">At least so much of the endpoints may be moved, whatever the policy says: a shard that was added gets its share in one run.</param>
/// <param name="Rest">What its plan says of rest: the next run's plan begins with that.</param>
public sealed record RebalanceRecord(RebalanceRun Public, int Next = 0, string? Cancelled = null, double BudgetMin = 0, PlacementRest? Rest = null)
{
    /// <summary>Whether it has ended.</summary>
    [JsonIgnore]
    public bool IsFinished => Public.State == RebalanceState.Finished;

    /// <summary>The same, ended.</summary>
    public RebalanceRecord Ended(RebalanceOutcome outcome, DateTimeOffset at, WireError? error = null) =>
        this with { Public = Public with { State = RebalanceState.Finished, Outcome = outcome, FinishedAt = at, Error = error ?? Public.Error } };
}

/// <summary>Which run runs: one at a time.</summary>
public sealed record RebalanceLock(string Id);

/// <summary>An endpoint that rebalancing gave an entry of its own in the map.</summary>
public sealed record PlacedByRebalance(string Endpoint, string Rebalance, DateTimeOffset At);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RebalanceRecord))]
[JsonSerializable(typeof(RebalanceLock))]
[JsonSerializable(typeof(PlacedByRebalance))]
[JsonSerializable(typeof(RebalancePolicy))]
internal sealed partial class RebalanceRecordJson : JsonSerializerContext;
