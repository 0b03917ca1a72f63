using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.Extensions.Logging.Console;

namespace ShardCloud.LocalCloud.EventHubs;

/// <summary>The local Event Hubs as a process of its own, so that it can be killed at any moment.</summary>
public static class LocalEventHubsProgram
{
    /// <summary>Runs the broker until SIGTERM, SIGINT, or the end of standard input.</summary>
    /// <remarks>
    /// Standard output gets one line of JSON: <c>{"ready":true,"address":"127.0.0.1:9092","port":9092,"clusterId":"...","logs":{"deltas":"..."},"processId":1}</c>, or
    /// <c>{"ready":false,"code":"SC7005","message":"...","remedy":"..."}</c>; the code is null for an argument that is wrong. Logs go to standard error.
    /// </remarks>
    /// <param name="args"><c>--data FOLDER [--hub NAME=PARTITIONS]... [--port PORT]</c> and more: see <see cref="LocalEventHubsArguments"/>.</param>
    /// <returns>Exit code: 0 stopped as asked, 1 the broker did not start.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        using var loggers = LoggerFactory.Create(builder => builder.SetMinimumLevel(LogLevel.Warning)
            .AddSimpleConsole(console => (console.SingleLine, console.ColorBehavior) = (true, LoggerColorBehavior.Disabled))
            .Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace));
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, End);
        return await RunAsync(args, Console.OpenStandardInput(), Console.Out, loggers.CreateLogger<LocalEventHubs>(), ended);

        void End(PosixSignalContext signal)
        {
            signal.Cancel = true; // the files are closed in order, instead of the runtime at once
            ended.TrySetResult();
        }
    }

    /// <summary>The same with the streams given.</summary>
    internal static async Task<int> RunAsync(string[] args, Stream input, TextWriter output, ILogger logger, TaskCompletionSource ended)
    {
        // Not disposed, and on a thread of its own: a read from a pipe cannot be cancelled, and may last until the process ends.
        new Thread(() => WaitForEnd(input, ended)) { IsBackground = true, Name = "standard input" }.Start();
        try
        {
            await using var hubs = await LocalEventHubs.StartAsync(LocalEventHubsArguments.Parse(args), logger: logger);
            Print(new { ready = true, address = hubs.BootstrapServers, port = hubs.Port, clusterId = hubs.ClusterId, logs = hubs.LogIdentities, processId = Environment.ProcessId });
            await ended.Task;
            return 0;
        }
        catch (ShardCloudException exception)
        {
            Print(new { ready = false, code = exception.Code, message = exception.Message, remedy = exception.Remedy });
            return 1;
        }
        catch (ArgumentException exception)
        {
            Print(new { ready = false, code = (string?)null, message = exception.Message, remedy = "Correct the command line." });
            return 1;
        }

        void Print(object line)
        {
            output.WriteLine(JsonSerializer.Serialize(line));
            output.Flush();
        }
    }

    private static void WaitForEnd(Stream input, TaskCompletionSource ended)
    {
        Span<byte> ignored = stackalloc byte[256];
        try
        {
            while (input.Read(ignored) > 0)
            {
            }
        }
        catch (IOException)
        {
            // A broken pipe is an end too.
        }

        ended.TrySetResult();
    }
}
