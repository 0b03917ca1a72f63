namespace ShardCloud.ShardRuntime.Sockets.Connections;

/// <summary>Errors and close codes of connections.</summary>
internal static class ConnectionErrors
{
    /// <summary>Close code of a connection that is too far behind (RFC 6455, 7.4.1).</summary>
    public const int PolicyViolation = 1008;

    /// <summary>Close code after a handler that threw.</summary>
    public const int InternalError = 1011;

    /// <summary>Close code of a client that vanished.</summary>
    public const int Vanished = 1006;

    public static ShardCloudException TooMany(int count) => new(ErrorCodes.TooManyConnections, $"The endpoint has {count} connections, as many as one may have.",
        "Spread the clients over more endpoints, or close connections that are no longer used.");

    public static ShardCloudException TooMuchSent(int bytes) => new(ErrorCodes.TooMuchSent,
        $"The messages of one change have {bytes} bytes with their targets; {ConnectionLimits.SendBytesMax} are allowed.", "Send less in one change.");

    public static ShardCloudException RecordTooLarge(string what) => new(ErrorCodes.ConnectionRecordTooLarge, $"A connection's record is over its bounds: {what}.",
        "Keep large content in the endpoint's own fields, and a name for it in the record.");
}
