using Azure.Storage.Blobs;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Placement;

namespace ShardCloud.Orchestrator.Rebalancing;

/// <summary>Plans of placements with their inputs, in the blob container <c>placements</c>: <c>{application}/{rebalance}/{start of the hash}.json.gz</c>. Thread-safe.</summary>
/// <remarks>A plan is written before the record names it; the record alone makes it count. The name has the hash, so that a step that runs twice beside itself cannot put another plan under the record's name.</remarks>
public sealed class RebalancePlans(BlobServiceClient blobs, string application)
{
    /// <summary>Name of the container.</summary>
    public const string Container = "placements";

    private readonly PackedBlobs _plans = new(blobs, Container);

    /// <summary>Writes a plan; the same one again changes nothing.</summary>
    public Task WriteAsync(string rebalance, string hash, byte[] bytes, CancellationToken cancellationToken) => _plans.WriteAsync(NameOf(rebalance, hash), bytes, cancellationToken);

    /// <summary>A plan that a record names; null when it is not kept any more.</summary>
    /// <exception cref="ShardCloudException">SC5058: what is stored is not what was written.</exception>
    public async Task<byte[]?> ReadAsync(string rebalance, RebalancePlanRef plan, CancellationToken cancellationToken)
    {
        try
        {
            var bytes = await _plans.ReadAsync(NameOf(rebalance, plan.Sha256), PlanFile.BytesMax, cancellationToken);
            return bytes is null || PlanFile.HashOf(bytes) == plan.Sha256 ? bytes : throw Changed(rebalance, plan, null);
        }
        catch (InvalidDataException error)
        {
            throw Changed(rebalance, plan, error);
        }
    }

    /// <summary>Deletes the plans of a run.</summary>
    public async Task DeleteAsync(string rebalance, CancellationToken cancellationToken)
    {
        foreach (var name in await _plans.ListAsync($"{application}/{rebalance}/", cancellationToken)) await _plans.DeleteAsync(name, cancellationToken);
    }

    private string NameOf(string rebalance, string hash) => $"{application}/{rebalance}/{hash[..16]}.json.gz";

    private static ShardCloudException Changed(string rebalance, RebalancePlanRef plan, Exception? error) => new(
        ErrorCodes.PlanUnreadable, $"What is stored as the plan of '{rebalance}' is not what was written: its SHA-256 is not {plan.Sha256}.", "Nothing can be said about this plan any more; look at who writes to the container 'placements'.", error);
}
