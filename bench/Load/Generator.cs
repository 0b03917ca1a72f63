using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace ShardCloud.Bench.Load;

/// <summary>One run of load on one address.</summary>
internal sealed record GeneratorOptions(int Port, int Rate, double Seconds, int Connections, int PostPercent)
{
    public string[] ToArguments() => ["generate",
        "--port", Port.ToString(CultureInfo.InvariantCulture), "--rate", Rate.ToString(CultureInfo.InvariantCulture),
        "--milliseconds", ((int)(Seconds * 1_000)).ToString(CultureInfo.InvariantCulture),
        "--connections", Connections.ToString(CultureInfo.InvariantCulture), "--post-percent", PostPercent.ToString(CultureInfo.InvariantCulture)];

    public static GeneratorOptions Parse(string[] args)
    {
        var given = Pairs.Of(args);
        return new(given.Number("port", 0), given.Number("rate", 0), given.Number("milliseconds", 1_000) / 1_000.0, given.Number("connections", 32), given.Number("post-percent", 0));
    }
}

/// <summary>What one run saw.</summary>
/// <param name="Answered">Requests answered 200 in the measured time.</param>
/// <param name="Uncounted">Requests answered before it began.</param>
/// <param name="Failed">Other answers and broken connections.</param>
/// <param name="Seconds">Measured time.</param>
/// <param name="P50">Milliseconds from the moment a request was due to its last byte.</param>
/// <param name="P99">Likewise.</param>
/// <param name="P999">Likewise.</param>
/// <param name="Max">Likewise.</param>
/// <param name="ProcessorSeconds">Processor time the generator itself used.</param>
internal sealed record Seen(long Answered, long Uncounted, long Failed, double Seconds, double P50, double P99, double P999, double Max, double ProcessorSeconds)
{
    public double PerSecond => Answered / Seconds;
}

/// <summary>Load over plain sockets: one thread a connection, so that on few cores the generator takes little from what it measures.</summary>
/// <remarks>
/// Open loop: arrivals are a Poisson process of the given rate, fixed before the run; a request that finds no free connection is sent late and its
/// latency still counts from when it was due, so a slow target cannot slow its own load. Closed loop (rate 0): each connection sends as soon as it
/// has its answer. The first half second is not counted.
/// </remarks>
internal static class Generator
{
    private const double Uncounted = 0.5;
    private static readonly byte[] HeadersEnd = "\r\n\r\n"u8.ToArray(), Ok = "HTTP/1.1 200"u8.ToArray();

    public static int Run(GeneratorOptions options)
    {
        var due = options.Rate > 0 ? Arrivals(options.Rate, options.Seconds + Uncounted) : null;
        var perThread = new List<(double At, double Latency)>[options.Connections];
        var next = -1;
        long failed = 0;
        var requests = Requests(options.PostPercent);
        using var ready = new CountdownEvent(options.Connections);
        using var go = new ManualResetEventSlim();
        long start = 0;

        var threads = Enumerable.Range(0, options.Connections).Select(index => new Thread(() =>
        {
            var seen = perThread[index] = new List<(double, double)>(1 << 16);
            var buffer = new byte[16 * 1024];
            var socket = Connect(options.Port);
            ready.Signal();
            go.Wait();
            while (true)
            {
                var number = Interlocked.Increment(ref next);
                var now = Stopwatch.GetElapsedTime(start).TotalSeconds;
                var at = due is null ? now : number < due.Length ? due[number] : double.MaxValue;
                if (at >= options.Seconds + Uncounted) break;
                if (at > now) SleepFor(at - now);
                if (!TryAsk(socket, requests[number % requests.Length], buffer))
                {
                    Interlocked.Increment(ref failed);
                    socket.Dispose();
                    socket = Connect(options.Port);
                    continue;
                }
                seen.Add((at, Stopwatch.GetElapsedTime(start).TotalSeconds - at));
            }
            socket.Dispose();
        }, 256 * 1024)).ToList();

        foreach (var thread in threads) thread.Start();
        ready.Wait();
        var before = Environment.CpuUsage.TotalTime;
        start = Stopwatch.GetTimestamp();
        go.Set();
        foreach (var thread in threads) thread.Join();

        var latencies = perThread.SelectMany(seen => seen).Where(s => s.At >= Uncounted).Select(s => s.Latency * 1_000).Order().ToArray();
        double At(double share) => latencies.Length == 0 ? 0 : latencies[Math.Min(latencies.Length - 1, (int)(share * latencies.Length))];
        var result = new Seen(latencies.Length, perThread.Sum(seen => (long)seen.Count) - latencies.Length, failed, options.Seconds, At(0.5), At(0.99), At(0.999), At(1), (Environment.CpuUsage.TotalTime - before).TotalSeconds);
        Console.WriteLine(JsonSerializer.Serialize(result));
        return 0;
    }

    private static double[] Arrivals(int rate, double seconds)
    {
        var random = new Random(7);
        var arrivals = new List<double>((int)(rate * seconds * 1.1));
        for (var at = 0.0; at < seconds; at += -Math.Log(1 - random.NextDouble()) / rate) arrivals.Add(at);
        return [.. arrivals];
    }

    private static byte[][] Requests(int postPercent)
    {
        var random = new Random(7);
        var body = new string('x', 64);
        return [.. Enumerable.Range(0, 1_000).Select(i => Encoding.ASCII.GetBytes(random.Next(100) < postPercent
            ? $"POST /rooms/{i}/increment HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\nContent-Type: text/plain\r\nContent-Length: {body.Length}\r\n\r\n{body}"
            : $"GET /rooms/{i} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"))];
    }

    private static Socket Connect(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 10_000 };
        socket.Connect(IPAddress.Loopback, port);
        return socket;
    }

    private static bool TryAsk(Socket socket, byte[] request, byte[] buffer)
    {
        try
        {
            socket.Send(request);
            var (length, end) = (0, -1);
            while (end < 0)
            {
                var read = socket.Receive(buffer.AsSpan(length));
                if (read == 0) return false;
                length += read;
                end = buffer.AsSpan(0, length).IndexOf(HeadersEnd);
            }
            var total = end + HeadersEnd.Length + ContentLength(buffer.AsSpan(0, end));
            while (length < total)
            {
                var read = socket.Receive(buffer.AsSpan(length));
                if (read == 0) return false;
                length += read;
            }
            return buffer.AsSpan().StartsWith(Ok);
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static int ContentLength(ReadOnlySpan<byte> head)
    {
        var name = "Content-Length: "u8;
        var at = head.IndexOf(name);
        if (at < 0 || !System.Buffers.Text.Utf8Parser.TryParse(head[(at + name.Length)..], out int length, out _)) throw new InvalidOperationException("The backend's answers have a length.");
        return length;
    }

    // Thread.Sleep knows whole milliseconds only, which is longer than most answers take.
    private static void SleepFor(double seconds)
    {
        if (!OperatingSystem.IsLinux())
        {
            Thread.Sleep(TimeSpan.FromSeconds(seconds));
            return;
        }
        var time = new TimeSpec { Seconds = (nint)seconds, Nanoseconds = (nint)((seconds - Math.Floor(seconds)) * 1e9) };
        _ = NanoSleep(time, 0);
    }

    [DllImport("libc", EntryPoint = "nanosleep")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int NanoSleep(in TimeSpec time, nint remaining);

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public nint Seconds, Nanoseconds;
    }
}
