using System.IO.Compression;
using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using ShardCloud.Contracts;
using ShardCloud.Placement;

namespace ShardCloud.Orchestrator.Rebalancing;

/// <summary>Plans of placements with their inputs, in the blob container <c>placements</c>: <c>{application}/{rebalance}/{start of the hash}.json.gz</c>. Thread-safe.</summary>
/// <remarks>A plan is written before the record names it; the record alone makes it count. The name has the hash, so that a step that runs twice beside itself cannot put another plan under the record's name.</remarks>
public sealed class RebalancePlans(BlobServiceClient blobs, string application)
{
    /// <summary>Name of the container.</summary>
    public const string Container = "placements";

    private readonly BlobContainerClient _plans = blobs.GetBlobContainerClient(Container);

    /// <summary>Writes a plan; the same one again changes nothing.</summary>
    public async Task WriteAsync(string rebalance, string hash, byte[] bytes, CancellationToken cancellationToken)
    {
        using var packed = new MemoryStream();
        await using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true)) await gzip.WriteAsync(bytes, cancellationToken);
        await _plans.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        await _plans.GetBlobClient(NameOf(rebalance, hash)).UploadAsync(BinaryData.FromBytes(packed.ToArray()), overwrite: true, cancellationToken);
    }

    /// <summary>A plan that a record names; null when it is not kept any more.</summary>
    /// <exception cref="ShardCloudException">SC5058: what is stored is not what was written.</exception>
    public async Task<byte[]?> ReadAsync(string rebalance, RebalancePlanRef plan, CancellationToken cancellationToken)
    {
        try
        {
            using var packed = (await _plans.GetBlobClient(NameOf(rebalance, plan.Sha256)).DownloadContentAsync(cancellationToken)).Value.Content.ToStream();
            using var bytes = new MemoryStream();
            await using (var gzip = new GZipStream(packed, CompressionMode.Decompress)) await gzip.CopyToAsync(bytes, cancellationToken);
            return PlanFile.HashOf(bytes.GetBuffer().AsSpan(0, (int)bytes.Length)) == plan.Sha256 ? bytes.ToArray() : throw Changed(rebalance, plan, null);
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            return null;
        }
        catch (InvalidDataException error)
        {
            throw Changed(rebalance, plan, error);
        }
    }

    /// <summary>Deletes the plans of a run.</summary>
    public async Task DeleteAsync(string rebalance, CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var blob in _plans.GetBlobsAsync(BlobTraits.None, BlobStates.None, $"{application}/{rebalance}/", cancellationToken))
                await _plans.DeleteBlobIfExistsAsync(blob.Name, cancellationToken: cancellationToken);
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            // No container: no plan was ever written.
        }
    }

    private string NameOf(string rebalance, string hash) => $"{application}/{rebalance}/{hash[..16]}.json.gz";

    private static ShardCloudException Changed(string rebalance, RebalancePlanRef plan, Exception? error) => new(
        ErrorCodes.PlanUnreadable, $"What is stored as the plan of '{rebalance}' is not what was written: its SHA-256 is not {plan.Sha256}.", "Nothing can be said about this plan any more; look at who writes to the container 'placements'.", error);
}
