using System.Diagnostics;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Steps 2 and 3: D builds its replica and its lag falls under the threshold. Asking again is the same handoff at D.</summary>
public sealed class WarmAndCatchUp(BatchWork work, ILogger<WarmAndCatchUp> logger) : TaskActivity<BatchStep, StepResult>
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(5);

    /// <inheritdoc/>
    public override async Task<StepResult> RunAsync(TaskActivityContext context, BatchStep input)
    {
        var cancellationToken = context.CancellationToken;
        var (started, heard, asked) = (Stopwatch.GetTimestamp(), Stopwatch.GetTimestamp(), false);
        while (Stopwatch.GetElapsedTime(started) < BatchWork.ActivityBudget)
        {
            var view = await work.LookAsync(input, cancellationToken);
            if (await work.DecidedAsync(view, input, cancellationToken) is { } decided) return decided;
            if (view.DestinationAddress is not { } address) return StepResult.GiveUp(view.DestinationGone());
            if (await work.Migrations.IsCancellingAsync(input.Id, cancellationToken)) return new StepResult(StepVerdict.GiveUp, input.Handoff);
            try
            {
                // (2) warm. Asked on every call of this activity: a destination that forgot is told again.
                if (!asked) await work.Members.PrepareAsync(address, new HandoffRequest(input.Handoff, view.Batch.From, view.Batch.To, view.Batch.Entries, input.Id), cancellationToken);
                asked = true;
                // (3) catch up.
                var status = await work.Members.WaitForAsync(address, new HandoffId(input.Handoff), HandoffPhase.Warm, Poll, cancellationToken);
                heard = Stopwatch.GetTimestamp();
                if (status.Error is { } error) return new StepResult(StepVerdict.GiveUp, input.Handoff, Error: error);
                if (status.Phase == HandoffPhase.Cancelled) continue; // The map decides: next round.
                if (status.Phase >= HandoffPhase.Warm) return new StepResult(StepVerdict.Ok, input.Handoff);
            }
            catch (MemberUnreachableException error) when (Stopwatch.GetElapsedTime(heard) < BatchWork.SilenceMax)
            {
                Log.StepFailed(logger, input.Id, input.Batch, nameof(WarmAndCatchUp), error.Code, error.Message);
                await Task.Delay(BatchWork.BetweenTries, cancellationToken);
            }
            catch (ShardCloudException error)
            {
                Log.StepFailed(logger, input.Id, input.Batch, nameof(WarmAndCatchUp), error.Code, error.Message);
                return StepResult.GiveUp(error);
            }
        }
        return new StepResult(StepVerdict.Again, input.Handoff);
    }
}
