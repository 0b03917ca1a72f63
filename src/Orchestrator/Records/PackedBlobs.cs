using System.IO.Compression;
using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;

namespace ShardCloud.Orchestrator.Records;

/// <summary>Documents packed with gzip, as blobs of one container that is made by the first of them. Thread-safe.</summary>
public sealed class PackedBlobs(BlobServiceClient blobs, string container)
{
    private readonly BlobContainerClient _container = blobs.GetBlobContainerClient(container);

    /// <summary>Writes a document, over another of its name.</summary>
    public Task WriteAsync(string name, byte[] bytes, CancellationToken cancellationToken) => WriteAsync(name, bytes, new BlobUploadOptions(), cancellationToken);

    /// <summary>Writes a document under a name that is free.</summary>
    /// <returns>False: it is not.</returns>
    public async Task<bool> TryCreateAsync(string name, byte[] bytes, CancellationToken cancellationToken)
    {
        try
        {
            await WriteAsync(name, bytes, new BlobUploadOptions { Conditions = new BlobRequestConditions { IfNoneMatch = ETag.All } }, cancellationToken);
            return true;
        }
        catch (RequestFailedException error) when (error.Status is 409 or 412)
        {
            return false;
        }
    }

    /// <summary>A document; null: there is none of this name.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="bytesMax">Unpacked; one that is longer is read a little past it and no further.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="InvalidDataException">It cannot be unpacked.</exception>
    public async Task<byte[]?> ReadAsync(string name, int bytesMax, CancellationToken cancellationToken)
    {
        try
        {
            using var packed = (await _container.GetBlobClient(name).DownloadContentAsync(cancellationToken)).Value.Content.ToStream();
            await using var gzip = new GZipStream(packed, CompressionMode.Decompress);
            return await ReadAsync(gzip, bytesMax, cancellationToken);
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            return null;
        }
    }

    /// <summary>All of a stream; of one that is longer than <paramref name="bytesMax"/>, that much and a little more.</summary>
    public static async Task<byte[]> ReadAsync(Stream stream, int bytesMax, CancellationToken cancellationToken)
    {
        using var bytes = new MemoryStream();
        var buffer = new byte[1 << 16];
        while (bytes.Length <= bytesMax && await stream.ReadAsync(buffer, cancellationToken) is > 0 and var read) bytes.Write(buffer, 0, read);
        return bytes.ToArray();
    }

    /// <summary>Names that begin so; none where no container was made yet.</summary>
    public async Task<IReadOnlyList<string>> ListAsync(string prefix, CancellationToken cancellationToken)
    {
        List<string> names = [];
        try
        {
            await foreach (var blob in _container.GetBlobsAsync(BlobTraits.None, BlobStates.None, prefix, cancellationToken)) names.Add(blob.Name);
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            return [];
        }
        return names;
    }

    /// <summary>Deletes a document, if it is there.</summary>
    public Task DeleteAsync(string name, CancellationToken cancellationToken) => _container.DeleteBlobIfExistsAsync(name, cancellationToken: cancellationToken);

    private async Task WriteAsync(string name, byte[] bytes, BlobUploadOptions options, CancellationToken cancellationToken)
    {
        using var packed = new MemoryStream();
        await using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true)) await gzip.WriteAsync(bytes, cancellationToken);
        await _container.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        await _container.GetBlobClient(name).UploadAsync(BinaryData.FromBytes(packed.ToArray()), options, cancellationToken);
    }
}
