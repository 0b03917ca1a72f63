using System.Net.WebSockets;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace ShardCloud.Cli.Demo;

/// <summary>Open WebSockets in the rooms, talking while the rooms move. Every one must see every number of its room once, in order, without a reconnect.</summary>
/// <remarks>The room gives each message its next number and tells all who are in it. A sender's tag in the message shows that it came back, and came back once.</remarks>
internal sealed class ChatLoad : IAsyncDisposable
{
    /// <summary>How long the last messages may take: longer than any parking.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Uri _router;
    private readonly ChatSocket[] _sockets;
    private readonly int _messagesPerSecond;
    private long _sent;

    /// <summary>Sockets spread evenly over the rooms.</summary>
    public ChatLoad(Uri router, IReadOnlyList<string> rooms, int sockets, int messagesPerSecond)
    {
        (_router, _messagesPerSecond) = (new UriBuilder(router) { Scheme = "ws" }.Uri, messagesPerSecond);
        var chats = rooms.Select(_ => new ChatLedger()).ToArray();
        _sockets = [.. Enumerable.Range(0, sockets).Select(i => new ChatSocket(i, rooms[i % rooms.Count], chats[i % rooms.Count]))];
    }

    /// <summary>Opens them all.</summary>
    public async Task OpenAsync(CancellationToken cancellationToken)
    {
        foreach (var some in _sockets.Chunk(20)) await Task.WhenAll(some.Select(socket => socket.OpenAsync(_router, cancellationToken)));
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
        var dropped = _sockets.Count(socket => socket.IsOpened && !socket.IsOpen);
        var verdicts = _sockets.Select(socket => socket.Judge()).ToArray();
        await DisposeAsync();
        return new(opened, dropped, _sent, verdicts.Sum(v => v.Lost), verdicts.Sum(v => v.Duplicated), verdicts.Sum(v => v.Reordered));
    }

    /// <summary>Why sockets ended, for the report.</summary>
    public IEnumerable<string> Failures => _sockets.Select(socket => socket.Failure).OfType<string>();

    public async ValueTask DisposeAsync()
    {
        foreach (var socket in _sockets) await socket.DisposeAsync();
    }
}

/// <summary>What one room's chat was told: the highest number, and the number of each tag.</summary>
internal sealed class ChatLedger
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, long> _numbers = new(StringComparer.Ordinal);
    private readonly HashSet<string> _said = new(StringComparer.Ordinal);
    private long _highest;

    public long Highest { get { lock (_gate) return _highest; } }

    /// <summary>True once all that was said has a number.</summary>
    public bool IsComplete { get { lock (_gate) return _said.Count == 0; } }

    public int Unheard { get { lock (_gate) return _said.Count; } }

    public void Said(string tag) { lock (_gate) if (!_numbers.ContainsKey(tag)) _said.Add(tag); }

    /// <summary>Somebody heard it; others who are in the room say things without a tag.</summary>
    /// <returns>False: the tag has another number already, so the message took effect twice.</returns>
    public bool Heard(string? tag, long number)
    {
        lock (_gate)
        {
            _highest = Math.Max(_highest, number);
            if (tag is null) return true;
            _said.Remove(tag);
            return _numbers.TryAdd(tag, number) || _numbers[tag] == number;
        }
    }
}

/// <summary>One WebSocket in one room.</summary>
internal sealed class ChatSocket(int id, string room, ChatLedger ledger) : IAsyncDisposable
{
    private readonly ClientWebSocket _socket = new();
    private readonly CancellationTokenSource _end = new();
    private readonly HashSet<long> _seen = [];
    private readonly TaskCompletionSource<long> _welcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource _heard = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _receiving = Task.CompletedTask;
    private long _last, _duplicated, _reordered;
    private int _disposed;

    public bool IsOpened { get; private set; }

    public bool IsOpen => _socket.State is WebSocketState.Open && !_receiving.IsCompleted;

    public string? Failure { get; private set; }

    public async Task OpenAsync(Uri router, CancellationToken cancellationToken)
    {
        try
        {
            await _socket.ConnectAsync(new Uri(router, $"rooms/{room}/ws"), cancellationToken);
            _receiving = ReceiveAsync();
            await _welcome.Task.WaitAsync(cancellationToken);
            IsOpened = true;
        }
        catch (WebSocketException error)
        {
            Failure = $"room {room}: not opened: {error.Message}";
        }
    }

