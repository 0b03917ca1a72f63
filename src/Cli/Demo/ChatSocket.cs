using System.Net.WebSockets;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace ShardCloud.Cli.Demo;

/// <summary>One WebSocket in one room.</summary>
internal sealed class ChatSocket(int id, string room, IChatLink link, ChatLedger ledger) : IAsyncDisposable
{
    private readonly CancellationTokenSource _end = new();
    private readonly HashSet<long> _seen = [];
    private readonly TaskCompletionSource<long> _welcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource _heard = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _receiving = Task.CompletedTask;
    private long _last, _duplicated, _reordered;
    private int _disposed;

    public bool IsOpened { get; private set; }

    public bool IsOpen => link.IsOpen && !_receiving.IsCompleted;

    public string? Failure { get; private set; }

    public async Task OpenAsync(CancellationToken cancellationToken)
    {
        try
        {
            await link.ConnectAsync(cancellationToken);
            _receiving = ReceiveAsync();
            await _welcome.Task.WaitAsync(cancellationToken);
            IsOpened = true;
        }
        catch (WebSocketException error)
        {
            Failure = $"room {room}: not opened: {error.Message}";
        }
    }

    /// <summary>Says something to the room; false when the socket is gone, or takes nothing any more.</summary>
    public async Task<bool> SayAsync(long number)
    {
        var tag = $"{id}-{number}";
        ledger.Said(tag);
        using var late = new CancellationTokenSource(ChatLoad.Patience);
        try
        {
            await link.SendAsync(JsonSerializer.SerializeToUtf8Bytes(new ChatMessage(0, $"message {number}", tag, null, null, false), ChatJson.Default.ChatMessage), late.Token);
            return true;
        }
        catch (Exception error) when (error is WebSocketException or InvalidOperationException or OperationCanceledException)
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
            using var late = new CancellationTokenSource(TimeSpan.FromSeconds(5));
            if (link.IsOpen) await link.CloseAsync(late.Token);
            await _receiving.WaitAsync(late.Token);
        }
        catch (Exception error) when (error is WebSocketException or OperationCanceledException)
        {
            // It is over either way.
        }
        await _end.CancelAsync();
        await link.DisposeAsync();
        _end.Dispose();
    }

    private async Task ReceiveAsync()
    {
        try
        {
            while (await link.ReceiveAsync(_end.Token) is { } message) Heard(JsonSerializer.Deserialize(message.Span, ChatJson.Default.ChatMessage)!);
            if (link.Ended is { } why) Failure ??= $"room {room}: {why}";
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
