using System.Collections.Concurrent;
using ShardCloud.Contracts;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Members that somebody could not reach: told to those who may take over, and asked after at the death witness. Suspicion alone ends nobody: a row's wait, or a confirmed death, does.</summary>
/// <remarks>
/// <para>Steps, numbered as in docs/protocol/take-over.md. 0a: a leg to a member breaks, here or at another member that says so. 0b: whoever noticed it first-hand tells the live shards, once
/// for each suspicion. 0c: a shard asks the witness until the death is confirmed, the row is final, or the time is over. One slow answer delays nothing but the next question about that member.</para>
/// <para>Bounded: <see cref="SuspectsMax"/> at a time, further ones are left to their leases; each is asked after for a lease length.</para>
/// </remarks>
internal sealed partial class Suspects(
    ShardContext shard, IMapView map, MemberClient members, IDeathWitness witness, Reachability reachability, ShardMetrics metrics, TimeProvider time, ILogger<Suspects> logger)
    : BackgroundService
{
    /// <summary>Members suspected at the same time.</summary>
    public const int SuspectsMax = 64;

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(25), LongestPause = TimeSpan.FromMilliseconds(400), ReportBudget = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<IncarnationId, ConcurrentDictionary<IncarnationId, byte>> _suspected = new();
    private readonly WakeUp _look = new();
    private readonly Lock _gate = new();
    private volatile IReadOnlyDictionary<IncarnationId, MemberRow> _rows = new Dictionary<IncarnationId, MemberRow>();
    private volatile IReadOnlySet<IncarnationId> _confirmed = new HashSet<IncarnationId>();
    private CancellationToken _stopping;

    /// <summary>Whose end the witness has seen and whose row was not final yet.</summary>
    public IReadOnlySet<IncarnationId> Confirmed => _confirmed;

    /// <summary>Who is suspected here now, and by whom.</summary>
    public IReadOnlyList<SuspectReport> All => [.. _suspected.Select(pair => new SuspectReport(pair.Key.Value, [.. pair.Value.Keys.Select(by => by.Value)]))];

    /// <summary>The rows as read last: only who has a row that is not final can be suspected.</summary>
    public void Observed(IReadOnlyList<MemberRow> rows)
    {
        var open = rows.Where(row => !row.IsFinal).ToDictionary(row => row.Incarnation);
        lock (_gate) (_rows, _confirmed) = (open, _confirmed.Count == 0 ? _confirmed : _confirmed.Where(open.ContainsKey).ToHashSet());
    }

    /// <summary>Waits for the next look: for a time, or until somebody is suspected who was not, or a death is confirmed.</summary>
    public Task WaitAsync(TimeSpan atMost, CancellationToken cancellationToken) => _look.WaitAsync(atMost, cancellationToken);

    /// <summary>0a, first-hand: a leg to it broke.</summary>
    public void Suspect(IncarnationId member)
    {
        if (Add(member, shard.Self)) _ = ReportAsync(member);
    }

    /// <summary>0a, as everybody sees it who looks: its row has not changed for longer than renewals take.</summary>
    public void Silent(IncarnationId member)
    {
        if (member != shard.Self) Add(member, shard.Self);
    }

    /// <summary>0a, from another member.</summary>
    public void Reported(IncarnationId member, IncarnationId by)
    {
        if (member != shard.Self && map.Current.Live.ContainsKey(member)) Add(member, by);
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken)
    {
        _stopping = stoppingToken;
        reachability.Lost += Suspect;
        return Task.CompletedTask;
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        reachability.Lost -= Suspect;
        await base.StopAsync(cancellationToken);
    }

    /// <returns>True when nobody had suspected it for a while.</returns>
    private bool Add(IncarnationId member, IncarnationId by)
    {
        if (_suspected.TryGetValue(member, out var known))
        {
            known.TryAdd(by, 0); // Members are few, and so are those who report.
            return false;
        }
        if (_suspected.Count >= SuspectsMax || _confirmed.Contains(member)) return false;
        if (!_suspected.TryAdd(member, new() { [by] = 0 })) return false;
        metrics.SuspicionBegan();
        _look.Set(); // Its wait begins when its last row was first read: the sooner, the shorter.
        _ = AskAsync(member);
        return true;
    }

    /// <summary>0c. A router only remembers.</summary>
    private async Task AskAsync(IncarnationId member)
    {
        try
        {
            var since = time.GetTimestamp();
            var pause = FirstPause;
            for (; time.GetElapsedTime(since) < shard.Options.Lease.Length; pause = pause < LongestPause ? pause * 2 : pause)
            {
                if (shard.Role == MemberRole.Shard && _rows.GetValueOrDefault(member) is { } row && await witness.HasSeenEndAsync(row, _stopping))
                {
                    LogConfirmed(member.Value, time.GetElapsedTime(since).TotalMilliseconds);
                    lock (_gate) _confirmed = _confirmed.Append(member).ToHashSet();
                    _look.Set();
                    return;
                }
                await Task.Delay(pause, time, _stopping);
            }
        }
        catch (OperationCanceledException)
        {
            // This member ends.
        }
        finally
        {
            if (_suspected.TryRemove(member, out _)) metrics.SuspicionEnded();
        }
    }

    /// <summary>0b.</summary>
    private async Task ReportAsync(IncarnationId suspect)
    {
        var report = new SuspectReport(suspect.Value, [shard.Self.Value]);
        await Task.WhenAll(map.Current.Live.Values.Where(member => member.Incarnation != shard.Self && member.Incarnation != suspect).Select(async member =>
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stopping);
            limit.CancelAfter(ReportBudget);
            try
            {
                using var response = await members.PostAsync(member.MemberAddress, "/_shard/suspects", report, MemberJson.Default.SuspectReport, limit.Token);
            }
            catch (Exception error) when (error is HttpRequestException or ShardCloudException or OperationCanceledException or IOException)
            {
                // A report is a hint; that member's own looks find the same, later.
            }
        }));
    }

    [LoggerMessage(1211, LogLevel.Warning, "The host of {Member} has seen its process end, {Milliseconds:0} ms after it was first suspected")]
    private partial void LogConfirmed(string member, double milliseconds);
}
