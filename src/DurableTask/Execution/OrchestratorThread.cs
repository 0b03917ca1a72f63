using System.Collections.Concurrent;

namespace ShardCloud.DurableTask.Execution;

/// <summary>The one thread of control on which an orchestrator's code runs: continuations queue up here and run, in order, inside
/// <see cref="Drain"/>. A continuation that comes from another thread shows that the code awaited something else than the
/// orchestration's own operations; that cannot be replayed.</summary>
internal sealed class OrchestratorThread : SynchronizationContext
{
    private readonly ConcurrentQueue<(SendOrPostCallback Callback, object? State)> _ready = new();
    private readonly int _owner = Environment.CurrentManagedThreadId;
    private volatile bool _enteredFromOutside;

    /// <summary>True once a foreign thread has tried to continue the code.</summary>
    public bool EnteredFromOutside => _enteredFromOutside;

    public bool IsCurrent => Current == this && Environment.CurrentManagedThreadId == _owner;

    public override void Post(SendOrPostCallback d, object? state)
    {
        // Never run: after the turn nobody drains the queue, and during it the turn fails.
        if (Environment.CurrentManagedThreadId != _owner) _enteredFromOutside = true;
        else _ready.Enqueue((d, state));
    }

    public override void Send(SendOrPostCallback d, object? state)
    {
        if (Environment.CurrentManagedThreadId != _owner) throw new InvalidOperationException("An orchestrator's code cannot be entered from another thread.");
        d(state);
    }

    public override SynchronizationContext CreateCopy() => this;

    /// <summary>Runs code on this context, then everything it made ready, until no progress is possible.</summary>
    public void Run(Action code)
    {
        var before = Current;
        SetSynchronizationContext(this);
        try
        {
            code();
            Drain();
        }
        finally
        {
            SetSynchronizationContext(before);
        }
    }

    private void Drain()
    {
        while (_ready.TryDequeue(out var item)) item.Callback(item.State);
    }
}
