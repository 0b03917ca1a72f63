namespace ShardCloud.ShardRuntime.Sockets.Hubs;

/// <summary>Which of a hub client's messages are done: handed to the hub, and each invocation in them answered. Thread-safe.</summary>
/// <remarks>
/// Messages are handed over one after the other, so what the protocol parses belongs to the one that is open. Done is a prefix: a number is told once all before it are
/// done too. An invocation with a stream counts as done when the stream is on record: it may run for hours, and it ends at a move anyway.
/// </remarks>
/// <param name="done">Called with the highest number up to which all are done.</param>
internal sealed class HubProgress(Action<long> done)
{
    private readonly Lock _gate = new();
    private readonly SortedDictionary<long, int> _open = [];
    private readonly Dictionary<string, long> _invocations = new(StringComparer.Ordinal);
    private TaskCompletionSource? _idle;
    private long _current, _last, _told;

    /// <summary>A message is handed to the hub.</summary>
    public void Begin(long number)
    {
        lock (_gate)
        {
            _current = _last = number;
            _open[number] = 1;
        }
    }

    /// <summary>The hub's loop asks for the next one.</summary>
    public void End(long number) => Release(number);

    /// <summary>An invocation was found in the open message.</summary>
    public void Invoked(string id)
    {
        lock (_gate)
        {
            if (_open.ContainsKey(_current) && _invocations.TryAdd(id, _current)) _open[_current]++;
        }
    }

    /// <summary>The answer of an invocation is on its way out.</summary>
    public void Answered(string id)
    {
        long number;
        lock (_gate)
        {
            if (!_invocations.Remove(id, out number)) return;
        }
        Release(number);
    }

    /// <summary>Completes when nothing is open.</summary>
    public Task WhenIdleAsync()
    {
        lock (_gate)
        {
            if (_open.Count == 0) return Task.CompletedTask;
            return (_idle ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    private void Release(long number)
    {
        long upTo;
        TaskCompletionSource? idle = null;
        lock (_gate)
        {
            if (--_open[number] > 0) return;
            _open.Remove(number);
            upTo = _open.Count == 0 ? _last : _open.First().Key - 1;
            if (_open.Count == 0) (idle, _idle) = (_idle, null);
            if (upTo <= _told) upTo = 0;
            else _told = upTo;
        }
        if (upTo > 0) done(upTo);
        idle?.TrySetResult();
    }
}
