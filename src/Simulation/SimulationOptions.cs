using ShardCloud.Replication;
using ShardCloud.Routing;

namespace ShardCloud.Simulation;

/// <summary>What is to be run. Two runs with equal options and seed are the same, event by event.</summary>
public sealed record SimulationOptions
{
    /// <summary>Guards of the cores; all of them but for a search for what breaks without one.</summary>
    public Guards Guards { get; init; } = Guards.All;

    /// <summary>A mistake to be found.</summary>
    public PlantedBug Bug { get; init; }

    /// <summary>When answers leave; null: drawn from the seed.</summary>
    public AckMode? Ack { get; init; }

    /// <summary>Mode of the endpoints; null: drawn from the seed.</summary>
    public Mode? Mode { get; init; }

    /// <summary>Whether the application is updated meanwhile; null: drawn from the seed.</summary>
    public bool? Updates { get; init; }

    /// <summary>Only what clients were answered is looked at, and not inside the members.</summary>
    public bool OnlyAnswers { get; init; }

    /// <summary>What is run to find out what breaks without a guard, or by a mistake.</summary>
    public static SimulationOptions For(Guards guards, PlantedBug bug) => new() { Guards = guards, Bug = bug, OnlyAnswers = bug is PlantedBug.StaleRead or PlantedBug.AnswerBeforeLog };

    internal Guards InForce => Bug is PlantedBug.LateRecord ? Guards & ~Guards.ClosedEpochs : Guards;
}
