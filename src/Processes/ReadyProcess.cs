using System.Net.Sockets;
using System.Text.Json;

namespace ShardCloud.Processes;

/// <summary>What a <see cref="Supervisor"/> keeps running: one life of a process that has become ready.</summary>
public interface ILife : IAsyncDisposable
{
    /// <summary>The process.</summary>
    ChildProcess Child { get; }
}

/// <summary>A child that has said or shown that it is ready.</summary>
public sealed class ReadyProcess : ILife
{
    private static readonly TimeSpan ProbeEvery = TimeSpan.FromMilliseconds(30);

    private ReadyProcess(ChildProcess child, JsonElement line) => (Child, Line) = (child, line);

    /// <inheritdoc/>
    public ChildProcess Child { get; }

    /// <summary>The line it said so with: <c>{"ready":true,...}</c>; undefined for one that was probed.</summary>
    public JsonElement Line { get; }

    /// <summary>Starts a program that prints one line of JSON, <c>{"ready":true,...}</c> or <c>{"ready":false,"code","message","remedy"}</c>, and waits for it.</summary>
    /// <exception cref="ShardCloudException">What the line says, or SC7014: it ended, or said nothing in time.</exception>
    public static async Task<ReadyProcess> StartAsync(string name, ChildProcessOptions options, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var said = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
        return await StartAsync(name, options with
        {
            OnLine = line =>
            {
                if (line.StartsWith("{\"ready\"", StringComparison.Ordinal)) said.TrySetResult(JsonSerializer.Deserialize<JsonElement>(line));
                options.OnLine?.Invoke(line);
            },
        }, _ => said.Task, timeout, cancellationToken);
    }

    /// <summary>Starts a program and waits until something listens on its port of 127.0.0.1.</summary>
    /// <exception cref="ShardCloudException">SC7014: it ended, or did not listen in time.</exception>
    public static Task<ReadyProcess> StartAsync(string name, ChildProcessOptions options, int port, TimeSpan timeout, CancellationToken cancellationToken) =>
        StartAsync(name, options, token => ListensAsync(port, token), timeout, cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => Child.DisposeAsync();

    private static async Task<ReadyProcess> StartAsync(string name, ChildProcessOptions options, Func<CancellationToken, Task<JsonElement>> ready, TimeSpan timeout, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(timeout);
        var child = ChildProcess.Start(options);
        try
        {
            var becoming = ready(deadline.Token);
            await Task.WhenAny(becoming, child.Exited).WaitAsync(deadline.Token);
            deadline.Token.ThrowIfCancellationRequested(); // The wait for it may have been cancelled before this one: the process has not ended then.
            if (!becoming.IsCompletedSuccessfully) throw Failed(name, $"it ended (exit code {(await child.Exited).ExitCode})", child, options);
            var line = await becoming;
            if (line.ValueKind == JsonValueKind.Object && !line.GetProperty("ready").GetBoolean())
                throw new ShardCloudException(line.GetProperty("code").GetString() ?? ErrorCodes.PartGivenUp, line.GetProperty("message").GetString()!, line.GetProperty("remedy").GetString()!);
            return new ReadyProcess(child, line);
        }
        catch (Exception error)
        {
            await deadline.CancelAsync();
            await child.DisposeAsync();
            if (error is OperationCanceledException && !cancellationToken.IsCancellationRequested) throw Failed(name, $"it was not ready within {timeout.TotalSeconds:0} s", child, options);
            throw;
        }
    }

    private static async Task<JsonElement> ListensAsync(int port, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(ProbeEvery);
        while (true)
        {
            try
            {
                using var probe = new TcpClient();
                await probe.ConnectAsync("127.0.0.1", port, cancellationToken);
                return default;
            }
            catch (SocketException)
            {
                await timer.WaitForNextTickAsync(cancellationToken);
            }
        }
    }

    private static ShardCloudException Failed(string name, string why, ChildProcess child, ChildProcessOptions options) => new(
        ErrorCodes.PartGivenUp, $"{name} did not start: {why}. Its last words: {string.Join(" | ", child.LastLines.TakeLast(5))}",
        options.LogFile is null ? "Start again with 'shardcloud up': the data are kept." : $"Its log is '{options.LogFile}'.");
}
