using System.Text.Json.Serialization;
using ShardCloud.Contracts;

namespace ShardCloud.Orchestrator.Migrations;

// What travels in histories: small, because the records hold the lists. Names and meanings are a compatibility surface of instances in flight.

/// <summary>Input of <see cref="MigrateEndpoints"/>.</summary>
/// <param name="Id">The record, and the instance.</param>
/// <param name="Batches">How many batches the record has.</param>
/// <param name="Parallel">Batches on the way at the same time.</param>
public sealed record MigrationStart(string Id, int Batches, int Parallel = 4);

/// <summary>Which batch an activity is about, and by which attempt.</summary>
public sealed record BatchStep(string Id, int Batch, long Handoff = 0, long GrantedVersion = 0);

/// <summary>What a step came to.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<StepVerdict>))]
public enum StepVerdict
{
    /// <summary>Done: the next step.</summary>
    Ok,

    /// <summary>Still on the way when the activity's time was over: call it again.</summary>
    Again,

    /// <summary>It cannot succeed, or somebody cancelled: cancel the handoff, unless it has been granted meanwhile.</summary>
    GiveUp,

    /// <summary>The map says granted: only forward from here.</summary>
    Granted,

    /// <summary>The map says this handoff is over without a grant.</summary>
    Cancelled,

    /// <summary>Another migration has or had the endpoints.</summary>
    Conflict,

    /// <summary>The batch was finished before.</summary>
    Finished,
}

/// <summary>Result of one activity of a batch.</summary>
public sealed record StepResult(StepVerdict Verdict, long Handoff = 0, long GrantedVersion = 0, WireError? Error = null, string? ConflictWith = null)
{
    /// <summary>Gives up with the reason.</summary>
    public static StepResult GiveUp(ShardCloudException error) => new(StepVerdict.GiveUp, Error: error.ToWire());
}

/// <summary>How a batch ended, for its record.</summary>
public sealed record BatchEnd(string Id, int Batch, MigrationOutcome Outcome, WireError? Error, string? ConflictWith);

internal static class WireErrors
{
    public static WireError ToWire(this ShardCloudException error) => new(error.Code, error.Message, error.Remedy);
}
