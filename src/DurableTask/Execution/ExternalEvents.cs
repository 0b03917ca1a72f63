using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Execution;

/// <summary>Events and those who wait for them, by name without regard to case. Waiters are served newest first, buffered events oldest
/// first; a cancelled waiter takes no event.</summary>
internal sealed class ExternalEvents
{
    private readonly Dictionary<string, List<TaskCompletionSource<string?>>> _waiters = new(StringComparer.OrdinalIgnoreCase);
    private readonly List<EventRaisedEvent> _buffer = [];

    public bool HasWaiters => _waiters.Values.Any(list => list.Count > 0);

    public Task<string?> WaitAsync(string name, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return Task.FromCanceled<string?>(cancellationToken);

        var index = _buffer.FindIndex(e => string.Equals(e.Name, name, StringComparison.OrdinalIgnoreCase));
        if (index >= 0)
        {
            var arrived = _buffer[index];
            _buffer.RemoveAt(index);
            return Task.FromResult<string?>(arrived.Input);
        }

        var waiter = new TaskCompletionSource<string?>();
        if (!_waiters.TryGetValue(name, out var list)) _waiters[name] = list = [];
        list.Add(waiter);
        cancellationToken.Register(() =>
        {
            if (list.Remove(waiter)) waiter.TrySetCanceled(cancellationToken);
        });
        return waiter.Task;
    }

    public void Raise(EventRaisedEvent raised)
    {
        if (_waiters.TryGetValue(raised.Name, out var list) && list.Count > 0)
        {
            var newest = list[^1];
            list.RemoveAt(list.Count - 1);
            newest.SetResult(raised.Input);
        }
        else
        {
            _buffer.Add(raised);
        }
    }

    /// <summary>Empties the buffer, in order of arrival.</summary>
    public IReadOnlyList<EventRaisedEvent> TakeBuffered()
    {
        EventRaisedEvent[] all = [.. _buffer];
        _buffer.Clear();
        return all;
    }
}
