namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>What is under way to a client without confirmation: bounded by count and bytes, and one message may always go. Thread-safe.</summary>
internal sealed class OutWindow(int messagesMax, int bytesMax) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Queue<(long Number, int Bytes)> _underWay = new();
    private readonly WakeUp _confirmed = new();
    private long _bytes;

    /// <summary>Takes a place for a message; false: confirmations must come first.</summary>
    public bool TryEnter(long number, int bytes)
    {
        lock (_gate)
        {
            if (_underWay.Count > 0 && (_underWay.Count >= messagesMax || _bytes + bytes > bytesMax)) return false;
            _underWay.Enqueue((number, bytes));
            _bytes += bytes;
            return true;
        }
    }

    /// <summary>The same, waiting; one waiter at a time.</summary>
    public async ValueTask EnterAsync(long number, int bytes, CancellationToken cancellationToken)
    {
        while (!TryEnter(number, bytes)) await _confirmed.WaitAsync(cancellationToken);
    }

    /// <summary>The client has everything up to the number.</summary>
    public void Confirm(long number)
    {
        lock (_gate)
        {
            while (_underWay.TryPeek(out var first) && first.Number <= number) _bytes -= _underWay.Dequeue().Bytes;
        }
        _confirmed.Set();
    }

    public void Dispose() => _confirmed.Dispose();
}
