using System.Diagnostics;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Steps 5 and 6: D asks S to seal, and commits the grant. This only says go, watches the map, and says go again where D forgot.</summary>
public sealed class GoAndAwaitGrant(BatchWork work, ILogger<GoAndAwaitGrant> logger) : TaskActivity<BatchStep, StepResult>
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(2);

    /// <inheritdoc/>
    public override async Task<StepResult> RunAsync(TaskActivityContext context, BatchStep input)
    {
        var cancellationToken = context.CancellationToken;
        var handoff = new HandoffId(input.Handoff);
        var (started, heard, gone) = (Stopwatch.GetTimestamp(), Stopwatch.GetTimestamp(), false);
        while (Stopwatch.GetElapsedTime(started) < BatchWork.ActivityBudget)
        {
            var view = await work.LookAsync(input, cancellationToken);
            if (await work.DecidedAsync(view, input, cancellationToken) is { } decided)
            {
                if (decided.Verdict == StepVerdict.Granted) Log.Granted(logger, input.Id, input.Batch, handoff, new MapVersion(decided.GrantedVersion));
                return decided;
            }
            if (view.DestinationAddress is not { } address) return StepResult.GiveUp(view.DestinationGone());
            if (await work.Migrations.IsCancellingAsync(input.Id, cancellationToken)) return new StepResult(StepVerdict.GiveUp, input.Handoff);
            try
            {
                if (!gone) await work.Members.GoAsync(address, handoff, cancellationToken);
                gone = true;
                var status = await work.Members.WaitForAsync(address, handoff, HandoffPhase.Granted, Poll, cancellationToken);
                heard = Stopwatch.GetTimestamp();
                if (status is { Error: { } error, Phase: < HandoffPhase.Granted }) return new StepResult(StepVerdict.GiveUp, input.Handoff, Error: error);
                if (status.Phase is < HandoffPhase.Sealing) gone = false;
            }
            catch (MemberUnreachableException error) when (Stopwatch.GetElapsedTime(heard) < BatchWork.SilenceMax)
            {
                Log.StepFailed(logger, input.Id, input.Batch, nameof(GoAndAwaitGrant), error.Code, error.Message);
                await Task.Delay(BatchWork.BetweenTries, cancellationToken);
            }
            catch (ShardCloudException error)
            {
                Log.StepFailed(logger, input.Id, input.Batch, nameof(GoAndAwaitGrant), error.Code, error.Message);
                return StepResult.GiveUp(error); // CancelHandoff finds out whether the grant was faster.
            }
        }
        return new StepResult(StepVerdict.Again, input.Handoff);
    }
}
