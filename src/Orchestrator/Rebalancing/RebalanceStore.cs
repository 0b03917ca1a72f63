using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Management;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Placement.Rebalancing;

namespace ShardCloud.Orchestrator.Rebalancing;

/// <summary>Records of rebalancing, which of them runs (one at a time), the policy, and which endpoints it placed. Thread-safe.</summary>
public sealed class RebalanceStore(DocumentStore documents, RebalancePlans plans)
{
    /// <summary>Records that are kept, with their plans.</summary>
    public const int KeptMax = 100;

    private const string Kind = "rebalances", Running = "rebalance-running", Policy = "placement-policy", Placed = "placed", One = "one";
    private const int TriesMax = 20;

    /// <summary>The policy that was set; the default where none was.</summary>
    public async Task<RebalancePolicy> ReadPolicyAsync(CancellationToken cancellationToken) =>
        (await documents.ReadAsync(Policy, One, RebalanceRecordJson.Default.RebalancePolicy, cancellationToken))?.Value ?? new RebalancePolicy();

    /// <summary>Sets the policy.</summary>
    public Task WritePolicyAsync(RebalancePolicy policy, CancellationToken cancellationToken) => documents.PutAsync(Policy, One, policy, RebalanceRecordJson.Default.RebalancePolicy, cancellationToken);

    /// <summary>Writes the record of a run that begins, and takes the place of the one that runs.</summary>
    /// <exception cref="InTheWayException">SC5085: another runs.</exception>
    public async Task BeginAsync(RebalanceRecord record, CancellationToken cancellationToken)
    {
        for (var attempt = 0; attempt < TriesMax; attempt++)
        {
            var id = record.Public.Id;
            await documents.TryAddAsync(Kind, id, record, RebalanceRecordJson.Default.RebalanceRecord, cancellationToken);
            if (await documents.TryAddAsync(Running, One, new RebalanceLock(id), RebalanceRecordJson.Default.RebalanceLock, cancellationToken)) return;
            var other = await documents.ReadAsync(Running, One, RebalanceRecordJson.Default.RebalanceLock, cancellationToken);
            if (other?.Value.Id == id) return;
            if (other is not null && await ReadAsync(other.Value.Id, cancellationToken) is { IsFinished: false })
            {
                await documents.DeleteAsync(Kind, id, cancellationToken);
                throw new InTheWayException(ErrorCodes.RebalanceRunning, $"'{other.Value.Id}' runs.", "Wait for it, or stop it: 'shardcloud rebalance cancel ID'.", other.Value.Id);
            }
            await documents.DeleteAsync(Running, One, cancellationToken); // It has ended, and its last writer died before it could say so.
        }
        throw new ShardCloudException(ErrorCodes.PreconditionFailed, "Others began and ended all the time.", "Try again.");
    }

    /// <summary>True for the run that has the place of the one that runs; a free place is taken.</summary>
    public async Task<bool> HoldsAsync(string id, CancellationToken cancellationToken) =>
        await documents.TryAddAsync(Running, One, new RebalanceLock(id), RebalanceRecordJson.Default.RebalanceLock, cancellationToken)
        || (await documents.ReadAsync(Running, One, RebalanceRecordJson.Default.RebalanceLock, cancellationToken))?.Value.Id == id;

    /// <summary>Writes the record of a run that never began, for the reason in it.</summary>
    public Task NoteAsync(RebalanceRecord record, CancellationToken cancellationToken) => documents.PutAsync(Kind, record.Public.Id, record, RebalanceRecordJson.Default.RebalanceRecord, cancellationToken);

    /// <summary>The run that has not ended; null: none.</summary>
    public async Task<RebalanceRecord?> ReadRunningAsync(CancellationToken cancellationToken) =>
        await documents.ReadAsync(Running, One, RebalanceRecordJson.Default.RebalanceLock, cancellationToken) is { } other && await ReadAsync(other.Value.Id, cancellationToken) is { IsFinished: false } record ? record : null;

    /// <summary>One record; null when there is none.</summary>
    public async Task<RebalanceRecord?> ReadAsync(string id, CancellationToken cancellationToken) =>
        RecordIds.IsWellFormed(id) ? (await documents.ReadAsync(Kind, id, RebalanceRecordJson.Default.RebalanceRecord, cancellationToken))?.Value : null;

