using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.Extensions.Logging.Console;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>The Functions host as a process of its own, so that it can be ended at any moment like the real one.</summary>
public static class FunctionsHostProgram
{
    /// <summary>Runs the host until SIGTERM, SIGINT, the end of standard input, or the token.</summary>
    /// <remarks>
    /// Standard output gets one line of JSON: <c>{"ready":true,"http":"...","rpc":"...","taskHub":"...","processId":1}</c>, or
    /// <c>{"ready":false,"code":"SC7010","message":"...","remedy":"..."}</c>. Each handler process that answers gets a line, <c>{"handler":2}</c>. Logs go to standard error.
    /// However this process ends, its handler sees its own standard input end and stops too.
    /// </remarks>
    /// <param name="args">See <see cref="FunctionsHostArguments"/>.</param>
    /// <param name="cancellationToken">Stops the host.</param>
    /// <returns>Exit code: 0 stopped as asked, 1 the host did not start.</returns>
    public static async Task<int> RunAsync(string[] args, CancellationToken cancellationToken = default)
    {
        using var loggers = LoggerFactory.Create(b => b.SetMinimumLevel(LogLevel.Warning)
            .AddSimpleConsole(o => (o.SingleLine, o.ColorBehavior) = (true, LoggerColorBehavior.Disabled))
            .Services.Configure<ConsoleLoggerOptions>(o => o.LogToStandardErrorThreshold = LogLevel.Trace));
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, End);
        var input = Console.OpenStandardInput(); // not disposed: the thread below may be reading it until the process ends
        new Thread(() => EndWithInput(input, stop)) { IsBackground = true, Name = "standard input" }.Start();
        try
        {
            var options = FunctionsHostArguments.Parse(args) with { Loggers = loggers, HandlerAnswers = id => Print(new { handler = id }) };
            await using var host = await FunctionsHost.StartAsync(options, stop.Token).ConfigureAwait(false);
            Print(new { ready = true, http = host.HttpAddress, rpc = host.RpcAddress, taskHub = host.TaskHubName, processId = Environment.ProcessId });
            await Task.Delay(Timeout.InfiniteTimeSpan, stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return 0;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return 0;
        }
        catch (ShardCloudException e)
        {
            Print(new { ready = false, code = e.Code, message = e.Message, remedy = e.Remedy });
            return 1;
        }

        void End(PosixSignalContext signal)
        {
            signal.Cancel = true; // the host stops in order, instead of the runtime at once
            TryCancel(stop);
        }
    }

    private static void EndWithInput(Stream input, CancellationTokenSource stop)
    {
        var ignored = new byte[256];
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

        TryCancel(stop);
    }

    private static void TryCancel(CancellationTokenSource stop)
    {
        try
        {
            stop.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has stopped already.
        }
    }

    private static void Print(object line)
    {
        Console.Out.WriteLine(JsonSerializer.Serialize(line));
        Console.Out.Flush();
    }
}
