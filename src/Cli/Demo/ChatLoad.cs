namespace ShardCloud.Cli.Demo;

/// <summary>Open WebSockets in the rooms, talking while the rooms move. Every one must see every number of its room once, in order, without a reconnect.</summary>
/// <remarks>The room gives each message its next number and tells all who are in it. A sender's tag in the message shows that it came back, and came back once.</remarks>
internal sealed class ChatLoad : IAsyncDisposable
{
    /// <summary>How long a message may take on its way out, and the last ones on their way back: longer than any parking.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly ChatSocket[] _sockets;
    private readonly int _messagesPerSecond;
    private long _sent;

    /// <summary>Sockets spread evenly over the rooms, at one router.</summary>
    public ChatLoad(Uri router, IReadOnlyList<string> rooms, int sockets, int messagesPerSecond)
        : this(room => new PlainChatLink(Socket(router, room)), rooms, sockets, messagesPerSecond)
    {
    }

    /// <summary>Sockets spread evenly over the rooms.</summary>
    /// <param name="linkTo">From a room to a way there.</param>
    /// <param name="rooms">Their names.</param>
    /// <param name="sockets">How many.</param>
    /// <param name="messagesPerSecond">Said in all.</param>
    public ChatLoad(Func<string, IChatLink> linkTo, IReadOnlyList<string> rooms, int sockets, int messagesPerSecond)
    {
        _messagesPerSecond = messagesPerSecond;
        var chats = rooms.Select(_ => new ChatLedger()).ToArray();
        _sockets = [.. Enumerable.Range(0, sockets).Select(i => new ChatSocket(i, rooms[i % rooms.Count], linkTo(rooms[i % rooms.Count]), chats[i % rooms.Count]))];
    }

    /// <summary>Opens them all.</summary>
    public async Task OpenAsync(CancellationToken cancellationToken)
    {
        foreach (var some in _sockets.Chunk(20)) await Task.WhenAll(some.Select(socket => socket.OpenAsync(cancellationToken)));
    }

    /// <summary>Sends until the token fires, then waits until everything that was said has been heard.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        if (_sockets.Length == 0) return;
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1.0 / _messagesPerSecond));
        try
        {
            while (await timer.WaitForNextTickAsync(stop))
            {
                if (await _sockets[(int)(_sent % _sockets.Length)].SayAsync(_sent)) _sent++;
                else break; // Dropped; the report says so.
            }
        }
        catch (OperationCanceledException)
        {
            // The time is over.
        }
        using var late = new CancellationTokenSource(Patience);
        foreach (var socket in _sockets) await socket.WaitForLastAsync(late.Token);
    }

    /// <summary>Counts, and closes what is open.</summary>
    public async Task<WebSocketsSection> EndAsync()
    {
        var opened = _sockets.Count(socket => socket.IsOpened);
        var dropped = Dropped;
        var verdicts = _sockets.Select(socket => socket.Judge()).ToArray();
        await DisposeAsync();
        return new(opened, dropped, _sent, verdicts.Sum(v => v.Lost), verdicts.Sum(v => v.Duplicated), verdicts.Sum(v => v.Reordered));
    }

    /// <summary>Messages said so far.</summary>
    public long Sent => Volatile.Read(ref _sent);

    /// <summary>Sockets that were opened and are not open any more.</summary>
    public int Dropped => _sockets.Count(socket => socket.IsOpened && !socket.IsOpen);

    /// <summary>Why sockets ended, for the report.</summary>
    public IEnumerable<string> Failures => _sockets.Select(socket => socket.Failure).OfType<string>();

    /// <summary>Address of a room's chat.</summary>
    public static Uri Socket(Uri router, string room) => new(new UriBuilder(router) { Scheme = "ws" }.Uri, $"rooms/{room}/ws");

    public async ValueTask DisposeAsync()
    {
        foreach (var socket in _sockets) await socket.DisposeAsync();
    }
}
