using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>The shell around <see cref="TakeOver"/>: reads the member rows, fences those whose lease was seen to end, and commits what the core decides.</summary>
/// <remarks>
/// Row first, then map: between the two the dead one can only fail to renew. Every step may break off anywhere; the next look, of this member or another, finds the state.
/// A look costs one read of the member rows: every twentieth of the lease, when a wait is over, and at once when somebody is suspected or a death is confirmed (<see cref="Suspects"/>). It asks nobody but the two
/// tables, so it works while the Orchestrator is down.
/// </remarks>
internal sealed partial class TakeOverWatch(
    ShardContext shard, MemberDirectory directory, MapStore maps, MapFollowerService follower, ControlChannel control, Suspects suspects, TakeOverReports reports, Func<bool> leaseValid,
    Func<IReadOnlySet<IncarnationId>?> only, ShardMetrics metrics, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan Soonest = TimeSpan.FromMilliseconds(10);

    private readonly TakeOver _core = new(shard.Self);
    private readonly LeaseWatch _leases = new(directory, time);
    private readonly Episode _failing = new(time), _holding = new(time);

    /// <summary>Looks until every earlier start of this shard is off the live list, by this member or by its backups, whoever came first; or is seen to live.</summary>
    public Task AwaitPredecessorsAsync(CancellationToken cancellationToken)
    {
        var predecessors = new Predecessors(shard.Self);
        return RunAsync(() => predecessors.Waits(follower.Current, _leases.Members), cancellationToken);
    }

    /// <summary>Looks until cancelled.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => RunAsync(() => true, cancellationToken);

    private async Task RunAsync(Func<bool> goesOn, CancellationToken cancellationToken)
    {
        var every = shard.Options.Lease.Length / 20;
        while (true)
        {
            var next = every;
            try
            {
                await LookAsync(cancellationToken);
                if (_leases.NextDue is { } due && due < every) next = due > Soonest ? due : Soonest;
                if (_failing.Ends(out var failed, out var lasted)) LogLooksAgain(failed, lasted.TotalSeconds);
            }
            catch (Exception error) when (!cancellationToken.IsCancellationRequested)
            {
                if (_failing.Begins()) LogLookFailed(error); // A store that fails now is asked again at the next look.
            }
            if (!goesOn()) return;
            await suspects.WaitAsync(next, cancellationToken);
        }
    }

    private async Task LookAsync(CancellationToken cancellationToken)
    {
        if (!leaseValid()) return; // Who may be over itself decides nothing about others.
        var those = only();
        if (those is { Count: 0 }) return; // It is stopping, and keeps nothing of anybody.
        var map = follower.Current;
        await _leases.PollAsync(row => row.Role == MemberRole.Shard && row.Incarnation != shard.Self, suspects.Confirmed, cancellationToken);
        suspects.Observed(_leases.Members);
        foreach (var silent in _leases.Silent) suspects.Silent(silent.Incarnation);
        if (_leases.Held == 0) _holding.Ends(out _, out _);
        else if (_holding.Begins())
        {
            LogHolds(_leases.Held);
            metrics.TakeOversHeld();
        }
        foreach (var owner in _core.Look(map, _leases.Members, time.GetElapsedTime(0), those))
        {
            var result = await maps.CommitAsync(head => _core.CommitOf(owner, head), cancellationToken);
            if (result.Refusal is { } refusal) throw refusal;
            if (!result.IsCommitted) continue; // Somebody else was first.
            LogTakenOver(owner.Value, result.Version);
            follower.Offer(result.Map); // Its change begins the tenure.
            await control.PublishMapVersionAsync(result.Version, cancellationToken);
            reports.Report(owner);
        }
    }

    [LoggerMessage(1201, LogLevel.Warning, "{Owner} is over: fenced, and what it owned and this member is nearest to is taken over with map version {Version}")]
    private partial void LogTakenOver(string owner, MapVersion version);

    [LoggerMessage(1202, LogLevel.Warning, "A look at the members' leases failed; it is repeated (told once until one succeeds)")]
    private partial void LogLookFailed(Exception error);

    [LoggerMessage(1204, LogLevel.Critical, ErrorCodes.ManyOver + ": {Count} shards, more than half of all, seem to be over at once. Perhaps the member table took nobody's renewals for a while: they are given half a lease more")]
    private partial void LogHolds(int count);

    [LoggerMessage(1203, LogLevel.Information, "The members' leases are looked at again; {Failed} looks failed in {Seconds:0.0} s")]
    private partial void LogLooksAgain(long failed, double seconds);
}
