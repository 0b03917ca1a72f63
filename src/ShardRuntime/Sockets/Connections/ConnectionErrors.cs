namespace ShardCloud.ShardRuntime.Sockets.Connections;

/// <summary>Errors of connections.</summary>
internal static class ConnectionErrors
{
    public static ShardCloudException TooMany(int count) => new(ErrorCodes.TooManyConnections, $"The endpoint has {count} connections, as many as one may have.",
        "Spread the clients over more endpoints, or close connections that are no longer used.");

    public static ShardCloudException TooMuchSent(int bytes) => new(ErrorCodes.TooMuchSent,
        $"The messages of one change have {bytes} bytes with their targets; {ConnectionLimits.SendBytesMax} are allowed.", "Send less in one change.");

    public static ShardCloudException RecordTooLarge(string what) => new(ErrorCodes.ConnectionRecordTooLarge, $"A connection's record is over its bounds: {what}.",
        "Keep large content in the endpoint's own fields, and a name for it in the record.");
}
