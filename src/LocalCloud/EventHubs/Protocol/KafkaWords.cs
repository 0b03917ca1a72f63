namespace ShardCloud.LocalCloud.EventHubs.Protocol;

/// <summary>Requests that are understood. Numbers, like all of this folder, from https://kafka.apache.org/protocol.</summary>
internal enum ApiKey : short
{
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    FindCoordinator = 10,
    SaslHandshake = 17,
    ApiVersions = 18,
    InitProducerId = 22,
    SaslAuthenticate = 36,
}

/// <summary>Error numbers that are answered.</summary>
internal enum KafkaError : short
{
    None = 0,
    OffsetOutOfRange = 1,
    CorruptMessage = 2,
    UnknownTopicOrPartition = 3,
    MessageTooLarge = 10,
    InvalidRequiredAcks = 21,
    UnsupportedSaslMechanism = 33,
    UnsupportedVersion = 35,
    InvalidRequest = 42,
    PolicyViolation = 44,
    OutOfOrderSequenceNumber = 45,
    InvalidProducerEpoch = 47,
    StorageError = 56,
    SaslAuthenticationFailed = 58,
    UnsupportedCompressionType = 76,
    InvalidRecord = 87,
}

/// <summary>The versions spoken: the oldest that carry record batches, and none with "flexible" (tagged, varint) fields.</summary>
internal static class ApiVersionTable
{
    private static readonly (ApiKey Key, short Min, short Max)[] Open =
    [
        (ApiKey.Produce, 3, 7),
        (ApiKey.Fetch, 4, 4),
        (ApiKey.ListOffsets, 1, 1),
        (ApiKey.Metadata, 0, 4),
        (ApiKey.FindCoordinator, 0, 1),
        (ApiKey.ApiVersions, 0, 0),
        (ApiKey.InitProducerId, 0, 1),
    ];

    private static readonly (ApiKey Key, short Min, short Max)[] Locked = [.. Open, (ApiKey.SaslHandshake, 0, 1), (ApiKey.SaslAuthenticate, 0, 1)];

    /// <summary>What is offered: authentication only where it is asked for, so that a client set up for it learns that there is none.</summary>
    public static (ApiKey Key, short Min, short Max)[] Offered(bool authentication) => authentication ? Locked : Open;

    public static bool Knows(ApiKey key, short version, bool authentication) => Array.Exists(Offered(authentication), row => row.Key == key && version >= row.Min && version <= row.Max);
}

/// <summary>The bytes are not a request of this protocol: the connection they came on is closed, nothing else happens.</summary>
internal sealed class MalformedRequestException(string what) : Exception(what);
