using System.Diagnostics;
using System.Net.Http.Json;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Demo;
using ShardCloud.Cli.Stack;
using ShardCloud.Cli.Stack.Faults;
using ShardCloud.Contracts;

namespace ShardCloud.Bench.Faults;

/// <summary>What was seen; lost and duplicated count answered changes; the longest request took <c>MaxMs</c>. <c>TakeOvers</c>: shard incarnations that were on the live list at the start and are not now.
/// <c>AnsweredAsOwner</c>: requests that a frozen member answered by itself after it had slept through its lease; must be 0.</summary>
internal sealed record MemberFaultReport(
    long Sent, long Failed, long Lost, long Duplicated, int TakeOvers, long AnsweredAsOwner, double P99Ms, double MaxMs, double Seconds, IReadOnlyList<string> Problems);

/// <summary>Members that stand still or are cut off, under the demo's load: who serves, and is anything lost?</summary>
/// <param name="stack">The cloud; cuts need its gates.</param>
/// <param name="api">Its Orchestrator.</param>
/// <param name="requestsPerSecond">The demo's load.</param>
/// <param name="rooms">Nobody may have used them before.</param>
/// <param name="lease">Of its members.</param>
/// <param name="say">Progress.</param>
internal sealed class MemberFaults(LocalStack stack, ManagementClient api, int requestsPerSecond, IEnumerable<string> rooms, TimeSpan lease, Action<string> say)
{
    private const int Shards = 3, DirectRequests = 8;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly RoomLedger[] _rooms = [.. rooms.Select(room => new RoomLedger(room))];
    private readonly List<string> _problems = [];
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private int _takeOvers;
    private long _asOwner;

    /// <summary>
    /// An owner is frozen (SIGSTOP) for three leases and wakes up (SIGCONT). Requests that were sent straight to it meanwhile wait in its sockets: what it answers then, it must not answer as their owner.
    /// </summary>
    public Task<MemberFaultReport> FreezeAsync(int rounds, CancellationToken cancellationToken) => UnderLoadAsync(async load =>
    {
        for (var round = 1; round <= rounds; round++)
        {
            await WholeAsync(cancellationToken);
            var owner = await api.OwnerAsync($"rooms/{_rooms[round % _rooms.Length].Room}", cancellationToken);
            using var direct = new HttpClient { BaseAddress = new Uri(owner.PublicAddress!), Timeout = Patience };
            var frozen = stack.Faults.Apply(new FaultRequest("stall", owner.Shard, (int)Math.Ceiling(lease.TotalSeconds * 3)));
            var asked = Enumerable.Range(0, DirectRequests).Select(_ => AskAsync(direct, owner, cancellationToken)).ToArray();
            _asOwner += (await Task.WhenAll(asked)).Count(asOwner => asOwner);
            say($"{_clock.Elapsed.TotalSeconds,5:0} s  {round,3}: {owner.Shard} (process {frozen.Pid}) stood still for {frozen.Seconds} s; {load.Failed} failed so far, {_asOwner} answered as owner");
        }
    }, cancellationToken);

    /// <summary>Some members are cut off from something for a time, all at once: everybody, or the owner of the first room.</summary>
    public Task<MemberFaultReport> CutAsync(string from, int seconds, bool everybody, CancellationToken cancellationToken) => UnderLoadAsync(async load =>
    {
        await WholeAsync(cancellationToken);
        string[] targets = everybody
            ? [.. stack.Faults.All().Where(part => part is { Kind: "member", Pid: not null }).Select(part => part.Name)]
            : [(await api.OwnerAsync($"rooms/{_rooms[0].Room}", cancellationToken)).Shard];
        foreach (var target in targets) stack.Faults.Apply(new FaultRequest("partition", target, seconds, from));
        while (stack.Faults.All().Any(part => part.State == "cut off")) await Task.Delay(TimeSpan.FromMilliseconds(50), cancellationToken); // Bounded by its seconds.
        say($"{_clock.Elapsed.TotalSeconds,5:0} s  {string.Join(", ", targets)} cut off from {from} for {seconds} s; {load.Failed} failed so far");
        foreach (var room in _rooms)
            if (await load.IncrementAsync(room) is { } failure) _problems.Add($"rooms/{room.Room} does not take a write after the cut: {failure}");
    }, cancellationToken);

    private async Task<MemberFaultReport> UnderLoadAsync(Func<RoomsLoad, Task> act, CancellationToken cancellationToken)
    {
        using var load = new RoomsLoad(new Uri(stack.Run.Router), _rooms, requestsPerSecond);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await load.CountAsync(cancellationToken); // Opens every room.
        await WholeAsync(cancellationToken); // A shard that is still being replaced would not be counted.
        var before = await LiveAsync(cancellationToken);
        var loading = load.RunAsync(end.Token);
        try
        {
            await act(load);
        }
        finally
        {
            await end.CancelAsync();
            await loading;
        }
        _takeOvers += before.Except(await LiveAsync(cancellationToken)).Count();
        var verdict = await load.CountAsync(cancellationToken);
        _problems.AddRange(load.Failures.Take(5));
        return new MemberFaultReport(load.Sent, load.Failed, verdict.Lost, verdict.Duplicated, _takeOvers, _asOwner, load.Latency.PercentileMs(0.99), load.Latency.MaxMs, _clock.Elapsed.TotalSeconds, _problems);
    }

    /// <summary>An increment that the frozen member gets first. Its room's ledger counts what was answered; without an answer it may have happened, or not.</summary>
    private async Task<bool> AskAsync(HttpClient direct, EndpointOwner owner, CancellationToken cancellationToken)
    {
        var ledger = _rooms.First(room => $"rooms/{room.Room}" == owner.Endpoint);
        var before = ledger.Highest;
        try
        {
            using var response = await direct.PostAsync($"rooms/{ledger.Room}/increment", null, cancellationToken);
            if (!response.IsSuccessStatusCode)
            {
                ledger.IncrementUnknown();
                return false;
            }
            var answer = (await response.Content.ReadFromJsonAsync(RoomsJson.Default.RoomAnswer, cancellationToken))!;
            ledger.Incremented(answer.Value, before);
            return answer.Shard == owner.Shard;
        }
        catch (HttpRequestException)
        {
            ledger.IncrementUnknown(); // It was fenced and closed its connections.
            return false;
        }
    }

    /// <summary>As many shards as there were at the start: the Orchestrator replaces those that were taken over.</summary>
    private async Task WholeAsync(CancellationToken cancellationToken)
    {
        using var late = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        late.CancelAfter(Patience);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while ((await api.StatusAsync(late.Token)) is var status && (status.ShardsReady < Shards || status.RunningOperations.Count > 0 || status.RunningMigrations.Count > 0)) await timer.WaitForNextTickAsync(late.Token);
    }

    private async Task<IReadOnlyList<string>> LiveAsync(CancellationToken cancellationToken) =>
        [.. (await api.StatusAsync(cancellationToken)).Members.Where(member => member.Role == "shard" && member.State.Equals("ready", StringComparison.OrdinalIgnoreCase)).Select(member => member.Incarnation)];
}
