using System.Collections.Concurrent;
using System.Security.Cryptography;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sidecar.StateApi;

/// <summary>The requests that are at the application now, by the handle that each was given. As many as run: handles need no bound of their own.</summary>
internal sealed class StateCalls
{
    private readonly ConcurrentDictionary<string, StateCall> _open = new(StringComparer.Ordinal);

    /// <summary>Lets the application use the state of its request until the call is disposed.</summary>
    public StateCall Open(EndpointState state)
    {
        var call = new StateCall(this, RandomNumberGenerator.GetHexString(32, lowercase: true), state);
        _open[call.Handle] = call;
        return call;
    }

    /// <summary>The request of a handle.</summary>
    /// <exception cref="ShardCloudException">SC3009: there is none, or none any more; the two cannot be told apart, and need not be.</exception>
    public StateCall Find(string handle) => _open.TryGetValue(handle, out var call) ? call : throw StateCall.Over();

    internal void Forget(string handle) => _open.TryRemove(handle, out _);
}

/// <summary>One request at the application, and its endpoint's state. What is done through it is done one after the other.</summary>
internal sealed class StateCall(StateCalls calls, string handle, EndpointState state) : IDisposable
{
    private readonly Lock _gate = new();
    private bool _isOver;

    /// <summary>128 random bits: who was not given it cannot name it.</summary>
    public string Handle => handle;

    /// <summary>Does something with the state, alone.</summary>
    /// <exception cref="ShardCloudException">SC3009: the request is over. What has returned before is in the request's unit of work.</exception>
    public T Do<T>(Func<EndpointState, T> action)
    {
        lock (_gate) return _isOver ? throw Over() : action(state);
    }

    /// <summary>The request is over; waits for what is being done.</summary>
    public void Dispose()
    {
        lock (_gate) _isOver = true;
        calls.Forget(handle);
    }

    public static ShardCloudException Over() => new(ErrorCodes.StateHandleEnded, "The request that this handle was given to has ended, or there never was one.",
        "Use state before the answer ends, by the handle in the request's own X-Shard-State header.");
}
