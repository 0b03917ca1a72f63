using System.Globalization;
using System.IO.Compression;
using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Orchestrator.Affinity;

/// <summary>The last affinity maps, in the blob container <c>affinity</c>: <c>{application}/{version}.json.gz</c>, each written once. Thread-safe.</summary>
public sealed class AffinityBlobs(BlobServiceClient blobs, string application)
{
    /// <summary>Name of the container.</summary>
    public const string Container = "affinity";

    /// <summary>Maps that are kept.</summary>
    public const int KeptMax = 5;

    private readonly BlobContainerClient _maps = blobs.GetBlobContainerClient(Container);

    /// <summary>Numbers of the maps that are kept, the newest first.</summary>
    public async Task<IReadOnlyList<long>> ListAsync(CancellationToken cancellationToken)
    {
        List<long> versions = [];
        try
        {
            await foreach (var blob in _maps.GetBlobsAsync(BlobTraits.None, BlobStates.None, $"{application}/", cancellationToken))
            {
                if (long.TryParse(blob.Name.AsSpan(application.Length + 1).TrimEnd(".json.gz"), NumberStyles.None, CultureInfo.InvariantCulture, out var version)) versions.Add(version);
            }
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            return []; // No container: none was ever written.
        }
        versions.Sort();
        versions.Reverse();
        return versions;
    }

    /// <summary>One map; null when it is not kept any more.</summary>
    /// <exception cref="ShardCloudException">SC5070: what is stored is none.</exception>
    public async Task<AffinityMap?> ReadAsync(long version, CancellationToken cancellationToken)
    {
        try
        {
            using var packed = (await _maps.GetBlobClient(NameOf(version)).DownloadContentAsync(cancellationToken)).Value.Content.ToStream();
            using var bytes = new MemoryStream();
            await using var gzip = new GZipStream(packed, CompressionMode.Decompress);
            var buffer = new byte[1 << 16];
            while (bytes.Length <= AffinityFile.BytesMax && await gzip.ReadAsync(buffer, cancellationToken) is > 0 and var read) bytes.Write(buffer, 0, read);
            return AffinityFile.Read(bytes.GetBuffer().AsMemory(0, (int)bytes.Length));
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            return null;
        }
        catch (InvalidDataException error)
        {
            throw new ShardCloudException(ErrorCodes.AffinityUnreadable, $"What is stored as affinity map {version} cannot be unpacked.", "Nothing: the next merge writes another; look at who writes to the container 'affinity'.", error);
        }
    }

    /// <summary>Writes a map under its version, and deletes those that are too many.</summary>
    /// <returns>False: there is one of this version already.</returns>
    public async Task<bool> TryWriteAsync(AffinityMap map, CancellationToken cancellationToken)
    {
        using var packed = new MemoryStream();
        await using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true)) await gzip.WriteAsync(AffinityFile.Write(map), cancellationToken);
        await _maps.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        try
        {
            var conditions = new BlobUploadOptions { Conditions = new BlobRequestConditions { IfNoneMatch = ETag.All } };
            await _maps.GetBlobClient(NameOf(map.Version)).UploadAsync(BinaryData.FromBytes(packed.ToArray()), conditions, cancellationToken);
        }
        catch (RequestFailedException error) when (error.Status is 409 or 412)
        {
            return false;
        }
        foreach (var version in (await ListAsync(cancellationToken)).Skip(KeptMax)) await _maps.DeleteBlobIfExistsAsync(NameOf(version), cancellationToken: cancellationToken);
        return true;
    }

    private string NameOf(long version) => string.Create(CultureInfo.InvariantCulture, $"{application}/{version:d12}.json.gz");
}
