using ShardCloud.LocalCloud.Profiles;
using ShardCloud.Processes;

namespace ShardCloud.Cli.Stack.Faults;

/// <summary>Faults on demand: signals to processes, cuts in the gates of members. No product code knows. Thread-safe.</summary>
/// <remarks>What lasts for a time ends by itself, also when whoever asked for it is gone.</remarks>
internal sealed class FaultPlane(StackProcesses processes, MemberGates? gates, Action<string> say) : IAsyncDisposable
{
    public const int SecondsMax = 600;

    private readonly Lock _gate = new();
    private readonly HashSet<int> _paused = []; // Process ids; one that has ended is forgotten at the next look.
    private readonly Dictionary<string, CancellationTokenSource> _cuts = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _stop = new();

    public IReadOnlyList<FaultTarget> All()
    {
        lock (_gate)
        {
            var all = processes.All();
            _paused.IntersectWith(all.Where(part => part.Pid is not null).Select(part => part.Pid!.Value));
            return
            [
                .. all.OrderBy(part => part.Kind).ThenBy(part => part.Name, StringComparer.Ordinal).Select(part => new FaultTarget(part.Name, part.Kind, part.Pid,
                    part.Pid is not { } pid ? "starting" : _paused.Contains(pid) ? "paused" : _cuts.ContainsKey(part.Name) ? "cut off" : "running", part.Restarts)),
            ];
        }
    }

    /// <exception cref="ShardCloudException">SC7015: no such target. SC7016: it cannot be done to it now. SC5020: a value is out of range.</exception>
    public FaultDone Apply(FaultRequest request)
    {
        lock (_gate)
        {
            var all = All();
            var target = all.FirstOrDefault(known => known.Name == request.Target) ?? throw new ShardCloudException(
                ErrorCodes.UnknownTarget, $"This local cloud has no '{request.Target}'.", $"It has: {string.Join(", ", all.Select(known => known.Name))}.");
            var pid = target.Pid ?? throw NotNow($"'{target.Name}' is not running: it is being started again.", "Try again in a moment; 'shardcloud chaos list' shows it.");
            switch (request.Action)
            {
                case "kill":
                    if (!Signals.Kill(pid)) throw NotNow($"'{target.Name}' (process {pid}) has just ended.", "See 'shardcloud chaos list'.");
                    break;
                case "pause":
                    Pause(target, pid);
                    break;
                case "resume":
                    if (target.State != "paused") throw NotNow($"'{target.Name}' is not paused.", "See 'shardcloud chaos list'.");
                    Resume(pid);
                    break;
                case "stall":
                    var stall = SecondsOf(request);
                    Pause(target, pid);
                    _ = LaterAsync(stall, _stop.Token, () => { if (_paused.Contains(pid)) Resume(pid); });
                    break;
                case "partition":
                    Cut(target, FromOf(request), SecondsOf(request));
                    break;
                case "mend":
                    if (!_cuts.Remove(target.Name, out var cut)) throw NotNow($"'{target.Name}' is not cut off.", "See 'shardcloud chaos list'.");
                    cut.Cancel(); // It does not end a second time.
                    gates!.Mend(target.Name);
                    break;
                default:
                    throw new ShardCloudException(ErrorCodes.BadValue, $"There is no fault '{request.Action}'.", "kill, pause, resume, stall, partition or mend.");
            }
            say($"chaos: {request.Action} {target.Name} (process {pid}){(request.Seconds is { } seconds ? $" for {seconds} s" : "")}{(request.From is { } from ? $" from {from}" : "")}");
            return new FaultDone(request.Action, target.Name, pid, request.Seconds, request.From);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        lock (_gate)
        {
            foreach (var pid in _paused.ToList()) Resume(pid); // So that it can stop in order.
            foreach (var cut in _cuts.Values) cut.Dispose();
        }
    }

    private void Pause(FaultTarget target, int pid)
    {
        if (!Signals.CanPause) throw NotNow("Processes cannot be frozen on Windows.", "Use kill, or another system.");
        if (target.State == "paused") throw NotNow($"'{target.Name}' is paused already.", $"shardcloud chaos resume {target.Name}");
        if (!Signals.Pause(pid)) throw NotNow($"'{target.Name}' (process {pid}) has just ended.", "See 'shardcloud chaos list'.");
        _paused.Add(pid);
    }

    private void Resume(int pid)
    {
        _paused.Remove(pid);
        Signals.Resume(pid);
    }

    private void Cut(FaultTarget target, CutFrom from, TimeSpan length)
    {
        if (gates is null) throw NotNow("This local cloud was started without gates in front of its members.", "Start it with 'shardcloud up --gates'.");
        if (target.Kind != "member") throw NotNow($"'{target.Name}' has no gates: only members can be cut off.", "Name a shard or the router; a stand-in can be stalled.");
        if (target.State == "cut off") throw NotNow($"'{target.Name}' is cut off already.", "Wait until that has ended.");
        if (!gates.Cut(target.Name, from)) throw NotNow($"'{target.Name}' has no gates.", "See 'shardcloud chaos list'.");
        var cut = _cuts[target.Name] = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        _ = LaterAsync(length, cut.Token, () =>
        {
            gates.Mend(target.Name);
            _cuts.Remove(target.Name);
        });
    }

    private async Task LaterAsync(TimeSpan wait, CancellationToken cancellationToken, Action then)
    {
        await Task.Delay(wait, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (cancellationToken.IsCancellationRequested) return;
        lock (_gate) then();
    }

    private static TimeSpan SecondsOf(FaultRequest request) => request.Seconds is >= 1 and <= SecondsMax and var seconds
        ? TimeSpan.FromSeconds(seconds)
        : throw new ShardCloudException(ErrorCodes.BadValue, $"A {request.Action} lasts 1 to {SecondsMax} s, not '{request.Seconds}'.", "Give --seconds.");

    private static CutFrom FromOf(FaultRequest request) => request.From is null ? CutFrom.All
        : Enum.TryParse<CutFrom>(request.From, ignoreCase: true, out var from) && !char.IsDigit(request.From[0]) ? from
        : throw new ShardCloudException(ErrorCodes.BadValue, $"A member cannot be cut off from '{request.From}'.", "storage, tables, blobs, log, peers or all.");

    private static ShardCloudException NotNow(string what, string remedy) => new(ErrorCodes.FaultNotPossible, what, remedy);
}
