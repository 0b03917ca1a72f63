using System.Diagnostics;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Step 1: <c>Migrating{S -> D, h}</c> in the map. From here on routers send to D, which relays to S.</summary>
/// <remarks>Idempotent by the map: entries under way by a commit of this very migration keep their handoff id; anything else is a conflict.</remarks>
public sealed class PlanHandoff(BatchWork work, MapHerald herald, ILogger<PlanHandoff> logger) : TaskActivity<BatchStep, StepResult>
{
    /// <inheritdoc/>
    public override async Task<StepResult> RunAsync(TaskActivityContext context, BatchStep input)
    {
        var cancellationToken = context.CancellationToken;
        var started = Stopwatch.GetTimestamp();
        var head = await work.Migrations.ReadHeadAsync(input.Id, cancellationToken);
        var view = await work.LookAsync(input, cancellationToken);
        if (view.Batch.State == MigrationState.Finished) return new StepResult(StepVerdict.Finished);
        if (head.State == MigrationState.Cancelling && view.Batch.Handoff is null) return new StepResult(StepVerdict.Cancelled);

        var commit = await work.Store.CommitAsync(map => (view with { Map = map }).Survey().Standing == BatchSurvey.Standing.AtSource
            ? new MapCommit(input.Id, head.Reason, [new PlanMove(view.Entries, view.From, view.To)])
            : null, cancellationToken);
        if (commit.Outcome == CommitOutcome.Refused) return StepResult.GiveUp(commit.Refusal!);

        var found = (view with { Map = commit.Map }).Survey();
        switch (found.Standing)
        {
            case BatchSurvey.Standing.AtDestination when view.Batch.Handoff is { } before:
                return new StepResult(StepVerdict.Granted, before, found.Version.Value);
            case BatchSurvey.Standing.UnderWay when await work.CauseAsync(found.Version, cancellationToken) == input.Id:
                await Task.WhenAll(
                    herald.TellAsync(found.Version, cancellationToken),
                    RecordAsync(input, view.Batch, found.Handoff, Stopwatch.GetElapsedTime(started), cancellationToken));
                Log.Planned(logger, input.Id, input.Batch, found.Handoff, view.Entries.Count, view.Batch.From, view.Batch.To);
                return new StepResult(StepVerdict.Ok, found.Handoff.Value);
            default:
                // It may have been granted while nobody looked, and be somebody else's by now.
                if (view.Batch.Handoff is { } attempt && await work.GrantedAsync(attempt, cancellationToken) is { } granted) return granted;
                return await ConflictAsync(input, found.Version, cancellationToken);
        }
    }

    private async Task<StepResult> ConflictAsync(BatchStep step, MapVersion version, CancellationToken cancellationToken)
    {
        var other = await work.CauseAsync(version, cancellationToken);
        var error = new WireError(ErrorCodes.AlreadyMoving, $"'{other ?? "Another change"}' was faster: map version {version} has an endpoint of this batch.",
            "Look at GET /api/map for the endpoints; start another migration if they should still move.");
        Log.StepFailed(logger, step.Id, step.Batch, nameof(PlanHandoff), error.Code, error.Message);
        return new StepResult(StepVerdict.Conflict, Error: error, ConflictWith: other);
    }

    private Task RecordAsync(BatchStep step, MigrationBatch batch, HandoffId handoff, TimeSpan took, CancellationToken cancellationToken)
    {
        if (batch.Handoff == handoff.Value) return Task.CompletedTask; // Taken up again after a restart.
        var phases = new Dictionary<string, double>(batch.Costs.PhasesMs, StringComparer.Ordinal) { ["plan"] = took.TotalMilliseconds };
        var retried = batch.Costs.Retried + (batch.Handoff is null ? 0 : 1);
        return work.Migrations.WriteBatchAsync(step.Id, batch with
        {
            Handoff = handoff.Value,
            Phase = "warming",
            Costs = batch.Costs with { PhasesMs = phases, Retried = retried },
        }, cancellationToken);
    }
}