    /// <summary>Says something to the room; false when the socket is gone.</summary>
    public async Task<bool> SayAsync(long number)
    {
        var tag = $"{id}-{number}";
        ledger.Said(tag);
        try
        {
            await _socket.SendAsync(JsonSerializer.SerializeToUtf8Bytes(new ChatMessage(0, $"message {number}", tag, null, null, false), ChatJson.Default.ChatMessage), WebSocketMessageType.Text, true, CancellationToken.None);
            return true;
        }
        catch (Exception error) when (error is WebSocketException or InvalidOperationException)
        {
            Failure ??= $"room {room}: not sent: {error.Message}";
            return false;
        }
    }

    /// <summary>Waits until this socket has heard all that anybody heard, and all that was said has been heard; or gives up.</summary>
    public async Task WaitForLastAsync(CancellationToken late)
    {
        try
        {
            while (IsOpen && (!ledger.IsComplete || Interlocked.Read(ref _last) < ledger.Highest))
            {
                var heard = Volatile.Read(ref _heard).Task;
                if (!ledger.IsComplete || Interlocked.Read(ref _last) < ledger.Highest) await heard.WaitAsync(late);
            }
        }
        catch (OperationCanceledException)
        {
            // What is missing now counts as lost.
        }
    }

    public (long Lost, long Duplicated, long Reordered) Judge()
    {
        if (!IsOpened) return default;
        var lost = ledger.Unheard; // What nobody ever heard is missing at each who is in the room.
        lock (_seen) lost += (int)(ledger.Highest - _welcome.Task.Result - _seen.Count);
        return (lost, _duplicated, _reordered);
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 1) return;
        try
        {
            if (_socket.State is WebSocketState.Open) await _socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
            await _receiving.WaitAsync(TimeSpan.FromSeconds(5));
        }
        catch (Exception error) when (error is WebSocketException or TimeoutException)
        {
            // It is over either way.
        }
        await _end.CancelAsync();
        _socket.Dispose();
        _end.Dispose();
    }

    private async Task ReceiveAsync()
    {
        var buffer = new byte[4096];
        try
        {
            while (true)
            {
                var length = 0;
                ValueWebSocketReceiveResult part;
                do
                {
                    part = await _socket.ReceiveAsync(buffer.AsMemory(length), _end.Token);
                    length += part.Count;
                }
                while (!part.EndOfMessage);
                if (part.MessageType is WebSocketMessageType.Close)
                {
                    if (_socket.State is WebSocketState.CloseReceived) Failure ??= $"room {room}: closed by the other side with {(int?)_socket.CloseStatus} {_socket.CloseStatusDescription}";
                    return;
                }
                Heard(JsonSerializer.Deserialize(buffer.AsSpan(0, length), ChatJson.Default.ChatMessage)!);
            }
        }
        catch (Exception error) when (error is WebSocketException or OperationCanceledException or JsonException)
        {
            Failure ??= $"room {room}: {error.Message}";
            _welcome.TrySetException(new WebSocketException(error.Message));
        }
        finally
        {
            Volatile.Read(ref _heard).TrySetResult();
        }
    }

    private void Heard(ChatMessage message)
    {
        if (message.Welcome)
        {
            Interlocked.Exchange(ref _last, message.N);
            if (!_welcome.TrySetResult(message.N)) _duplicated++;
            return;
        }
        lock (_seen)
        {
            if (message.N <= _welcome.Task.Result || !_seen.Add(message.N)) _duplicated++;
            else if (message.N < _last) _reordered++;
        }
        if (!ledger.Heard(message.Tag, message.N)) _duplicated++;
        if (message.N > _last) Interlocked.Exchange(ref _last, message.N);
        Interlocked.Exchange(ref _heard, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }
}

/// <summary>A message of a room's chat; <c>welcome</c>: the first one, with the room's last number so far.</summary>
internal sealed record ChatMessage(long N, string Text, string? Tag, string? Shard, string? Version, bool Welcome);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ChatMessage))]
internal sealed partial class ChatJson : JsonSerializerContext;
