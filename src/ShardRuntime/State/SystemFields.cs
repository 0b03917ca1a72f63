namespace ShardCloud.ShardRuntime.State;

/// <summary>Fields of a document that are the runtime's own; the application can neither open nor change them.</summary>
/// <remarks>They are fields like any other to replicas, snapshots and handoffs, so they move and survive with the endpoint and need no protocol of their own.</remarks>
internal static class SystemFields
{
    /// <summary>Names that begin with it are reserved (SC3002).</summary>
    public const string Prefix = "_shard.";

    /// <summary>Open connections: docs/protocol/sockets.md.</summary>
    public const string Connections = Prefix + "connections";

    /// <summary>Messages to connections, until they were delivered: docs/protocol/sockets.md.</summary>
    public const string Sends = Prefix + "sends";

    /// <summary>SignalR connections: how each shook hands, and its groups.</summary>
    public const string Hubs = Prefix + "hubs";

    /// <summary>Calls to other endpoints, until they were answered: docs/calls.md.</summary>
    public const string Outbox = Prefix + "outbox";

    /// <summary>Calls that were given up.</summary>
    public const string OutboxSetAside = Prefix + "outbox.aside";

    /// <summary>The highest number of every other endpoint's outbox that was carried out here.</summary>
    public const string Receipts = Prefix + "receipts";

    /// <summary>Passes an application's name through.</summary>
    /// <exception cref="ShardCloudException">SC3002: it is reserved.</exception>
    public static string NotReserved(string name) => !name.StartsWith(Prefix, StringComparison.Ordinal) ? name
        : throw new ShardCloudException(ErrorCodes.NameTooLong, $"The field name '{name}' is reserved: names that begin with '{Prefix}' are the runtime's.", "Use another name.");
}
