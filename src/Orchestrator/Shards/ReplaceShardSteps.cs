using System.Diagnostics;
using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Updates;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>(1) Asks map, member rows and records whether the incarnation is dead and to be replaced, and takes its shard's name for this operation.</summary>
public sealed class ConfirmDeath(MapReader maps, MemberDirectory directory, OperationStore operations, UpdateStore updates, TimeProvider time, ILogger<ConfirmDeath> logger)
    : TaskActivity<ReplaceShardInput, DeathLook>
{
    /// <summary>Deaths of one shard within <see cref="Replacements.RetryAfter"/>, after which it is not replaced until that time has passed.</summary>
    public const int CrashesMax = 5;

    /// <inheritdoc/>
    public override async Task<DeathLook> RunAsync(TaskActivityContext context, ReplaceShardInput input)
    {
        var cancellationToken = context.CancellationToken;
        await operations.SetStepAsync(input.Operation, $"confirming that {input.Incarnation} is dead", cancellationToken);
        var incarnation = new IncarnationId(input.Incarnation);
        var shard = incarnation.Shard;
        var map = await maps.ReadAsync(cancellationToken);
        var rows = (await directory.ListAsync(cancellationToken)).Where(row => row.Role == MemberRole.Shard && row.Incarnation.Shard == shard).ToList();
        var row = rows.FirstOrDefault(known => known.Incarnation == incarnation);
        if (row is null || map.Live.ContainsKey(incarnation) || row.State != MemberState.Fenced || rows.Any(later => later.State == MemberState.Leaving && IsAfter(later.Incarnation, incarnation)))
            return new DeathLook(DeathVerdict.Over, shard.Value); // It lives; or it, or a later start of its shard, has left in order.
        if (await updates.ReadRunningAsync(cancellationToken) is { } update && update.IsLeaving(row.ApplicationVersion)) return new DeathLook(DeathVerdict.Over, shard.Value);

        var running = await operations.ReadRunningAsync(cancellationToken);
        var other = running.FirstOrDefault(known => known.Kind == "bootstrap" || (known.Kind == "removeShard" && known.Shards.Contains(shard.Value)));
        if (other is not null || !await operations.TryReserveNameAsync(shard.Value, input.Operation, cancellationToken))
            return new DeathLook(DeathVerdict.Busy, shard.Value, Error: new WireError(
                ErrorCodes.ShardBusy, $"Shard '{shard}' is being changed by {(other is null ? "another operation" : $"'{other.Id}'")}.", "Nothing: it is tried again by itself."));

        var crashes = await operations.CountAsync(Replacements.Kind, shard.Value, time.GetUtcNow() - Replacements.RetryAfter, cancellationToken);
        if (crashes > CrashesMax)
        {
            Log.CrashLoop(logger, shard.Value, crashes, Replacements.RetryAfter.TotalMinutes);
            return new DeathLook(DeathVerdict.Over, shard.Value, Error: new WireError(ErrorCodes.CrashLoop,
                $"Shard '{shard}' died {crashes} times in {Replacements.RetryAfter.TotalMinutes:0} minutes; its backups go on serving.", $"See why in its log; it is tried again {Replacements.RetryAfter.TotalMinutes:0} minutes from now."));
        }
        return new DeathLook(DeathVerdict.Dead, shard.Value, row.ApplicationVersion, row.HostHandle.Length > 0 ? row.HostHandle : null, crashes <= 1 ? 0 : 1 << crashes); // 4, 8, 16, 32 s.
    }

    private static bool IsAfter(IncarnationId later, IncarnationId earlier) => string.CompareOrdinal(later.Value, earlier.Value) > 0; // Suffixes are ordered by time.
}

