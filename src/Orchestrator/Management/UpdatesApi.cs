using System.Globalization;
using Grpc.Core;
using ShardCloud.Contracts;
using ShardCloud.DurableTask.Client;
using ShardCloud.Orchestrator.Ending;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Rebalancing;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Updates;
using ShardCloud.Packages;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Management;

/// <summary><c>/api/updates</c>: staged updates to a new version of the application (docs/updates.md).</summary>
public sealed class UpdatesApi(
    MapReader maps, UpdateStore updates, PlanStore plans, PackageStore packages, OperationStore operations, MigrationStore migrations, EndMark ended, IdempotencyStore keys, DurableTaskClient durable, TimeProvider time)
{
    /// <summary>Checks everything that can be checked now, writes the record, starts the orchestration.</summary>
    public async Task<IResult> StartAsync(HttpContext context)
    {
        var aborted = context.RequestAborted;
        var body = await StrictBody.ReadAsync(context, "version", "strategy");
        var text = body.RequireString("version", 32);
        if (!PackageVersion.TryParse(text, out var version)) throw new ShardCloudException(ErrorCodes.BadValue, $"'{text}' is not a version.", "Send three numbers, like 2.0.0.");
        var strategy = StrategyReader.Read(body.Optional("strategy"));

        var known = await Accepting.FindAsync(keys, context, body.Text);
        if (known is not null && await updates.ReadAsync(known, aborted) is { } first)
        {
            if (first.Public.State != UpdateState.Finished) await EnsureStartedAsync(known, aborted);
            return Accepting.Update(context, known);
        }

        var map = await maps.ReadAsync(aborted);
        await ended.CheckNotSetAsync(aborted);
        await updates.CheckNoneRunsAsync(aborted);
        var from = await CheckAsync(map, version, aborted);
        var id = known ?? await Accepting.ClaimAsync(keys, context, body.Text, await updates.NextIdAsync(version.ToString(), aborted));
        await updates.CreateAsync(New(id, version, from, strategy, map, ManagementGate.CallerOf(context).Subject), aborted);
        await EnsureStartedAsync(id, aborted);
        return Accepting.Update(context, id);
    }

    /// <summary>All of them, newest first.</summary>
    public async Task<IResult> ListAsync(HttpContext context) => Results.Json(await updates.ListAsync(context.RequestAborted), UpdateJson.Default.UpdateList);

    /// <summary>One record.</summary>
    public async Task<IResult> GetAsync(string id, HttpContext context) => Results.Json((await FindAsync(id, context.RequestAborted)).Public, UpdateJson.Default.StagedUpdate);

    /// <summary>The stored plans of an update.</summary>
    public async Task<IResult> PlansAsync(string id, HttpContext context) =>
        Results.Json(new UpdatePlanList(UpdateRounds.PlansOf((await FindAsync(id, context.RequestAborted)).Public)), UpdateJson.Default.UpdatePlanList);

    /// <summary>One plan with its inputs, as it is stored: the very bytes that its hash is of.</summary>
    public async Task<IResult> PlanAsync(string id, string number, HttpContext context)
    {
        if (!int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var wanted)) throw new ShardCloudException(ErrorCodes.BadValue, $"'{number}' is not the number of a plan.", "Send a whole number, from 1.");
        var known = UpdateRounds.PlansOf((await FindAsync(id, context.RequestAborted)).Public).FirstOrDefault(plan => plan.Number == wanted);
        return known is not null && await plans.ReadAsync(id, known, context.RequestAborted) is { } bytes ? Results.Bytes(bytes, "application/json") : throw new ShardCloudException(
            ErrorCodes.NotFound, $"There is no plan {wanted} of '{id}', or it is not kept any more.", "List them with GET /api/updates/{id}/plans; kept are the last 40 of each wave, of the 20 newest updates.");
    }

    /// <summary>Approves a wave: the one that is waited for, or one that will be.</summary>
    public async Task<IResult> ApproveAsync(string id, HttpContext context)
    {
        ManagementGate.About(context, id);
        int? named = null;
        if (context.Request.ContentType is not null) // Without a body: the wave that is waited for.
        {
            var body = await StrictBody.ReadAsync(context, "wave");
            if (body.Optional("wave") is not null) named = body.RequireInt32("wave", 1, StrategyReader.WavesMax);
        }
        await FindAsync(id, context.RequestAborted);
        await updates.UpdateAsync(id, record =>
        {
            var wave = named ?? (record.Public.State == UpdateState.AwaitingApproval ? LookAtUpdate.WaveOf(record).Number : throw NothingToApprove(record, named));
            if (record.Public.Approved.Contains(wave)) return null;
            var isAhead = record.Public.Step < UpdateStep.RemoveOld && record.Public.Waves.Any(known => known.Number == wave && known.State is UpdateWaveState.Planned or UpdateWaveState.AwaitingApproval);
            return isAhead && record.Public.Strategy.ApproveBefore.Contains(wave)
                ? record with { Public = record.Public with { Approved = [.. record.Public.Approved, wave] } } : throw NothingToApprove(record, wave);
        }, context.RequestAborted);
        await WakeAsync(id, context);
        return Accepting.Update(context, id);
    }

    /// <summary>Asks for the way back. What is on its way forward is cancelled where it has no grant yet.</summary>
    public async Task<IResult> CancelAsync(string id, HttpContext context)
    {
        ManagementGate.About(context, id);
        var found = await FindAsync(id, context.RequestAborted);
        if (found.Public.State == UpdateState.Finished) throw TooLate(found);
        var record = await updates.UpdateAsync(id, now => now.Public switch
        {
            { RollBack: null, Step: >= UpdateStep.RemoveOld } => throw TooLate(now),
            { CancelledBy: not null } or { RollBack: not null } => null,
            _ => now with { Public = now.Public with { CancelledBy = ManagementGate.CallerOf(context).Subject } },
        }, context.RequestAborted);
        foreach (var migration in record.Public.RollBack is null ? record.Work.Open : [])
        {
            await migrations.MarkCancellingAsync(migration, context.RequestAborted);
            await RaiseAsync(migration, MigrateEndpoints.CancelEvent, context);
        }
        await WakeAsync(id, context);
        return Accepting.Update(context, id);
    }

    /// <summary>Refuses what cannot begin now.</summary>
    /// <returns>The version that runs.</returns>
    private async Task<string> CheckAsync(RoutingMap map, PackageVersion version, CancellationToken cancellationToken)
    {
        if (await packages.FindAsync(version.ToString(), cancellationToken) is null)
            throw new ShardCloudException(ErrorCodes.UnknownVersion, $"Version '{version}' was not published.", "Publish it first: 'shardcloud package publish'.");
        var live = map.Live.Values.Select(member => member.ApplicationVersion).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToList();
        if (live.Count == 0) throw new ShardCloudException(ErrorCodes.NotBootstrapped, "No shard is live.", "Bootstrap first, or wait for 'shardcloud status' to show shards.");
        if (live.Count > 1) throw new ShardCloudException(ErrorCodes.SeveralVersions, $"Shards of several versions are live: {string.Join(", ", live)}.", "Remove the shards of all versions but one, then start the update.");
        if (PackageVersion.TryParse(live[0], out var present) && version <= present)
            throw new ShardCloudException(ErrorCodes.VersionNotNewer, $"Version {version} is not newer than {present}, which runs.", "Publish a newer version; to go back, publish the old content under a newer version.");
        if (await operations.ReadRunningAsync(cancellationToken) is [var busy, ..])
            throw new InTheWayException(ErrorCodes.ShardBusy, $"'{busy.Id}' changes the shards.", "Wait for that operation.", busy.Id);
        // A rebalance sees the update and stops after its batch: what that still moves is waited for in the waves.
        if ((await migrations.ReadUnfinishedAsync(cancellationToken)).FirstOrDefault(migration => !migration.Id.StartsWith(AdvanceRebalance.MigrationPrefix, StringComparison.Ordinal)) is { } moving)
            throw new InTheWayException(ErrorCodes.AlreadyMoving, $"'{moving.Id}' moves endpoints.", "Wait for that migration, or cancel it.", moving.Id);
        return live[0];
    }

    private UpdateRecord New(string id, PackageVersion version, string from, UpdateStrategy strategy, RoutingMap map, string caller)
    {
        var now = time.GetUtcNow();
        var old = map.Live.Keys.Select(incarnation => incarnation.Shard.Value).Distinct(StringComparer.Ordinal).OrderBy(shard => shard.Length).ThenBy(shard => shard, StringComparer.Ordinal);
        var waves = strategy.Waves.Select((percent, i) => new UpdateWave(i + 1, percent, UpdateWaveState.Planned, 0, 0, 0, [], null, null, null));
        return new UpdateRecord(
            new StagedUpdate(
                id, version.ToString(), from, UpdateState.Running, null, UpdateStep.Staging, "the staging shard is made", strategy, caller, now, null, null, new UpdateShards([.. old], []), null,
                [.. waves], [], null, null, new UpdateMoves(0, 0, 0), null),
            UpdateWork.At(now));
    }

    private Task EnsureStartedAsync(string id, CancellationToken cancellationToken) =>
        Accepting.EnsureStartedAsync(durable, nameof(UpdateApplication), id, new UpdateStart(id), cancellationToken);

    private async Task<UpdateRecord> FindAsync(string id, CancellationToken cancellationToken) =>
        (UpdateStore.IsWellFormed(id) ? await updates.ReadAsync(id, cancellationToken) : null) ?? throw new ShardCloudException(
            ErrorCodes.NotFound, $"There is no update '{id}'.", "List the updates: 'shardcloud update list'.");

    private Task WakeAsync(string id, HttpContext context) => RaiseAsync(id, UpdateApplication.WakeEvent, context);

    private async Task RaiseAsync(string instance, string name, HttpContext context)
    {
        try
        {
            await durable.RaiseEventAsync(instance, name, ManagementGate.CallerOf(context).Subject, context.RequestAborted);
        }
        catch (RpcException error) when (error.StatusCode is StatusCode.Unknown or StatusCode.NotFound or StatusCode.FailedPrecondition)
        {
            // It has just ended, or is about to be started again by the monitor. The mark in the record is what counts.
        }
    }

    private static ShardCloudException NothingToApprove(UpdateRecord record, int? wave) => new(ErrorCodes.NothingToApprove,
        wave is null ? $"'{record.Public.Id}' does not wait for an approval." : $"Wave {wave} of '{record.Public.Id}' does not wait for an approval and will not.",
        record.Public.Strategy.ApproveBefore.Count == 0 ? "Its strategy has no 'approveBefore'." : $"Its strategy asks before these waves: {string.Join(", ", record.Public.Strategy.ApproveBefore)}.");

    private static InTheWayException TooLate(UpdateRecord record) => new(ErrorCodes.UpdateTooLate,
        record.Public.State == UpdateState.Finished ? $"'{record.Public.Id}' has ended: {record.Public.Outcome}." : $"'{record.Public.Id}' removes the shards of {record.Public.FromVersion} already.",
        "Start an update to another version.", record.Public.Id);
}
