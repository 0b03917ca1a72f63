using ShardCloud.Contracts;
using ShardCloud.DurableTask;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Moves endpoints to one shard without losing an acknowledged write. One orchestration per plan, however many batches it has.</summary>
/// <remarks>
/// The steps are those of docs/protocol/handoff.md. The truth is elsewhere: the map says who owns what, the record says how far a batch is; so this
/// may run twice, stop anywhere and be started again. Until the grant (6) any trouble, and a cancel, ends in the map's entries being back
/// at the source. From the grant on it only goes forward. A batch is one (source, destination) pair; batches run side by side up to the budget.
/// </remarks>
public sealed class MigrateEndpoints : TaskOrchestrator<MigrationStart, string>
{
    /// <summary>External event that asks for a cancel; the mark in the record is what counts, the event only wakes.</summary>
    public const string CancelEvent = "cancel";

    /// <summary>How often a step that needs more time than one activity is called again before it counts as failed: about ten minutes.</summary>
    private const int RoundsMax = 20;

    // The store or a member may be away for a while; a step is called again, ever more slowly, for about five minutes.
    private static readonly TaskOptions Patient = TaskOptions.FromRetryPolicy(
        new RetryPolicy(12, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(60)));

    /// <inheritdoc/>
    public override async Task<string> RunAsync(TaskOrchestrationContext context, MigrationStart input)
    {
        var cancel = context.WaitForExternalEvent<string>(CancelEvent);
        var moving = new List<Task>();
        for (var batch = 0; batch < input.Batches; batch++)
        {
            if (moving.Count >= input.Parallel) moving.Remove(await Task.WhenAny(moving));
            moving.Add(MoveAsync(context, new BatchStep(input.Id, batch), cancel));
        }
        await Task.WhenAll(moving);
        return await context.CallActivityAsync<string>(nameof(RecordMigration), input.Id, Patient); // (9)
    }

    private static async Task MoveAsync(TaskOrchestrationContext context, BatchStep step, Task cancel)
    {
        BatchEnd end;
        try
        {
            end = await MoveBatchAsync(context, step, cancel);
        }
        catch (TaskFailedException error)
        {
            // Patience is over with the map's store itself. The seal deadline of the source ends what is not granted without us.
            var failure = new WireError(ErrorCodes.Unexpected, error.Message, "Look at the Orchestrator's log; the endpoints' owners are in the map.");
            end = new BatchEnd(step.Id, step.Batch, MigrationOutcome.Failed, failure, null);
        }
        if (end.Batch >= 0) await context.CallActivityAsync(nameof(RecordBatch), end, Patient); // (9)
    }

    private static async Task<BatchEnd> MoveBatchAsync(TaskOrchestrationContext context, BatchStep step, Task cancel)
    {
        // (1) plan: the map version of this commit is the handoff's id; an attempt that was cancelled can never come back (G5).
        var planned = await context.CallActivityAsync<StepResult>(nameof(PlanHandoff), step, Patient);
        switch (planned.Verdict)
        {
            case StepVerdict.Finished: return new BatchEnd(step.Id, -1, MigrationOutcome.Done, null, null);
            case StepVerdict.Conflict: return new BatchEnd(step.Id, step.Batch, MigrationOutcome.Conflict, planned.Error, planned.ConflictWith);
            case StepVerdict.Cancelled or StepVerdict.GiveUp: return new BatchEnd(step.Id, step.Batch, MigrationOutcome.Cancelled, planned.Error, null);
        }
        step = step with { Handoff = planned.Handoff, GrantedVersion = planned.GrantedVersion };

        if (planned.Verdict != StepVerdict.Granted)
        {
            // (2) warm, (3) catch up, (4) verify, (5) seal, (6) grant: any of them may give up, and a cancel may come at any time.
            var before = await BeforeGrantAsync(context, step, cancel);
            if (before.Verdict == StepVerdict.Cancelled) return new BatchEnd(step.Id, step.Batch, MigrationOutcome.Cancelled, before.Error, null);
            if (before.Verdict != StepVerdict.Granted)
            {
                var ended = await context.CallActivityAsync<StepResult>(nameof(CancelHandoff), step, Patient);
                if (ended.Verdict != StepVerdict.Granted) return new BatchEnd(step.Id, step.Batch, MigrationOutcome.Cancelled, before.Error, null);
                before = ended; // The grant was faster than the cancel.
            }
            step = step with { GrantedVersion = before.GrantedVersion };
        }

        // Past the point of no return: (7) publish and (8) retire are repeated until done, or until they need nobody any more.
        var after = await RepeatAsync(context, nameof(PublishAndRetire), step);
        return new BatchEnd(step.Id, step.Batch, MigrationOutcome.Done, after.Error, null);
    }

    private static async Task<StepResult> BeforeGrantAsync(TaskOrchestrationContext context, BatchStep step, Task cancel)
    {
        var result = new StepResult(StepVerdict.Ok);
        foreach (var name in (string[])[nameof(WarmAndCatchUp), nameof(VerifyDestination), nameof(GoAndAwaitGrant)])
        {
            var running = RepeatAsync(context, name, step);
            if (await Task.WhenAny(running, cancel) == cancel && !running.IsCompleted)
            {
                // The commit of the cancel ends what still runs at the members; the activity sees that and returns.
                var ended = await context.CallActivityAsync<StepResult>(nameof(CancelHandoff), step, Patient);
                await Task.WhenAny(running); // Whether it failed does not matter any more.
                return ended;
            }
            try
            {
                result = await running;
            }
            catch (TaskFailedException error)
            {
                return new StepResult(StepVerdict.GiveUp, Error: new WireError(ErrorCodes.Unexpected, error.Message, "Look at the Orchestrator's log, then try again."));
            }
            if (result.Verdict != StepVerdict.Ok) return result;
        }
        return result;
    }

    private static async Task<StepResult> RepeatAsync(TaskOrchestrationContext context, string activity, BatchStep step)
    {
        for (var round = 0; round < RoundsMax; round++)
        {
            var result = await context.CallActivityAsync<StepResult>(activity, step, Patient);
            if (result.Verdict != StepVerdict.Again) return result;
        }
        return new StepResult(StepVerdict.GiveUp, Error: new WireError(
            ErrorCodes.StepTimedOut, $"{activity} of handoff h{step.Handoff} did not finish in {RoundsMax} rounds.", "Look at the destination's log and lag, then try again."));
    }
}
