namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>What the owner's side of sockets throws.</summary>
internal static class SocketErrors
{
    public static ShardCloudException MessageTooLarge(int bytes, int bytesMax) => new(ErrorCodes.SocketMessageTooLarge,
        $"A message to a socket has {bytes} bytes; {bytesMax} are allowed.", "Send less at once, or raise ShardCloud:Sockets:MessageBytesMax on every member.");

    public static ShardCloudException Moved(EndpointId endpoint) => new(ErrorCodes.SocketMoved,
        $"Endpoint '{endpoint}' is no longer held here; the change counts for nothing.", "Let the handler end: the message is given again where the endpoint is now.");

    public static ShardCloudException NoEndpoint(string path) => new(ErrorCodes.NoEndpoint,
        $"'{path}' names no endpoint, so its connections have no endpoint state.", "Map the handler under app.MapShardEndpoint(\"/rooms/{room}\").");

    public static ShardCloudException NeedsExclusive(string route) => new(ErrorCodes.SocketsNeedExclusive,
        $"The socket at '{route}' is not under an endpoint of an exclusive template: its connections would have two owners at once, or none.",
        "Map it on what app.MapShardEndpoint(\"/rooms/{room}\") returned, without Mode.Convergent; plain WebSocket handlers work everywhere.");

    public static ShardCloudException NotAConnection(string path) => new(ErrorCodes.NotASocket,
        $"The request for '{path}' is not a WebSocket's.", "Ask HttpContext.WebSockets.IsWebSocketRequest first.");
}
