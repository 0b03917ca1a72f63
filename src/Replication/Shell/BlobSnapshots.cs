using System.Globalization;
using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;

namespace ShardCloud.Replication;

/// <summary>Snapshots of partitions in Blobs: container <c>snapshots</c>, <c>{application}/{logIdentity}/p{partition:D4}</c>. Replaced only by If-Match and a higher offset.</summary>
public sealed class BlobSnapshots(BlobServiceClient service, string application)
{
    private const string PositionKey = "position";
    private readonly BlobContainerClient _container = service.GetBlobContainerClient("snapshots");

    /// <summary>Makes the container when it is not there.</summary>
    public Task EnsureCreatedAsync(CancellationToken cancellationToken) => _container.CreateIfNotExistsAsync(cancellationToken: cancellationToken);

    /// <summary>The newest snapshot of a partition, or null when there is none.</summary>
    public async Task<Stream?> TryOpenAsync(string logIdentity, int partition, CancellationToken cancellationToken)
    {
        try
        {
            return await BlobOf(logIdentity, partition).OpenReadAsync(cancellationToken: cancellationToken);
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            return null;
        }
    }

    /// <summary>Writes a snapshot unless a newer one is there.</summary>
    /// <returns>True when it was written.</returns>
    public async Task<bool> TryWriteAsync(string logIdentity, int partition, long position, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        var blob = BlobOf(logIdentity, partition);
        var conditions = new BlobRequestConditions { IfNoneMatch = ETag.All };
        try
        {
            var present = await blob.GetPropertiesAsync(cancellationToken: cancellationToken);
            if (long.TryParse(present.Value.Metadata.TryGetValue(PositionKey, out var text) ? text : null, CultureInfo.InvariantCulture, out var held) && held >= position) return false;
            conditions = new BlobRequestConditions { IfMatch = present.Value.ETag };
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            // The first one.
        }

        try
        {
            var options = new BlobUploadOptions
            {
                Conditions = conditions,
                Metadata = new Dictionary<string, string> { [PositionKey] = position.ToString(CultureInfo.InvariantCulture) },
            };
            await blob.UploadAsync(BinaryData.FromBytes(bytes), options, cancellationToken);
            return true;
        }
        catch (RequestFailedException error) when (error.Status is 409 or 412)
        {
            return false; // Somebody else was faster; the next round compares offsets again.
        }
    }

    private BlobClient BlobOf(string logIdentity, int partition) =>
        _container.GetBlobClient(string.Create(CultureInfo.InvariantCulture, $"{application}/{logIdentity}/p{partition:D4}"));
}
