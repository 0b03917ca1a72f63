using System.Diagnostics;
using ShardCloud.Cli.Demo;
using ShardCloud.Processes;

namespace ShardCloud.Bench.Rolls;

/// <summary>The same roll by hand: plain YARP in front, the old build is stopped, then the new one started at its address. State in memory, as the program has it.</summary>
internal sealed class PlainRun(Settings settings, Action<string> say)
{
    private static readonly TimeSpan Before = TimeSpan.FromSeconds(5), After = TimeSpan.FromSeconds(10), Patience = TimeSpan.FromSeconds(60);

    public async Task<PlainReport> RunAsync(CancellationToken cancellationToken)
    {
        var (proxyPort, appPort) = (Ports.Free(), Ports.Free());
        var proxy = Start("proxy", proxyPort, $"http://127.0.0.1:{appPort}");
        var old = Start("app", appPort, "1.0.0");
        Process? next = null;
        try
        {
            var router = new Uri($"http://127.0.0.1:{proxyPort}");
            await ReadyAsync(router, cancellationToken);
            RoomLedger[] rooms = [.. Enumerable.Range(1, settings.Rooms).Select(number => new RoomLedger($"{number}"))];
            using var load = new RoomsLoad(router, rooms, settings.RequestsPerSecond);
            await using var chats = new ChatLoad(router, [.. rooms.Select(room => room.Room)], settings.Sockets, messagesPerSecond: 50);
            await chats.OpenAsync(cancellationToken);
            using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            var clock = Stopwatch.StartNew();
            var loading = Task.WhenAll(load.RunAsync(end.Token), chats.RunAsync(end.Token));
            await Task.Delay(Before, cancellationToken);
            Signals.Terminate(old.Id);
            await old.WaitForExitAsync(cancellationToken).WaitAsync(Patience, cancellationToken);
            next = Start("app", appPort, "2.0.0");
            await ReadyAsync(router, cancellationToken);
            await Task.Delay(After, cancellationToken);
            await end.CancelAsync();
            await loading;
            var lost = (await load.CountAsync(cancellationToken)).Lost;
            var report = new PlainReport(load.Sent, load.Failed, lost, await chats.EndAsync(), clock.Elapsed.TotalSeconds);
            say($"plain YARP, one build stopped and the next started: {report.Sent} requests, {report.Failed} failed, {report.Lost} answered changes lost; sockets {report.Sockets}");
            return report;
        }
        finally
        {
            foreach (var process in (Process?[])[old, next, proxy]) process?.Kill();
        }
    }

    private static Process Start(params object[] part) =>
        Process.Start(new ProcessStartInfo(Environment.ProcessPath!, [.. Environment.ProcessPath!.EndsWith("dotnet", StringComparison.Ordinal) ? [typeof(PlainRun).Assembly.Location] : Array.Empty<string>(), "--part", .. part.Select(word => $"{word}")]))!;

    private static async Task ReadyAsync(Uri router, CancellationToken cancellationToken)
    {
        using var http = new HttpClient { BaseAddress = router };
        for (var since = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(since) < Patience; await Task.Delay(20, cancellationToken))
        {
            try
            {
                using var answer = await http.GetAsync("rooms/ready", cancellationToken);
                if (answer.IsSuccessStatusCode) return;
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }
        }
        throw new TimeoutException($"{router} did not answer within {Patience.TotalSeconds:0} s.");
    }
}
