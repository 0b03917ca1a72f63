using Azure.Core;
using Azure.Data.Tables;
using Azure.Storage.Blobs;

namespace ShardCloud.Routing;

/// <summary>Where map, leases and snapshots are stored: a connection string, or the two addresses with the process's own identity.</summary>
public sealed class StorageOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string SectionName = "ShardCloud:Storage";

    /// <summary>Connection string of a storage account or of Azurite. Empty: use the addresses.</summary>
    public string? ConnectionString { get; set; }

    /// <summary>Table endpoint, e.g. <c>https://account.table.core.windows.net</c>; with the process's own identity.</summary>
    public Uri? TableUri { get; set; }

    /// <summary>Blob endpoint, e.g. <c>https://account.blob.core.windows.net</c>; with the process's own identity.</summary>
    public Uri? BlobUri { get; set; }
}

/// <summary>Clients of one storage account.</summary>
/// <param name="Tables">For reads and for records whose repetition does no harm: the SDK repeats failed requests.</param>
/// <param name="Decisions">For map commits and leases: the SDK never repeats a request, because only a re-read tells whether a lost one took effect.</param>
/// <param name="Blobs">Snapshots.</param>
public sealed record StorageClients(TableServiceClient Tables, TableServiceClient Decisions, BlobServiceClient Blobs)
{
    /// <summary>Longest wait for one answer of a decision; past it the answer counts as lost.</summary>
    public static readonly TimeSpan DecisionTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Clients for these options.</summary>
    /// <param name="options">Which account.</param>
    /// <param name="credential">Asked for the identity for the two addresses; not with a connection string.</param>
    /// <exception cref="ShardCloudException">SC5019: neither a connection string nor both addresses.</exception>
    public static StorageClients Create(StorageOptions options, Func<TokenCredential>? credential = null)
    {
        if (!string.IsNullOrEmpty(options.ConnectionString))
        {
            return new StorageClients(new TableServiceClient(options.ConnectionString), new TableServiceClient(options.ConnectionString, NoRetries()), new BlobServiceClient(options.ConnectionString));
        }
        if (options.TableUri is null || options.BlobUri is null)
        {
            throw new ShardCloudException(ErrorCodes.MissingValue, "The storage account is not configured.",
                "Set ShardCloud:Storage:ConnectionString, or ShardCloud:Storage:TableUri and ShardCloud:Storage:BlobUri.");
        }
        ArgumentNullException.ThrowIfNull(credential);
        var identity = credential();
        return new StorageClients(new TableServiceClient(options.TableUri, identity), new TableServiceClient(options.TableUri, identity, NoRetries()), new BlobServiceClient(options.BlobUri, identity));
    }

    /// <summary>Client options under which a request is sent once.</summary>
    public static TableClientOptions NoRetries()
    {
        var options = new TableClientOptions();
        options.Retry.MaxRetries = 0;
        options.Retry.NetworkTimeout = DecisionTimeout;
        return options;
    }
}
