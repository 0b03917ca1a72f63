using Confluent.Kafka;

namespace ShardCloud.Replication;

/// <summary>How the hubs are reached: the Kafka endpoint of an Event Hubs namespace.</summary>
public sealed record LogConnection
{
    /// <summary><c>host:port</c>; in Azure <c>namespace.servicebus.windows.net:9093</c>.</summary>
    public required string BootstrapServers { get; init; }

    /// <summary>Hub of deltas.</summary>
    public string Hub { get; init; } = "deltas";

    /// <summary>Hub of control records; one partition.</summary>
    public string ControlHub { get; init; } = "control";

    /// <summary>Called to refresh the OAUTHBEARER token of each client; null where the endpoint asks for none.</summary>
    public Action<IClient, string>? RefreshToken { get; init; }

    /// <summary>Largest record published, in bytes. Event Hubs (Standard) closes the connection over 1,046,528 a request.</summary>
    public const int RecordBytesMax = 1_000_000;

    internal ClientConfig Common() => new()
    {
        BootstrapServers = BootstrapServers,
        SecurityProtocol = RefreshToken is null ? SecurityProtocol.Plaintext : SecurityProtocol.SaslSsl,
        SaslMechanism = RefreshToken is null ? null : SaslMechanism.OAuthBearer,
        SocketKeepaliveEnable = true,
        SocketNagleDisable = true,
        MetadataMaxAgeMs = 180_000,       // Azure drops TCP connections that are idle for 4 minutes.
        ConnectionsMaxIdleMs = 180_000,
        ReconnectBackoffMs = 20,
        ReconnectBackoffMaxMs = 1_000,
        MessageMaxBytes = RecordBytesMax,
        AllowAutoCreateTopics = false,
        LogConnectionClose = false,
    };
}
