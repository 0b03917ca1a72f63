using System.Globalization;
using Azure.Storage.Blobs;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Placement;

namespace ShardCloud.Orchestrator.Updates;

/// <summary>Plans of updates with their inputs, in the blob container <c>plans</c>: <c>{application}/{update}/{number}-{start of the hash}.json.gz</c>. Thread-safe.</summary>
/// <remarks>
/// A plan is written before the round that it is of is in the update's record, and the record alone makes it count: a migration whose plan is missing is never begun. The name has the hash, so that an
/// activity that runs twice beside itself cannot put another plan under the number that the record has. Kept are the last <see cref="KeptMax"/> plans of each wave and of the way back, of the
/// <see cref="UpdatesKept"/> newest updates; the others go when a wave has more, and when an update plans for the first time.
/// </remarks>
public sealed class PlanStore(BlobServiceClient blobs, string application)
{
    /// <summary>Name of the container.</summary>
    public const string Container = "plans";

    /// <summary>Plans of one wave, or of the way back.</summary>
    public const int KeptMax = 40;

    /// <summary>Updates whose plans are kept.</summary>
    public const int UpdatesKept = 20;

    /// <summary>Blobs deleted at a time; the rest goes the next time.</summary>
    private const int DeletedMax = 1_000;

    private readonly PackedBlobs _plans = new(blobs, Container);

    /// <summary>Writes a plan; the same one again changes nothing.</summary>
    public Task WriteAsync(string update, int number, string hash, byte[] bytes, CancellationToken cancellationToken) => _plans.WriteAsync(NameOf(update, number, hash), bytes, cancellationToken);

    /// <summary>A plan that a record names; null when it is not kept any more.</summary>
    /// <exception cref="ShardCloudException">SC5058: what is stored is not what was written.</exception>
    public async Task<byte[]?> ReadAsync(string update, UpdatePlanRef plan, CancellationToken cancellationToken)
    {
        try
        {
            var bytes = await _plans.ReadAsync(NameOf(update, plan.Number, plan.Sha256), PlanFile.BytesMax, cancellationToken);
            return bytes is null || PlanFile.HashOf(bytes) == plan.Sha256 ? bytes : throw Changed(update, plan, null);
        }
        catch (InvalidDataException error)
        {
            throw Changed(update, plan, error);
        }
    }

    /// <summary>Deletes plans that a record names no more.</summary>
    public async Task DeleteAsync(string update, IEnumerable<UpdatePlanRef> plans, CancellationToken cancellationToken)
    {
        foreach (var plan in plans) await _plans.DeleteAsync(NameOf(update, plan.Number, plan.Sha256), cancellationToken);
    }

    /// <summary>Deletes the plans of all updates but these.</summary>
    public async Task DeleteAllButAsync(IReadOnlySet<string> updates, CancellationToken cancellationToken)
    {
        var deleted = 0;
        foreach (var name in await _plans.ListAsync($"{application}/", cancellationToken))
        {
            if (updates.Contains(name.Split('/')[^2])) continue;
            await _plans.DeleteAsync(name, cancellationToken);
            if (++deleted == DeletedMax) return;
        }
    }

    private string NameOf(string update, int number, string hash) => string.Create(CultureInfo.InvariantCulture, $"{application}/{update}/{number:d5}-{hash[..16]}.json.gz");

    private static ShardCloudException Changed(string update, UpdatePlanRef plan, Exception? error) => new(
        ErrorCodes.PlanUnreadable, $"What is stored as plan {plan.Number} of '{update}' is not what was written: its SHA-256 is not {plan.Sha256}.", "Nothing can be said about this plan any more; look at who writes to the container 'plans'.", error);
}
