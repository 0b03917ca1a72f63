using System.Security.Cryptography;
using System.Text;
using ShardCloud.Identity;

namespace ShardCloud.LocalCloud.EventHubs;

/// <summary>The namespace's root key. Clients present it inside a connection string, as SASL PLAIN, the way Event Hubs takes it.</summary>
/// <remarks>Never printed: only <see cref="ConnectionString"/> gives it away. Form: learn.microsoft.com/azure/event-hubs/azure-event-hubs-apache-kafka-overview.</remarks>
public sealed class SharedAccessKey
{
    /// <summary>User name that goes with a connection string as password.</summary>
    internal const string User = "$ConnectionString";

    private const string PolicyName = "RootManageSharedAccessKey";

    private readonly string _key;

    private SharedAccessKey(string key) => _key = key;

    /// <summary>The key of a local cloud: the same for the same local key, so that clients outlive a restart; of no use to sign tokens with.</summary>
    public static SharedAccessKey Of(LocalKey key) => new(Convert.ToBase64String(key.Derive("event-hubs")));

    /// <summary>What a client is configured with. <c>UseDevelopmentEmulator</c> says that the endpoint has no TLS.</summary>
    /// <param name="port">Port on 127.0.0.1 at which clients come in.</param>
    public string ConnectionString(int port) => $"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName={PolicyName};SharedAccessKey={_key};UseDevelopmentEmulator=true";

    /// <summary>The type's name: a key must not get into a log by accident.</summary>
    public override string ToString() => nameof(SharedAccessKey);

    /// <summary>Whether a SASL PLAIN response (identity, user, password, with a zero byte between) holds this key. The endpoint named in it is not looked at.</summary>
    internal bool IsIn(ReadOnlySpan<byte> response)
    {
        var parts = Encoding.UTF8.GetString(response).Split('\0');
        if (parts is not [_, User, var password]) return false;
        string? name = null, key = null;
        foreach (var pair in password.Split(';'))
        {
            var equals = pair.IndexOf('=', StringComparison.Ordinal); // the first: a key ends with some
            if (equals < 0) continue;
            if (pair.AsSpan(0, equals).Equals("SharedAccessKeyName", StringComparison.OrdinalIgnoreCase)) name = pair[(equals + 1)..];
            if (pair.AsSpan(0, equals).Equals("SharedAccessKey", StringComparison.OrdinalIgnoreCase)) key = pair[(equals + 1)..];
        }

        return name == PolicyName && key is not null && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(_key));
    }
}
