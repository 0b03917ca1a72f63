using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Shards;

namespace ShardCloud.Orchestrator.Updates;

/// <summary>Rolls a cloud to a new version of the application in waves, and back when the new version does not pass.</summary>
/// <remarks>
/// The steps are those of docs/updates.md. All state is in the update's record, the map and the records of its migrations and operations; so every step may run twice and stop anywhere. Each generation
/// of the instance does one step and begins anew (continue-as-new), so histories stay short however long a wave is watched or an approval is waited for.
/// </remarks>
public sealed class UpdateApplication : TaskOrchestrator<UpdateStart, string>
{
    /// <summary>External event after an approval or a cancel; the record is what counts, the event only wakes.</summary>
    public const string WakeEvent = "wake";

    private static readonly TimeSpan LookEvery = TimeSpan.FromMinutes(5);

    // The store or a member may be away for a while; a step is called again, ever more slowly, for about five minutes.
    private static readonly TaskOptions Patient = TaskOptions.FromRetryPolicy(
        new RetryPolicy(12, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(60)));

    /// <inheritdoc/>
    public override async Task<string> RunAsync(TaskOrchestrationContext context, UpdateStart input)
    {
        var look = await context.CallActivityAsync<UpdateLook>(nameof(LookAtUpdate), input.Id, Patient);
        if (look.IsFinished) return "finished";
        if (look.Waits) await WaitAsync(context);
        else await StepAsync(context, input, look);
        context.ContinueAsNew(input);
        return "continues";
    }

    /// <summary>One step, or a part of it.</summary>
    private static async Task StepAsync(TaskOrchestrationContext context, UpdateStart input, UpdateLook look)
    {
        try
        {
            switch (look.Step)
            {
                // (1) staging, (2) warm, (3) verify, (4) grow: nothing that clients use depends on the new version yet.
                case UpdateStep.Staging: await MakeAsync(context, input); break;
                case UpdateStep.Warm: await context.CallActivityAsync<bool>(nameof(WarmShards), input.Id, Patient); break;
                case UpdateStep.Verify: await context.CallActivityAsync<bool>(nameof(VerifyStaging), input.Id, Patient); break;
                case UpdateStep.Grow:
                    await MakeAsync(context, input);
                    await context.CallActivityAsync<bool>(nameof(WarmShards), input.Id, Patient);
                    break;

                // (5) wave and (6) gate, for each wave.
                case UpdateStep.Wave: await MoveAsync(context, await context.CallActivityAsync<UpdateRound>(nameof(PlanWave), input.Id, Patient), look.Parallel); break;
                case UpdateStep.Gate: await context.CallActivityAsync<bool>(nameof(WatchGate), input.Id, Patient); break;

                // (7) remove old: from here on it only goes forward. (8) record.
                case UpdateStep.RemoveOld: await RemoveAsync(context, input); break;
                case UpdateStep.Record: await context.CallActivityAsync<string>(nameof(RecordUpdate), input.Id, Patient); break;

                // The way back, from any of 1 to 6.
                case UpdateStep.RollBack:
                    var round = await context.CallActivityAsync<UpdateRound>(nameof(PlanBack), input.Id, Patient);
                    await (round.IsDone ? RemoveAsync(context, input) : MoveAsync(context, round, look.Parallel));
                    break;
            }
        }
        catch (TaskFailedException error)
        {
            var trouble = new WireError(ErrorCodes.UpdateFailed, $"Step {(int)look.Step} ({look.Step}) could not be done: {error.Message}", "Look at the Orchestrator's log, then start the update again.");
            await context.CallActivityAsync<bool>(nameof(FailUpdate), new UpdateTrouble(input.Id, trouble), Patient);
        }
    }

    private static async Task MakeAsync(TaskOrchestrationContext context, UpdateStart input)
    {
        var wanted = await context.CallActivityAsync<IReadOnlyList<CreateShardInput>>(nameof(PrepareShards), input.Id, Patient);
        await Task.WhenAll(wanted.Select(shard => ChildRuns.RunAsync<CreateShardResult>(context, nameof(CreateShard), shard.Operation, shard, nameof(ReadOperation), Patient)));
        await context.CallActivityAsync<bool>(nameof(RecordShards), new MadeShards(input.Id, [.. wanted.Select(shard => shard.Operation)]), Patient);
    }

    private static async Task MoveAsync(TaskOrchestrationContext context, UpdateRound round, int parallel)
    {
        foreach (var together in round.Migrations.Chunk(parallel))
            await ChildRuns.RunAsync(context, together.Select(start => start with { Parallel = Math.Max(1, parallel / together.Length) }), Patient);
    }

    private static async Task RemoveAsync(TaskOrchestrationContext context, UpdateStart input)
    {
        var run = await context.CallActivityAsync<RemovalRun>(nameof(BeginRemovals), input.Id, Patient);
        if (run.Waits) return;
        await Task.WhenAll(run.Removals.Select(removal => ChildRuns.RunAsync<string>(context, nameof(RemoveShard), removal.Operation, removal, nameof(ReadOperation), Patient)));
        await context.CallActivityAsync<bool>(nameof(EndRemovals), input.Id, Patient);
    }

    private static async Task WaitAsync(TaskOrchestrationContext context)
    {
        using var woken = new CancellationTokenSource();
        using var over = new CancellationTokenSource();
        var wake = context.WaitForExternalEvent<string>(WakeEvent, over.Token);
        var timer = context.CreateTimer(LookEvery, woken.Token);
        if (await Task.WhenAny(wake, timer) == wake) woken.Cancel(); // Here and now: CancelAsync would leave the orchestrator's thread.
        else over.Cancel();
    }
}
