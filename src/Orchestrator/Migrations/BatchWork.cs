using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>What the activities of a batch share: its record, the newest map, and where its two members are.</summary>
public sealed class BatchWork(MapReader maps, MapStore store, MemberDirectory directory, MigrationStore migrations, MemberClient members)
{
    /// <summary>How long one activity works before it asks to be called again: histories show progress, and a host may move the work.</summary>
    public static readonly TimeSpan ActivityBudget = TimeSpan.FromSeconds(30);

    /// <summary>How long a member may be silent before the grant until the move is cancelled. Nothing is lost by it: the source serves on.</summary>
    public static readonly TimeSpan SilenceMax = TimeSpan.FromSeconds(5);

    /// <summary>Pause after a call that found nobody, so that a member that is starting over is not hammered.</summary>
    public static readonly TimeSpan BetweenTries = TimeSpan.FromMilliseconds(200);

    public MapReader Maps => maps;

    public MapStore Store => store;

    public MemberDirectory Directory => directory;

    public MigrationStore Migrations => migrations;

    public MemberClient Members => members;

    /// <summary>The batch and where the map has it now.</summary>
    public async Task<BatchView> LookAsync(BatchStep step, CancellationToken cancellationToken)
    {
        var batch = await migrations.ReadBatchAsync(step.Id, step.Batch, cancellationToken);
        return new BatchView(batch, BatchSurvey.Entries(batch), await maps.ReadAsync(cancellationToken));
    }

    /// <summary>The id of the migration that made the commit of a version; null when that row is gone.</summary>
    public async Task<string?> CauseAsync(MapVersion version, CancellationToken cancellationToken) =>
        version == MapVersion.None ? null : (await store.ReadChangeAsync(version, cancellationToken))?.Commit.Cause;

    /// <summary>What the map says of an attempt that was before its grant; null while it is simply under way. Where it is over, the map's changes tell whether by its grant.</summary>
    public async Task<StepResult?> DecidedAsync(BatchView view, BatchStep step, CancellationToken cancellationToken)
    {
        var decided = Decided(view, step);
        return decided is { Verdict: StepVerdict.Cancelled } ? await GrantedAsync(step.Handoff, cancellationToken) ?? decided : decided;
    }

    /// <summary>The verdict on an attempt whose entries are elsewhere, if it was granted before that; null if it was not.</summary>
    public async Task<StepResult?> GrantedAsync(long handoff, CancellationToken cancellationToken)
    {
        var attempt = new HandoffId(handoff);
        var version = BatchSurvey.GrantOf(attempt, await store.ReadChangesAsync(attempt.PlannedAt, cancellationToken));
        return version is { } granted ? new StepResult(StepVerdict.Granted, handoff, granted.Value) : null;
    }

    /// <summary>The same by the map alone, which does not tell of a grant that somebody has taken over from since.</summary>
    public static StepResult? Decided(BatchView view, BatchStep step)
    {
        var found = view.Survey();
        if (found.Standing == BatchSurvey.Standing.UnderWay && found.Handoff.Value == step.Handoff) return null;
        return found.Standing == BatchSurvey.Standing.AtDestination
            ? new StepResult(StepVerdict.Granted, step.Handoff, found.Version.Value)
            : new StepResult(StepVerdict.Cancelled, step.Handoff, Error: new WireError(
                ErrorCodes.PreconditionFailed, $"Handoff h{step.Handoff} is over: the map shows its entries elsewhere.", "Look at GET /api/map for the endpoints, then try again."));
    }
}

/// <summary>A batch, its parsed entries, and one map.</summary>
public sealed record BatchView(MigrationBatch Batch, IReadOnlyList<EntryKey> Entries, RoutingMap Map)
{
    public IncarnationId From { get; } = new(Batch.From);

    public IncarnationId To { get; } = new(Batch.To);

    /// <summary>Where the map has it.</summary>
    public BatchSurvey.Result Survey() => BatchSurvey.Of(Map, Entries, From, To);

    /// <summary>Member address of the destination; null when it is not live.</summary>
    public string? DestinationAddress => Map.Live.TryGetValue(To, out var member) ? member.MemberAddress : null;

    /// <summary>Member address of the source; null when it is not live.</summary>
    public string? SourceAddress => Map.Live.TryGetValue(From, out var member) ? member.MemberAddress : null;

    /// <summary>The destination has been fenced or has left.</summary>
    public ShardCloudException DestinationGone() => new(ErrorCodes.NotLive, $"The destination '{To}' is not live any more.", "Choose another shard; the source serves on.");
}
