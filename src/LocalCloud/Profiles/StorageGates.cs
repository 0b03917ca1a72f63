using ShardCloud.LocalCloud.Azurite;

namespace ShardCloud.LocalCloud.Profiles;

/// <summary>The gates of a whole storage account, and the connection string that leads through them.</summary>
public sealed class StorageGates : IAsyncDisposable
{
    private readonly StorageGate[] _gates;

    private StorageGates(StorageGate tables, StorageGate blobs, StorageGate queues)
    {
        _gates = [tables, blobs, queues];
        ConnectionString = $"DefaultEndpointsProtocol=http;AccountName={AzuriteProcess.AccountName};AccountKey={AzuriteProcess.AccountKey};" +
            $"BlobEndpoint={blobs.Endpoint};QueueEndpoint={queues.Endpoint};TableEndpoint={tables.Endpoint};";
    }

    /// <summary>For clients that are to meet the profile.</summary>
    public string ConnectionString { get; }

    /// <summary>Opens them. Queues are as slow as Tables.</summary>
    public static async Task<StorageGates> StartAsync(AzuriteProcess azurite, CloudProfile profile, CancellationToken cancellationToken) => new(
        await StorageGate.StartAsync(azurite.TableEndpoint, profile, profile.Tables, salt: 1, cancellationToken),
        await StorageGate.StartAsync(azurite.BlobEndpoint, profile, profile.Blobs, salt: 2, cancellationToken),
        await StorageGate.StartAsync(azurite.QueueEndpoint, profile, profile.Tables, salt: 3, cancellationToken));

    /// <summary>Closes them.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var gate in _gates) await gate.DisposeAsync();
    }
}
