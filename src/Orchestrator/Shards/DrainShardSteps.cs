using Microsoft.Extensions.Options;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>(2) Takes the shard's name for this operation, unless the slow one is gone or another operation changes the shard.</summary>
public sealed class BeginDrain(MapReader maps, OperationStore operations) : TaskActivity<DrainShardInput, DrainBegin>
{
    /// <inheritdoc/>
    public override async Task<DrainBegin> RunAsync(TaskActivityContext context, DrainShardInput input)
    {
        var incarnation = new IncarnationId(input.Incarnation);
        if (!IsOnlyStart(await maps.ReadAsync(context.CancellationToken), incarnation)) return new DrainBegin(false);
        var running = await operations.ReadRunningAsync(context.CancellationToken);
        var other = running.FirstOrDefault(known => known.Id != input.Operation && (known.Kind == "bootstrap" || known.Shards.Contains(incarnation.Shard.Value)));
        if (other is null && await operations.TryReserveNameAsync(incarnation.Shard.Value, input.Operation, context.CancellationToken)) return new DrainBegin(true);
        return new DrainBegin(false, new WireError(ErrorCodes.ShardBusy, $"Shard '{incarnation.Shard}' is being changed by {(other is null ? "another operation" : $"'{other.Id}'")}.", "Nothing: it is tried again by itself."));
    }

    /// <summary>True when it is live, and no other start of its shard is.</summary>
    public static bool IsOnlyStart(RoutingMap map, IncarnationId incarnation) => map.Live.Keys.Where(known => known.Shard == incarnation.Shard).ToList() is [var only] && only == incarnation;
}

/// <summary>(4) One look at a shard that was drained.</summary>
public sealed class LookAtDrained(MapReader maps, ShardLooks looks, OperationStore operations, IOptions<OrchestratorSettings> settings) : TaskActivity<DrainShardInput, Sighting>
{
    /// <inheritdoc/>
    public override async Task<Sighting> RunAsync(TaskActivityContext context, DrainShardInput input)
    {
        var incarnation = new IncarnationId(input.Incarnation);
        await operations.SetStepAsync(input.Operation, $"{incarnation.Shard} owns nothing any more; waiting until it is quick again", context.CancellationToken);
        var map = await maps.ReadAsync(context.CancellationToken);
        if (!BeginDrain.IsOnlyStart(map, incarnation)) return Sighting.Gone;
        return SlowShards.Judge(await looks.LookAsync(map, context.CancellationToken), incarnation, settings.Value.SlowShards);
    }
}

/// <summary>(5) Ends who has stayed slow: its row becomes Fenced, then the map takes it off the live list with its cordon. The replacement of a fenced shard does the rest.</summary>
/// <remarks>
/// Asking it to leave would be final as well, and would say that it is gone on purpose. Nothing waits for its lease: it owns nothing, judged on the version that is committed to. What it might be
/// given between row and commit, its backups take over like anything of a fenced one.
/// </remarks>
public sealed class EndDrained(MapStore store, MapReader maps, MemberDirectory directory, OperationStore operations, ILogger<EndDrained> logger) : TaskActivity<DrainShardInput, WireError?>
{
    /// <summary>A renewal may come between reading and fencing; not every time.</summary>
    private const int TriesMax = 5;

    /// <inheritdoc/>
    public override async Task<WireError?> RunAsync(TaskActivityContext context, DrainShardInput input)
    {
        var cancellationToken = context.CancellationToken;
        var (incarnation, why) = (new IncarnationId(input.Incarnation), $"it was drained and stayed slow for {input.GiveUpLooks} looks");
        await operations.SetStepAsync(input.Operation, $"ending {incarnation}: {why}", cancellationToken);
        if (Owns(await maps.ReadAsync(cancellationToken), incarnation)) return OwnsAgain(incarnation);
        if (!await TryFenceAsync(incarnation, cancellationToken))
            return new WireError(ErrorCodes.DrainFailed, $"The row of '{incarnation}' could not be fenced.", "Look at the storage account of the member table; it is tried again by itself.");
        var commit = await store.CommitAsync(
            map => map.Live.ContainsKey(incarnation) && !Owns(map, incarnation) ? new MapCommit(input.Operation, why, [new Fence(incarnation), new Cordon(incarnation.Shard, false)]) : null, cancellationToken);
        if (commit.IsCommitted) Log.Fenced(logger, incarnation.Value, why);
        return commit.Refusal?.ToWire();
    }

    private async Task<bool> TryFenceAsync(IncarnationId incarnation, CancellationToken cancellationToken)
    {
        for (var attempt = 0; attempt < TriesMax; attempt++)
            if (await directory.ReadAsync(incarnation, cancellationToken) is not { } row || await directory.TryFenceAsync(row, cancellationToken)) return true;
        return false;
    }

    private static bool Owns(RoutingMap map, IncarnationId incarnation) =>
        map.SlotRuns.Any(run => run.Entry.Owner == incarnation || run.Entry.To == incarnation) || map.Placed.Any(placed => placed.Entry.Owner == incarnation || placed.Entry.To == incarnation);

    private static WireError OwnsAgain(IncarnationId incarnation) => new(
        ErrorCodes.DrainFailed, $"'{incarnation}' was given something while it was cordoned: it took over from another, perhaps.", "Nothing: it is drained again by itself.");
}
