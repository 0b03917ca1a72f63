namespace ShardCloud.ShardRuntime.Sockets.Connections;

/// <summary>Bounds of what a document holds for its connections, well under the 512 KiB that it may have in all.</summary>
internal static class ConnectionLimits
{
    /// <summary>Connections of one endpoint; past it a new one is refused (SC4033).</summary>
    public const int ConnectionsMax = 1_000;

    /// <summary>Messages that wait for delivery; past it the connection that is furthest behind is closed (1008).</summary>
    public const int SendsMax = 1_000;

    /// <summary>Bytes of these messages; past it the same. Those of one change are refused past it (SC4034).</summary>
    public const int SendBytesMax = 128 * 1024;

    /// <summary>Bytes of a connection's record, keys and values (SC4035).</summary>
    public const int RecordBytesMax = 1024;

    /// <summary>Topics of a connection (SC4035).</summary>
    public const int TopicsMax = 32;

    /// <summary>Bytes of a topic's or a record key's name (SC4035).</summary>
    public const int NameBytesMax = 64;
}
