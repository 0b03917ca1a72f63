using Azure.Core;
using Confluent.Kafka;

namespace ShardCloud.Replication;

/// <summary>Makes Kafka clients for the log: a few producers a member, one consumer a partition.</summary>
/// <remarks>Event Hubs shows extra delay to a consumer of several partitions while some are idle, so each partition has its own connection.</remarks>
internal sealed class KafkaClients(ReplicationOptions options)
{
    public IProducer<Null, byte[]> Producer(Action<Error> onError, Action<string> onStatistics)
    {
        var config = Common(new ProducerConfig
        {
            Acks = Acks.All,
            EnableIdempotence = true, // Keeps the order of records across retries.
            LingerMs = 0,             // Our own coalescing decides; see RecordQueue.
            MessageTimeoutMs = 0,     // G11: no local time-out, the lease is the limit. A record that timed out may still land.
            BatchSize = 900_000,      // Event Hubs counts a publication as one batch, of 1 MB at most.
            CompressionType = CompressionType.None,
            StatisticsIntervalMs = (int)LogHealth.StatisticsEvery.TotalMilliseconds, // The only place where throttling shows.
        });
        var builder = new ProducerBuilder<Null, byte[]>(config).SetErrorHandler((_, error) => onError(error)).SetStatisticsHandler((_, json) => onStatistics(json)).SetLogHandler((_, _) => { });
        if (options.Security == LogSecurity.Entra) builder.SetOAuthBearerTokenRefreshHandler(Refresh);
        return builder.Build();
    }

    public IConsumer<Ignore, byte[]> Consumer(AutoOffsetReset reset, Action<string> onError)
    {
        var config = Common(new ConsumerConfig
        {
            GroupId = $"shardcloud-{options.Application}", // Required by the client, never used: own offsets, no commits.
            EnableAutoCommit = false,
            EnableAutoOffsetStore = false,
            AutoOffsetReset = reset,
            FetchWaitMaxMs = 100,
            FetchMinBytes = 1,
            FetchErrorBackoffMs = 50,
            QueuedMaxMessagesKbytes = 4096,
            FetchMaxBytes = 4 * 1024 * 1024,
            MaxPartitionFetchBytes = 2 * 1024 * 1024,
            EnablePartitionEof = false,
        });
        var builder = new ConsumerBuilder<Ignore, byte[]>(config).SetErrorHandler((_, error) => onError(error.Reason)).SetLogHandler((_, _) => { });
        if (options.Security == LogSecurity.Entra) builder.SetOAuthBearerTokenRefreshHandler(Refresh);
        return builder.Build();
    }

    private TConfig Common<TConfig>(TConfig config) where TConfig : ClientConfig
    {
        config.BootstrapServers = options.BootstrapServers;
        config.SocketNagleDisable = true;
        config.SocketKeepaliveEnable = true;
        config.MessageMaxBytes = 1_000_000;
        config.MetadataMaxAgeMs = 180_000;    // Azure drops idle TCP connections at 4 minutes.
        config.ConnectionsMaxIdleMs = 180_000;
        config.ReconnectBackoffMs = 50;
        config.ReconnectBackoffMaxMs = 1_000;
        config.AllowAutoCreateTopics = false;
        switch (options.Security)
        {
            case LogSecurity.Entra:
                config.SecurityProtocol = options.WithoutTls ? SecurityProtocol.SaslPlaintext : SecurityProtocol.SaslSsl;
                config.SaslMechanism = SaslMechanism.OAuthBearer;
                break;
            case LogSecurity.Key:
                config.SecurityProtocol = IsEmulator(options.ConnectionString!) ? SecurityProtocol.SaslPlaintext : SecurityProtocol.SaslSsl;
                config.SaslMechanism = SaslMechanism.Plain;
                config.SaslUsername = "$ConnectionString"; // Event Hubs' own: the password is the whole string.
                config.SaslPassword = options.ConnectionString;
                break;
        }
        return config;
    }

    /// <summary>Whether the string names an emulator, which has no TLS.</summary>
    private static bool IsEmulator(string connectionString) =>
        connectionString.Split(';').Any(pair => pair.Trim().Equals("UseDevelopmentEmulator=true", StringComparison.OrdinalIgnoreCase));

    /// <summary>Called by the client when four fifths of a token's time are over; it shows the new one on the connections that it has. The audience of Event Hubs' Kafka endpoint is its own namespace.</summary>
    private void Refresh(IClient client, string _)
    {
        try
        {
            var host = options.BootstrapServers.Split(',')[0].Split(':')[0];
            var token = options.Credential!.GetToken(new TokenRequestContext([$"https://{host}/.default"]), CancellationToken.None);
            client.OAuthBearerSetToken(token.Token, token.ExpiresOn.ToUnixTimeMilliseconds(), "shardcloud");
        }
        catch (Exception error) // The client asks again; whatever failed here must reach it, not end its thread.
        {
            client.OAuthBearerSetTokenFailure(error.Message);
        }
    }
}