/// <summary>(2) True once a start of the shard is live and ready; false when none is there and none is on its way.</summary>
public sealed class AwaitNewcomer(MapReader maps, MemberDirectory directory, OperationStore operations) : TaskActivity<ReplaceShardInput, bool>
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(200);

    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, ReplaceShardInput input)
    {
        var cancellationToken = context.CancellationToken;
        await operations.SetStepAsync(input.Operation, $"waiting for a start of {new IncarnationId(input.Incarnation).Shard}", cancellationToken);
        var shard = new IncarnationId(input.Incarnation).Shard;
        for (var started = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(started) < BatchWork.ActivityBudget; await Task.Delay(Poll, cancellationToken))
        {
            if (Destinations.Of(await maps.ReadAsync(cancellationToken), shard) is not null) return true;
            var rows = await directory.ListAsync(cancellationToken);
            if (!rows.Any(row => row.Role == MemberRole.Shard && row.Incarnation.Shard == shard && !row.IsFinal)) return false;
        }
        return false;
    }
}

/// <summary>(4) Plans what goes back: what the take-over gave to others and they still have. Nothing when all is back.</summary>
public sealed class PlanRefill(MapStore store, MapReader maps, MigrationPlanner planner, MigrationStore migrations, OperationStore operations) : TaskActivity<RefillRound, RemovalPlan>
{
    /// <summary>How many changes of the map are looked through for the take-over.</summary>
    public const int ChangesMax = 2_048;

    /// <inheritdoc/>
    public override async Task<RemovalPlan> RunAsync(TaskActivityContext context, RefillRound input)
    {
        var cancellationToken = context.CancellationToken;
        var dead = new IncarnationId(input.Incarnation);
        await operations.SetStepAsync(input.Operation, $"giving back to {dead.Shard}", cancellationToken);

        // The id comes from incarnation and round: this activity may run twice, and the migration is one all the same.
        var id = string.Create(CultureInfo.InvariantCulture, $"migrate-{input.Operation["replace-".Length..]}-{input.Round}");
        if (await migrations.ReadAsync(id, cancellationToken) is { } recorded) return new RemovalPlan([new MigrationStart(id, recorded.Batches.Count)]);

        var map = await maps.ReadAsync(cancellationToken);
        if (Destinations.Of(map, dead.Shard) is not { } newcomer)
            return new RemovalPlan([], new WireError(ErrorCodes.UnknownShard, $"The replacement of '{dead}' is gone again.", "Nothing: it is replaced in its turn."));
        var changes = await store.ReadChangesAsync(new MapVersion(Math.Max(0, map.Version.Value - ChangesMax)), cancellationToken);
        var entries = RefillPlanner.Back(map, changes, dead, newcomer.Incarnation);
        if (entries.Count == 0) return new RemovalPlan([]);
        var migration = planner.Plan(map, id, entries, dead.Shard, $"{dead.Shard} is back after a crash", "orchestrator");
        await migrations.CreateAsync(migration, cancellationToken);
        return new RemovalPlan([new MigrationStart(id, migration.Batches.Count)]);
    }
}

/// <summary>(5) Has the host end the dead one's instance, unless a later incarnation runs in it: App Service starts a new process in the same site.</summary>
public sealed class EndDeadInstance(MemberDirectory directory, IShardHost host) : TaskActivity<DeadInstance, bool>
{
    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, DeadInstance input)
    {
        var rows = await directory.ListAsync(context.CancellationToken);
        if (rows.Any(row => row.HostHandle == input.Handle && row.Incarnation.Value != input.Incarnation && !row.IsFinal)) return false;
        await host.DeleteAsync(input.Handle, context.CancellationToken);
        return true;
    }
}

/// <summary>(6) Says in the record how long it took.</summary>
public sealed class RecordReplacement(OperationStore operations, ILogger<RecordReplacement> logger) : TaskActivity<ReplacementTimes, bool>
{
    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, ReplacementTimes input)
    {
        Log.OperationStep(logger, input.Operation, input.ToString());
        await operations.SetStepAsync(input.Operation, input.ToString(), context.CancellationToken);
        return true;
    }
}
