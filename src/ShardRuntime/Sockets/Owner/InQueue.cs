namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>Messages that came in and were not taken yet: bounded like the carrier's window, past which the leg is not read on. One writer, one reader.</summary>
internal sealed class InQueue(int messagesMax, int bytesMax) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Queue<InMessage> _waiting = new();
    private readonly WakeUp _arrived = new(), _space = new();
    private long _bytes;
    private bool _isStopped;

    /// <summary>Adds one, when there is room; after <see cref="Stop"/> it is dropped.</summary>
    public async ValueTask AddAsync(InMessage message, CancellationToken cancellationToken)
    {
        while (!TryAdd(message)) await _space.WaitAsync(cancellationToken);
        _arrived.Set();
    }

    public bool TryTake(out InMessage message)
    {
        lock (_gate)
        {
            if (!_waiting.TryDequeue(out message)) return false;
            _bytes -= message.Payload.Length;
        }
        _space.Set();
        return true;
    }

    /// <summary>Drops what is here and what comes: the carrier has it, and sends it to the next owner.</summary>
    public void Stop()
    {
        lock (_gate)
        {
            _isStopped = true;
            _waiting.Clear();
        }
        _space.Set();
        Wake();
    }

    /// <summary>Something else than a message has happened.</summary>
    public void Wake() => _arrived.Set();

    /// <summary>Waits for a message or a wake-up.</summary>
    public Task WaitAsync(CancellationToken cancellationToken) => _arrived.WaitAsync(cancellationToken);

    public void Dispose()
    {
        _arrived.Dispose();
        _space.Dispose();
    }

    private bool TryAdd(InMessage message)
    {
        lock (_gate)
        {
            if (_isStopped) return true;
            if (_waiting.Count > 0 && (_waiting.Count >= messagesMax || _bytes + message.Payload.Length > bytesMax)) return false;
            _waiting.Enqueue(message);
            _bytes += message.Payload.Length;
            return true;
        }
    }
}
