using ShardCloud.DurableTask;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Puts the entries back to the source by a commit on the map: either this or the grant wins, never both.</summary>
public sealed class CancelHandoff(BatchWork work, ILogger<CancelHandoff> logger) : TaskActivity<BatchStep, StepResult>
{
    /// <summary>A source that is slow has seen the map by itself before it says that it heard the hint.</summary>
    private static readonly TimeSpan HintWithin = TimeSpan.FromMilliseconds(500);

    /// <inheritdoc/>
    public override async Task<StepResult> RunAsync(TaskActivityContext context, BatchStep input)
    {
        var cancellationToken = context.CancellationToken;
        var handoff = new HandoffId(input.Handoff);
        var view = await work.LookAsync(input, cancellationToken);
        var commit = await work.Store.CommitAsync(map => BatchWork.Decided(view with { Map = map }, input) is null
            ? new MapCommit(input.Id, "cancelled before the grant", [new CancelMove(handoff, view.Entries)])
            : null, cancellationToken);
        if (commit.Outcome == CommitOutcome.Refused) throw commit.Refusal!; // Called again: the next look at the map decides.

        view = view with { Map = commit.Map };
        if (await work.DecidedAsync(view, input, cancellationToken) is { Verdict: StepVerdict.Granted } granted) return granted;
        Log.Cancelled(logger, input.Id, input.Batch, handoff);
        await Task.WhenAll(HintAsync(view.DestinationAddress, handoff, cancellationToken), HintAsync(view.SourceAddress, handoff, cancellationToken));
        return new StepResult(StepVerdict.Cancelled, input.Handoff);
    }

    // Members follow the map anyway; the hint saves the source up to a second of parking.
    private async Task HintAsync(string? address, HandoffId handoff, CancellationToken cancellationToken)
    {
        if (address is null) return;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(HintWithin);
        try
        {
            await work.Members.HintCancelledAsync(address, handoff, limit.Token);
        }
        catch (Exception error) when (error is ShardCloudException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            // A hint is all it was.
        }
    }
}
