using System.Collections.Concurrent;
using System.Diagnostics;
using ShardCloud.Simulation;

namespace ShardCloud.Integration.Tests;

/// <summary>What the clients of one room asked over HTTP and were answered, by one clock.</summary>
internal sealed class RoomHistory(Cloud cloud, string room)
{
    private readonly ConcurrentQueue<Operation<bool, long>> _operations = new();

    public string Room => room;

    public int Count => _operations.Count;

    public bool IsLinearizable => CounterModel.Holds(_operations);

    /// <summary>One request after the other, until the token fires.</summary>
    public async Task AskUntilAsync(bool isIncrement, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested) await AskAsync(isIncrement);
    }

    public async Task AskAsync(bool isIncrement)
    {
        var invoked = Stopwatch.GetTimestamp();
        var value = isIncrement ? await cloud.IncrementAsync(room) : (await cloud.ReadAsync(room)).Value;
        _operations.Enqueue(new Operation<bool, long>(isIncrement, value, invoked, Stopwatch.GetTimestamp()));
    }
}
