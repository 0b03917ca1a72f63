namespace ShardCloud.ShardRuntime;

/// <summary>What an application does with the connections of an endpoint: <c>room.MapShardSocket("/ws", new ShardSocket { … })</c>.</summary>
/// <remarks>
/// Each handler runs as one change of the endpoint's state, one at a time for each endpoint: the message's number, what the handler changed and what it sent
/// are one delta, so over crashes and moves its effects count exactly once. A handler may be run again when its owner went before that counted; what it
/// does elsewhere happens again then. A handler that throws changes nothing, and its connection is closed with 1011.
/// </remarks>
public sealed class ShardSocket
{
    /// <summary>A client has connected. Throwing refuses it.</summary>
    public Func<ShardConnection, ValueTask>? Opened { get; init; }

    /// <summary>A message has come in: one call for each, in order.</summary>
    public Func<ShardConnection, SocketMessage, ValueTask>? Message { get; init; }

    /// <summary>The connection has ended, with a close code (RFC 6455, 7.4) and reason; 1006: the client vanished. What it sends to this connection goes to no one.</summary>
    public Func<ShardConnection, int, string, ValueTask>? Closed { get; init; }

    /// <summary>Chooses one of the subprotocols that the client offers (<c>context.WebSockets.WebSocketRequestedProtocols</c>); null: none.</summary>
    public Func<HttpContext, string?>? Subprotocol { get; init; }
}
