using System.Diagnostics;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Steps 7 and 8: everybody learns of the new owner, the source's ownership is removed. Past the point of no return: repeated until done.</summary>
/// <remarks>
/// D and S do the work by themselves. This watches, keeps the measurements, and steps in where S has gone: it is fenced once its row has stood
/// still for its lease and 10 % more on this process's monotonic clock, and D is asked to write Retire in its place. A destination that is lost
/// after the grant is a matter of take-over, not of this move.
/// </remarks>
public sealed class PublishAndRetire(BatchWork work, MemberFence fence, ILogger<PublishAndRetire> logger) : TaskActivity<BatchStep, StepResult>
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(2);

    /// <inheritdoc/>
    public override async Task<StepResult> RunAsync(TaskActivityContext context, BatchStep input)
    {
        var cancellationToken = context.CancellationToken;
        var handoff = new HandoffId(input.Handoff);
        var started = Stopwatch.GetTimestamp();
        var watch = fence.Watch();
        while (Stopwatch.GetElapsedTime(started) < BatchWork.ActivityBudget)
        {
            var view = await work.LookAsync(input, cancellationToken);
            if (view.DestinationAddress is not { } address)
                return new StepResult(StepVerdict.Ok, input.Handoff, input.GrantedVersion, view.DestinationGone().ToWire()); // Granted, and then lost: take-over's turn.
            try
            {
                var status = await work.Members.WaitForAsync(address, handoff, HandoffPhase.Retired, Poll, cancellationToken);
                await MeasureAsync(input, view.Batch, status, cancellationToken);
                // Cancelled: it took over from the source before it was granted anything, and the take-over ended the source's epochs. By this handoff there is nothing to retire.
                if (status.Phase is HandoffPhase.Retired or HandoffPhase.Cancelled) return new StepResult(StepVerdict.Ok, input.Handoff, input.GrantedVersion);
                if (status.Phase >= HandoffPhase.Serving && await IsSourceGoneAsync(view, watch, cancellationToken))
                    await work.Members.RetireAsync(address, handoff, cancellationToken);
            }
            catch (ShardCloudException error) when (error.Code == ErrorCodes.NotFound)
            {
                return new StepResult(StepVerdict.Ok, input.Handoff, input.GrantedVersion); // D has retired it and forgotten about it.
            }
            catch (ShardCloudException error)
            {
                Log.StepFailed(logger, input.Id, input.Batch, nameof(PublishAndRetire), error.Code, error.Message);
                await watch.ObserveAsync([view.To], cancellationToken); // If D stands still too long it is fenced, and the next look ends this.
                await Task.Delay(BatchWork.BetweenTries, cancellationToken);
            }
        }
        return new StepResult(StepVerdict.Again, input.Handoff, input.GrantedVersion);
    }

    private static async Task<bool> IsSourceGoneAsync(BatchView view, MemberFence.Watcher watch, CancellationToken cancellationToken) =>
        view.SourceAddress is null || (await watch.ObserveAsync([view.From], cancellationToken)).Count > 0;

    // (9) begins here: the numbers are kept as soon as they are known, for the destination forgets them.
    private async Task MeasureAsync(BatchStep step, MigrationBatch batch, HandoffStatus status, CancellationToken cancellationToken)
    {
        var phases = new Dictionary<string, double>(batch.Costs.PhasesMs, StringComparer.Ordinal);
        foreach (var (phase, ms) in status.PhasesMs) phases[phase] = ms;
        await work.Migrations.WriteBatchAsync(step.Id, batch with
        {
            Phase = status.Phase.ToString().ToLowerInvariant(),
            GrantedVersion = step.GrantedVersion,
            Costs = MigrationCosts.Of(phases, status.PausesMs, status.MaxWaitMs, status.Bytes, status.Parked, status.Forwarded, batch.Costs.Retried),
        }, cancellationToken);
    }
}