    /// <summary>Those that are kept, newest first.</summary>
    public async Task<IReadOnlyList<RebalanceRecord>> ListAsync(int most, CancellationToken cancellationToken) =>
        [.. (await documents.ListAsync(Kind, most, RebalanceRecordJson.Default.RebalanceRecord, cancellationToken)).Select(stored => stored.Value)];

    /// <summary>Whether the placement rests, by the newest run that was to move something and was planned; null: it does not.</summary>
    public async Task<PlacementRest?> ReadRestAsync(CancellationToken cancellationToken) =>
        (await ListAsync(KeptMax, cancellationToken)).FirstOrDefault(record => record is { IsFinished: true, Public: { Apply: true, Plan: not null } })?.Rest;

    /// <summary>Changes a record that has not ended; null leaves it as it is. One that ends makes room for the next.</summary>
    /// <exception cref="ShardCloudException">SC5011: no such run.</exception>
    public async Task<RebalanceRecord> UpdateAsync(string id, Func<RebalanceRecord, RebalanceRecord?> change, CancellationToken cancellationToken)
    {
        for (var attempt = 0; attempt < TriesMax; attempt++)
        {
            var stored = await documents.ReadAsync(Kind, id, RebalanceRecordJson.Default.RebalanceRecord, cancellationToken) ?? throw NotFound(id);
            if (stored.Value.IsFinished || change(stored.Value) is not { } after) return stored.Value;
            if (!await documents.TryReplaceAsync(Kind, stored, after, RebalanceRecordJson.Default.RebalanceRecord, cancellationToken)) continue;
            if (after.IsFinished) await FreeAsync(id, cancellationToken);
            return after;
        }
        throw new ShardCloudException(ErrorCodes.PreconditionFailed, $"The record of '{id}' was changed by others all the time.", "Try again.");
    }

    /// <summary>Makes room for the next run, and forgets what is too old.</summary>
    public async Task FreeAsync(string id, CancellationToken cancellationToken)
    {
        if ((await documents.ReadAsync(Running, One, RebalanceRecordJson.Default.RebalanceLock, cancellationToken))?.Value.Id == id) await documents.DeleteAsync(Running, One, cancellationToken);
        foreach (var old in (await ListAsync(2 * KeptMax, cancellationToken)).Skip(KeptMax))
        {
            await plans.DeleteAsync(old.Public.Id, cancellationToken);
            await documents.DeleteAsync(Kind, old.Public.Id, cancellationToken);
        }
    }

    /// <summary>Endpoints that rebalancing placed, and that have not returned to their slots.</summary>
    public async Task<IReadOnlyList<EndpointId>> ReadPlacedAsync(CancellationToken cancellationToken) =>
        [.. (await documents.ListAsync(Placed, int.MaxValue, RebalanceRecordJson.Default.PlacedByRebalance, cancellationToken)).Select(stored => new EndpointId(stored.Value.Endpoint))];

    /// <summary>Notes endpoints before they are placed.</summary>
    public Task AddPlacedAsync(string rebalance, DateTimeOffset at, IEnumerable<EndpointId> endpoints, CancellationToken cancellationToken) => documents.PutManyAsync(
        Placed, endpoints.Select(endpoint => (KeyOf(endpoint), new PlacedByRebalance(endpoint.Value, rebalance, at))), RebalanceRecordJson.Default.PlacedByRebalance, cancellationToken);

    /// <summary>Forgets endpoints that are not placed any more.</summary>
    public async Task RemovePlacedAsync(IEnumerable<EndpointId> endpoints, CancellationToken cancellationToken)
    {
        foreach (var endpoint in endpoints) await documents.DeleteAsync(Placed, KeyOf(endpoint), cancellationToken);
    }

    /// <summary>That there is no such run.</summary>
    public static ShardCloudException NotFound(string id) => new(ErrorCodes.NotFound, $"There is no rebalance '{id}', or it is not kept any more.", "List them: 'shardcloud rebalance list'.");

    private static string KeyOf(EndpointId endpoint) => endpoint.KeyHash.ToString("x16", System.Globalization.CultureInfo.InvariantCulture);
}
