using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace ShardCloud.Bench.Load;

/// <summary>One target in one round.</summary>
/// <param name="Round">From 1.</param>
/// <param name="Target">direct, plain, router; raw and nginx beside them.</param>
/// <param name="Open">Open-loop run.</param>
/// <param name="Closed">Closed-loop run.</param>
/// <param name="ProcessorMicroseconds">Processor time of the target a request, over the closed-loop run: in the open loop, waking up idle threads would be most of it.</param>
/// <param name="AllocatedBytes">Bytes the target allocated a request, over the closed-loop run.</param>
/// <param name="PausedMicroseconds">How long its garbage collector held all its threads, by request, over the closed-loop run.</param>
internal sealed record Row(int Round, string Target, Seen Open, Seen Closed, double ProcessorMicroseconds, double AllocatedBytes, double PausedMicroseconds);

/// <summary>Starts everything, measures in turn, reports.</summary>
internal static class Measurement
{
    public static async Task<int> RunAsync(Settings settings)
    {
        var self = typeof(Measurement).Assembly.Location;
        int http1 = FreePort(), http2 = FreePort(), plainPort = FreePort(), routerPort = FreePort(), rawPort = FreePort(), nginxPort = FreePort();
        var backendAddress = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{http2}");
        using var backend = new Child(self, ["backend", $"{http1}", $"{http2}"]);
        using var plain = new Child(self, ["plain", $"{plainPort}", backendAddress]);
        await using var stack = await RouterStack.StartAsync(routerPort, backendAddress);
        using var raw = new Child(self, ["raw", $"{rawPort}", $"{http1}"]);
        using var nginx = Nginx.Start(nginxPort, http1);
        List<(string Name, int Port, IMeasured Process)> targets = [("direct", http1, backend), ("plain", plainPort, plain), ("router", routerPort, stack.Router), ("raw", rawPort, raw)];
        if (nginx is not null) targets.Add(("nginx", nginxPort, nginx));
        foreach (var (name, port, process) in targets) await AnswersAsync(name, port, process);

        var rate = settings.Rate;
        foreach (var (name, port, _) in targets)
        {
            var seen = Run(self, new(port, 0, settings.WarmUpSeconds, settings.Connections, settings.PostPercent));
            Console.WriteLine($"warm-up {name}: {seen.PerSecond:0} requests/s, {seen.Failed} failed");
            if (settings.Rate == 0 && name == "plain") rate = (int)(seen.PerSecond / 2 / 100) * 100;
        }
        Console.WriteLine($"open loop: {rate} requests/s");

        var rows = new List<Row>();
        for (var round = 1; round <= settings.Rounds; round++)
        {
            for (var i = 0; i < targets.Count; i++)
            {
                // Every round begins with another target: none always follows the same one.
                var (name, port, process) = targets[(i + round) % targets.Count];
                var open = Run(self, new(port, rate, settings.OpenSeconds, settings.Connections, settings.PostPercent));
                var before = process.Use();
                var closed = Run(self, new(port, 0, settings.ClosedSeconds, settings.Connections, settings.PostPercent));
                var after = process.Use();
                var requests = (double)(closed.Answered + closed.Uncounted);
                rows.Add(new Row(round, name, open, closed, (after.ProcessorTime - before.ProcessorTime).TotalMicroseconds / requests, (after.AllocatedBytes - before.AllocatedBytes) / requests, (after.Paused - before.Paused).TotalMicroseconds / requests));
                Console.WriteLine($"{round} {name,-6} open p50 {open.P50:0.00} p99 {open.P99:0.00} ms, failed {open.Failed}; closed {closed.PerSecond:0}/s; {rows[^1].ProcessorMicroseconds:0.0} us of a processor, {rows[^1].PausedMicroseconds:0.00} us of pauses, {rows[^1].AllocatedBytes:0} B a request");
            }
        }
        return await Report.WriteAsync(settings, rate, rows);
    }

    private static Seen Run(string self, GeneratorOptions options)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true };
        foreach (var argument in (string[])[self, .. options.ToArguments()]) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var line = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? JsonSerializer.Deserialize<Seen>(line)! : throw new InvalidOperationException("The load generator failed; its words are above.");
    }

    private static async Task AnswersAsync(string name, int port, IMeasured process)
    {
        using var http = new HttpClient { BaseAddress = new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/")), Timeout = TimeSpan.FromSeconds(15) };
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        for (var tries = 0; tries < 300; tries++)
        {
            try
            {
                using var answer = await http.GetAsync("rooms/1");
                if (answer.StatusCode == HttpStatusCode.OK) return;
            }
            catch (Exception error) when (error is HttpRequestException or TaskCanceledException)
            {
                // Not listening yet.
            }
            await timer.WaitForNextTickAsync();
        }
        throw new InvalidOperationException($"'{name}' does not answer. It said:\n{process.Said}");
    }

    private static int FreePort()
    {
        using var socket = new TcpListener(IPAddress.Loopback, 0);
        socket.Start();
        return ((IPEndPoint)socket.LocalEndpoint).Port;
    }
}
