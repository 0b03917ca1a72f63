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

    /// <summary>So many writes at once do not fit into what is left of the last block of a file on a full disk.</summary>
    private const int MoreThanFits = 200;
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
        var deaths = new Dictionary<string, int>();
        for (var round = 1; round <= rounds; round++)
        {
            await WholeAsync(cancellationToken);
            var owner = await LeastFrozenAsync(deaths, cancellationToken);
            deaths[owner.Shard] = deaths.GetValueOrDefault(owner.Shard) + 1;
            using var direct = new HttpClient { BaseAddress = new Uri(owner.PublicAddress!), Timeout = Patience };
            var frozen = stack.Faults.Apply(new FaultRequest("stall", owner.Shard, (int)Math.Ceiling(lease.TotalSeconds * 3)));
            await StandsStillAsync(frozen.Pid, cancellationToken);
            var asked = Enumerable.Range(0, DirectRequests).Select(_ => AskAsync(direct, owner, cancellationToken)).ToArray();
            _asOwner += (await Task.WhenAll(asked)).Count(asOwner => asOwner);
            if ((await LiveAsync(cancellationToken)).Contains(owner.Owner)) _problems.Add($"Round {round}: {owner.Owner} stood still for {frozen.Seconds} s and was not taken over.");
            say($"{_clock.Elapsed.TotalSeconds,5:0} s  {round,3}: {owner.Shard} (process {frozen.Pid}) stood still for {frozen.Seconds} s; {load.Failed} failed so far, {_asOwner} answered as owner");
        }
    }, cancellationToken);

    /// <summary>An owner of one of the rooms, of the shard that was frozen least often: one that dies too often is not replaced any more (SC5028).</summary>
    private async Task<EndpointOwner> LeastFrozenAsync(Dictionary<string, int> deaths, CancellationToken cancellationToken)
    {
        var owners = await Task.WhenAll(_rooms.Select(room => api.OwnerAsync($"rooms/{room.Room}", cancellationToken)));
        return owners.MinBy(owner => deaths.GetValueOrDefault(owner.Shard))!;
    }

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
        await WritesAsync(load);
    }, cancellationToken);

    /// <summary>
    /// Packets of the first room's owner vanish for three leases: those of its peers only, or all but its clients', which ask it directly when its lease must be over.
    /// </summary>
    public Task<MemberFaultReport> DropAsync(bool peersOnly, Way way, CancellationToken cancellationToken) => UnderLoadAsync(async load =>
    {
        await WholeAsync(cancellationToken);
        var owner = await api.OwnerAsync($"rooms/{_rooms[0].Room}", cancellationToken);
        var members = (await api.StatusAsync(cancellationToken)).Members;
        var services = peersOnly ? $"{{ {string.Join(", ", members.Select(member => new Uri(member.MemberAddress).Port).Distinct())} }}" : $"!= {new Uri(owner.PublicAddress!).Port}";
        await NetworkCuts.CutAsync(owner.Shard, new Uri(members.Single(member => member.Incarnation == owner.Owner).MemberAddress).Port, services, way, cancellationToken);
        try
        {
            await Task.Delay(lease * 1.2, cancellationToken);
            using var direct = new HttpClient { BaseAddress = new Uri(owner.PublicAddress!), Timeout = Patience };
            var asked = Enumerable.Range(0, DirectRequests).Select(_ => AskAsync(direct, owner, cancellationToken)).ToArray();
            await Task.Delay(lease * 1.8, cancellationToken);
            await NetworkCuts.MendAsync(cancellationToken);
            var asOwner = (await Task.WhenAll(asked)).Count(asOwner => asOwner);
            if (!peersOnly) _asOwner += asOwner;
            else if (asOwner != DirectRequests) _problems.Add($"{owner.Shard}, cut off from its peers only, answered {asOwner} of {DirectRequests} clients that reached it.");
        }
        finally
        {
            await NetworkCuts.MendAsync(CancellationToken.None);
        }
        say($"{_clock.Elapsed.TotalSeconds,5:0} s  {owner.Shard}: packets {way} {(peersOnly ? "from and to its peers" : "from and to all")} dropped; {load.Failed} failed so far");
        await WritesAsync(load);
    }, cancellationToken);

    /// <summary>The disk under a stand-in is full for some seconds.</summary>
    /// <param name="folder">On a small disk of its own.</param>
    /// <param name="seconds">How long.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public Task<MemberFaultReport> FillAsync(string folder, int seconds, CancellationToken cancellationToken) => UnderLoadAsync(async load =>
    {
        await WholeAsync(cancellationToken);
        await Task.Delay(TimeSpan.FromSeconds(2), cancellationToken);
        var ballast = Path.Combine(folder, "ballast");
        var room = _rooms[0];
        Task<string?>[] waiting;
        try
        {
            await using (var file = new FileStream(ballast, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0))
            {
                try
                {
                    for (var piece = new byte[512]; ;) await file.WriteAsync(piece, cancellationToken);
                }
                catch (IOException)
                {
                    // Full.
                }
            }
            waiting = [.. Enumerable.Range(0, MoreThanFits).Select(_ => load.IncrementAsync(room))];
            await Task.Delay(TimeSpan.FromSeconds(seconds), cancellationToken);
            if (waiting.All(write => write.IsCompleted)) _problems.Add($"{MoreThanFits} writes were answered while the disk was full.");
            say($"{_clock.Elapsed.TotalSeconds,5:0} s  {waiting.Count(write => !write.IsCompleted)} of {MoreThanFits} writes to one room wait for space");
        }
        finally
        {
            File.Delete(ballast);
        }
        _problems.AddRange((await Task.WhenAll(waiting)).OfType<string>().Take(5).Select(failure => $"A write that waited for space failed: {failure}"));
        say($"{_clock.Elapsed.TotalSeconds,5:0} s  disk of {folder} full for {seconds} s; {load.Failed} failed so far");
        await WritesAsync(load);
    }, cancellationToken);

    /// <summary>Tables out of everybody's reach for three leases. When all leases are over, a write to a room waits until the tables are back, and one to a convergent page does not.</summary>
    public Task<MemberFaultReport> OutliveLeasesAsync(CancellationToken cancellationToken) => UnderLoadAsync(async load =>
    {
        using var client = new HttpClient { BaseAddress = new Uri(stack.Run.Router), Timeout = Patience };
        var page = $"likes/{_rooms[0].Room}";
        using (await client.PostAsync(page, null, cancellationToken)) await WholeAsync(cancellationToken);
        string[] members = [.. stack.Faults.All().Where(part => part is { Kind: "member", Pid: not null }).Select(part => part.Name)];
        foreach (var member in members) stack.Faults.Apply(new FaultRequest("partition", member, FaultPlane.SecondsMax, "tables"));
        Task<string?> waiting;
        try
        {
            await Task.Delay(lease, cancellationToken); // A lease is valid for 0.9 of its length.
            waiting = load.IncrementAsync(_rooms[0]);
            using (var liked = await client.PostAsync(page, null, cancellationToken))
                if (!liked.IsSuccessStatusCode) _problems.Add($"A convergent endpoint was answered with {(int)liked.StatusCode} while the tables were away.");
            await Task.Delay(lease * 2, cancellationToken);
            if (waiting.IsCompleted) _problems.Add($"A write to an exclusive endpoint did not wait for a lease: {await waiting ?? "acknowledged"}");
        }
        finally
        {
            foreach (var member in members) stack.Faults.Apply(new FaultRequest("mend", member));
        }
        if (await waiting is { } failure) _problems.Add($"A write that waited for a lease failed: {failure}");
        await WritesAsync(load);
    }, cancellationToken);

    /// <summary>Threads that never rest take the processors from the cloud; nobody fails, so nobody may be taken over.</summary>
    public Task<MemberFaultReport> StressAsync(int threads, TimeSpan length, CancellationToken cancellationToken) => UnderLoadAsync(async load =>
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        for (var number = 0; number < threads; number++)
        {
            new Thread(() =>
            {
                while (!over.IsCancellationRequested) Thread.SpinWait(10_000);
            })
            { IsBackground = true }.Start();
        }
        while (_clock.Elapsed < length && !cancellationToken.IsCancellationRequested)
        {
            await Task.Delay(TimeSpan.FromSeconds(30), cancellationToken);
            say($"{_clock.Elapsed.TotalSeconds,5:0} s  {load.Sent} requests, {load.Failed} failed so far");
        }
        await over.CancelAsync();
    }, cancellationToken);

    private async Task WritesAsync(RoomsLoad load)
    {
        foreach (var room in _rooms)
            if (await load.IncrementAsync(room) is { } failure) _problems.Add($"rooms/{room.Room} does not take a write afterwards: {failure}");
    }

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
            return answer.Incarnation == owner.Owner;
        }
        catch (HttpRequestException)
        {
            ledger.IncrementUnknown(); // It was fenced and closed its connections.
            return false;
        }
    }

    /// <summary>A stop begins when one thread of the process gets to run, and until then the others go on: on a busy machine up to seconds, in which it answers as the owner that it still is.</summary>
    private static async Task StandsStillAsync(int pid, CancellationToken cancellationToken)
    {
        if (!OperatingSystem.IsLinux()) return;
        using var late = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        late.CancelAfter(Patience);
        while (!AllStopped()) await Task.Delay(TimeSpan.FromMilliseconds(10), late.Token);

        bool AllStopped()
        {
            try
            {
                return Directory.GetDirectories($"/proc/{pid}/task").All(thread => File.ReadAllText($"{thread}/stat").Split(") ")[^1][0] is 'T');
            }
            catch (IOException)
            {
                return false; // A thread has just ended.
            }
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
