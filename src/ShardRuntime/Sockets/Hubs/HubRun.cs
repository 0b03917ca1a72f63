using System.Buffers;
using System.Collections.Concurrent;
using System.Net.WebSockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.SignalR.Protocol;
using ShardCloud.ShardRuntime.Sockets.Owner;

namespace ShardCloud.ShardRuntime.Sockets.Hubs;

/// <summary>One leg of a SignalR client at the shard that runs its hub.</summary>
/// <remarks>
/// To the client it is one connection. To SignalR every leg is a new one, so a resumed leg begins with the handshake as it was (from the endpoint's document), whose answer
/// the client does not get; the hub's <c>OnConnectedAsync</c> and <c>OnDisconnectedAsync</c> run where the client really comes and goes (<see cref="HubGate"/>), and its groups are
/// joined again (<see cref="ShardHubLifetime{THub}"/>). At a move: (7) nothing more is handed to the hub, what runs is answered, (8) the answers leave, then Moved.
/// </remarks>
internal sealed class HubRun(LegWebSocket socket, HubLink connection, HubRecords records, HubRecord? resumed)
{
    /// <summary>End of a handshake message, and of each message of the JSON protocol.</summary>
    public const byte RecordSeparator = 0x1e;

    private static readonly AsyncLocal<HubRun?> Running = new();

    private readonly ConcurrentDictionary<string, bool> _streams = new(StringComparer.Ordinal);

    /// <summary>The run that this code belongs to: a hub's method, or what SignalR does for a connection. Null elsewhere.</summary>
    public static HubRun? Current => Running.Value;

    /// <summary>Which messages are done.</summary>
    public HubProgress Progress { get; } = new(socket.Leg.Done);

    /// <summary>Whose hub it is.</summary>
    public EndpointId Endpoint => records.Endpoint;

    /// <summary>The client was here before, at this shard or another.</summary>
    public bool IsResumed => resumed is not null;

    /// <summary>The leg ends and the connection does not.</summary>
    public bool IsMoving => socket.Leg.IsMoving;

    /// <summary>The client itself ends it, or the hub does: not a move, and not a leg that broke.</summary>
    public bool IsLeaving => !IsMoving && !socket.Leg.Over.IsCancellationRequested;

    /// <summary>Groups the connection was in when it came.</summary>
    public IReadOnlyList<string> Groups => resumed?.Groups ?? [];

    /// <summary>What the endpoint keeps of it.</summary>
    public HubRecords Records => records;

    /// <summary>The protocol of the connection, once it shook hands.</summary>
    public IHubProtocol? Protocol { get; set; }

    /// <summary>An invocation with a stream began. It cannot go on elsewhere, so it is put on record: the next shard ends it with an error.</summary>
    public void StreamBegan(string id)
    {
        Progress.Invoked(id);
        _streams[id] = true;
        _ = RecordAsync();

        async Task RecordAsync()
        {
            if (await records.TryChangeStreamsAsync(streams => streams.Add(id))) Progress.Answered(id);
        }
    }

    /// <summary>The answer of an invocation, or the end of its stream, is on its way out.</summary>
    public void Answered(string id)
    {
        if (_streams.TryRemove(id, out _)) _ = records.TryChangeStreamsAsync(streams => streams.Remove(id));
        else Progress.Answered(id);
    }

    /// <summary>Runs the hub until the leg has ended.</summary>
    public async Task RunAsync(ConnectionHandler hub, CancellationToken lost)
    {
        Running.Value = this;
        using var gone = lost.UnsafeRegister(static state => ((HubLink)state!).Abort(), connection);
        var sending = SendAsync(lost);
        var feeding = FeedAsync(lost);
        try
        {
            await hub.OnConnectedAsync(connection);
        }
        finally
        {
            // What the hub wrote last is still on its way.
            await connection.Transport.Output.CompleteAsync();
            await connection.Transport.Input.CompleteAsync();
            await sending;
            if (IsLeaving)
            {
                await records.RemoveAsync();
                if (socket.State is WebSocketState.Open or WebSocketState.CloseReceived) await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, lost);
            }
            await feeding;
        }
    }

    private async Task FeedAsync(CancellationToken lost)
    {
        try
        {
            if (resumed is not null) await connection.In.WriteAsync(resumed.Handshake, lost);
            var isFirst = resumed is null;
            while (await socket.Leg.NextAsync(lost) is { } message)
            {
                Progress.Begin(message.Number);
                if (isFirst && HandshakeOf(message.Payload) is { Length: > 0 } handshake) await records.AddAsync(handshake, lost);
                isFirst = false;
                // Completes when the hub's loop has taken it and looks for more.
                var written = await connection.In.WriteAsync(message.Payload, lost);
                Progress.End(message.Number);
                if (written.IsCompleted) break; // The hub closed.
            }
            if (IsMoving) await Progress.WhenIdleAsync().WaitAsync(lost); // (7)
        }
        catch (Exception error) when (error is OperationCanceledException or WebSocketException or ShardCloudException)
        {
            // The leg is lost, the client gone, or the endpoint moved while it came; the hub hears that its connection ended.
        }
        await connection.In.CompleteAsync();
    }

    private async Task SendAsync(CancellationToken lost)
    {
        var isFirst = true;
        try
        {
            while (true)
            {
                var read = await connection.Out.ReadAsync(lost);
                if (!read.Buffer.IsEmpty)
                {
                    // The pipe holds one message. The first is the answer to the handshake, which is text always, and which a resumed client has had.
                    var type = isFirst || connection.ActiveFormat is TransferFormat.Text ? WebSocketMessageType.Text : WebSocketMessageType.Binary;
                    if (!isFirst || !IsResumed) await socket.SendAsync(read.Buffer.IsSingleSegment ? read.Buffer.First : read.Buffer.ToArray(), type, true, lost);
                    else await EndStreamsAsync(lost);
                    isFirst = false;
                }
                connection.Out.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) break;
            }
        }
        catch (Exception error) when (error is OperationCanceledException or WebSocketException or ShardCloudException)
        {
            connection.Abort();
        }
        await connection.Out.CompleteAsync();
    }

    /// <summary>Streams that ran where the connection was before.</summary>
    private async Task EndStreamsAsync(CancellationToken lost)
    {
        if (resumed!.Streams.Count == 0 || Protocol is not { } protocol) return;
        foreach (var id in resumed.Streams)
        {
            var end = protocol.GetMessageBytes(CompletionMessage.WithError(id, "The stream's endpoint has moved to another shard: start it again."));
            await socket.SendAsync(end, protocol.TransferFormat is TransferFormat.Text ? WebSocketMessageType.Text : WebSocketMessageType.Binary, true, lost);
        }
        await records.TryChangeStreamsAsync(streams =>
        {
            foreach (var id in resumed.Streams) streams.Remove(id);
        });
    }

    private static byte[] HandshakeOf(byte[] first) => first.AsSpan().IndexOf(RecordSeparator) is >= 0 and var end ? first[..(end + 1)] : [];
}
