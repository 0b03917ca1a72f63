using System.Diagnostics;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Step 4: application healthy on D, log writable, lease valid (D checks these), and a probe through routers reaches it.</summary>
public sealed class VerifyDestination(BatchWork work, ILogger<VerifyDestination> logger) : TaskActivity<BatchStep, StepResult>
{
    /// <summary>Routers probed at most: more would prove nothing that these do not.</summary>
    private const int RoutersMax = 3;

    /// <summary>A router hears of the plan by a control record or within a second.</summary>
    private static readonly TimeSpan ProbeWithin = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan BetweenProbes = TimeSpan.FromMilliseconds(50);

    /// <inheritdoc/>
    public override async Task<StepResult> RunAsync(TaskActivityContext context, BatchStep input)
    {
        var cancellationToken = context.CancellationToken;
        var view = await work.LookAsync(input, cancellationToken);
        if (await work.DecidedAsync(view, input, cancellationToken) is { } decided) return decided;
        if (view.DestinationAddress is not { } address) return StepResult.GiveUp(view.DestinationGone());
        try
        {
            var verified = work.Members.VerifyAsync(address, new HandoffId(input.Handoff), cancellationToken);
            await Task.WhenAll(verified, ProbeRoutersAsync(view, input, cancellationToken));
            return new StepResult(StepVerdict.Ok, input.Handoff);
        }
        catch (ShardCloudException error)
        {
            Log.StepFailed(logger, input.Id, input.Batch, nameof(VerifyDestination), error.Code, error.Message);
            return StepResult.GiveUp(error);
        }
    }

    // A router that does not answer is no reason to stay: its clients are cut off from the source just as well. One that answers must reach D.
    private async Task ProbeRoutersAsync(BatchView view, BatchStep step, CancellationToken cancellationToken)
    {
        if (view.Entries.FirstOrDefault(entry => entry.IsEndpoint) is not { IsEndpoint: true } sample) return; // A slot range has no name to ask for.
        var rows = await work.Directory.ListAsync(cancellationToken);
        var routers = rows.Where(row => row is { Role: MemberRole.Router, State: MemberState.Ready }).Take(RoutersMax);
        await Task.WhenAll(routers.Select(router => ProbeAsync(router.MemberAddress, sample.Endpoint.Value, step, cancellationToken)));
    }

    private async Task ProbeAsync(string router, string endpoint, BatchStep step, CancellationToken cancellationToken)
    {
        var started = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                var probe = await work.Members.ProbeAsync(router, endpoint, cancellationToken);
                if (probe.MapVersion >= step.Handoff && probe.TargetReachable) return;
                if (Stopwatch.GetElapsedTime(started) > ProbeWithin)
                    throw new ShardCloudException(ErrorCodes.MemberFailed,
                        $"The router at {router} decides '{probe.Decision}' for '{endpoint}' at map version {probe.MapVersion} and {(probe.TargetReachable ? "reaches" : "does not reach")} {probe.Target}.",
                        "Check the network between router and destination; the source serves on.");
                if (probe.MapVersion < step.Handoff) await work.Members.PokeAsync(router, new MapVersion(step.Handoff), cancellationToken);
            }
            catch (MemberUnreachableException error)
            {
                Log.StepFailed(logger, step.Id, step.Batch, "probe", error.Code, error.Message);
                return;
            }
            await Task.Delay(BetweenProbes, cancellationToken);
        }
    }
}
