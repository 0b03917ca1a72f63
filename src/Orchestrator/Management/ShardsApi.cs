using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Options;
using ShardCloud.Contracts;
using ShardCloud.DurableTask.Client;
using ShardCloud.Orchestrator.Affinity;
using ShardCloud.Orchestrator.Bootstrapping;
using ShardCloud.Orchestrator.Ending;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Orchestrator.Updates;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Orchestrator.Management;

/// <summary><c>/api/bootstrap</c>, <c>/api/shutdown</c>, <c>/api/shards</c> and <c>/api/operations</c>.</summary>
public sealed class ShardsApi(
    MapReader maps, OperationStore operations, UpdateStore updates, Replacements replacements, EndMark ended, Endings endings, IdempotencyStore keys, IShardHost host, DurableTaskClient durable,
    AffinityStore affinity, IOptions<OrchestratorSettings> settings, TimeProvider time)
{
    private const int VersionLengthMax = 64;

    /// <summary>Starts the bootstrap, or answers with the one that runs.</summary>
    public async Task<IResult> BootstrapAsync(HttpContext context)
    {
        var body = await StrictBody.ReadAsync(context, ManagementLimits.BootstrapBytesMax, ["shards", "version", "placement"]);
        var input = new BootstrapInput("bootstrap", body.RequireInt32("shards", 1, ManagementLimits.BootstrapShardsMax), body.RequireString("version", VersionLengthMax));
        var placement = body.Optional("placement") is { ValueKind: not JsonValueKind.Null } given ? AffinityFile.Read(Encoding.UTF8.GetBytes(given.GetRawText())) : null;
        await Accepting.FindAsync(keys, context, body.Text); // For its refusal only: there is one bootstrap, whatever the key.
        await Accepting.ClaimAsync(keys, context, body.Text, input.Operation);
        if (await operations.ReadAsync(Endings.Id, context.RequestAborted) is { State: OperationState.Running })
            throw new InTheWayException(ErrorCodes.CloudEnded, "The cloud is being shut down.", "Wait for that operation, then bootstrap.", Endings.Id);
        // A cloud that has slots granted is not new: what it observed since counts more than a file.
        if (placement is not null && (await maps.TryReadAsync(context.RequestAborted))?.SlotRuns.Any() is not true) input = input with { Placement = await affinity.PutAsync(placement, context.RequestAborted) };
        await operations.CreateAsync(New(context, input.Operation, "bootstrap", []), restart: true, context.RequestAborted);
        await ended.ClearAsync(context.RequestAborted);
        await Accepting.EnsureStartedAsync(durable, nameof(Bootstrap), input.Operation, input, context.RequestAborted);
        return Accepting.Operation(context, input.Operation);
    }

    /// <summary>Starts the end of the cloud, or answers with the one that runs.</summary>
    public async Task<IResult> ShutDownAsync(HttpContext context)
    {
        var body = await StrictBody.ReadAsync(context, "cloud");
        var cloud = body.RequireString("cloud", 40);
        if (cloud != settings.Value.Application)
            throw new ShardCloudException(ErrorCodes.NotThisCloud, $"This is the cloud '{settings.Value.Application}', not '{cloud}'.", "Name the cloud that is to have no shards any more; nothing was changed.");
        await Accepting.FindAsync(keys, context, body.Text); // For its refusal only: there is one end, whatever the key.
        await updates.CheckNoneRunsAsync(context.RequestAborted);
        await Accepting.ClaimAsync(keys, context, body.Text, Endings.Id);
        await ended.SetAsync(context.RequestAborted); // From here on the Monitor sees to it.
        await endings.StartAsync(ManagementGate.CallerOf(context).Subject, context.RequestAborted);
        return Accepting.Operation(context, Endings.Id);
    }

    /// <summary>Starts the creation of a shard.</summary>
    public async Task<IResult> AddAsync(HttpContext context)
    {
        var body = await StrictBody.ReadAsync(context, "version");
        var named = body.OptionalString("version", VersionLengthMax);
        if (named?.Length == 0) throw new ShardCloudException(ErrorCodes.BadValue, "'version' is empty.", "Name a version, or leave it out for the one that runs.");
        var map = await maps.ReadAsync(context.RequestAborted); // Refuses where nothing was bootstrapped.
        if (await Accepting.FindAsync(keys, context, body.Text) is { } known && await operations.ReadAsync(known, context.RequestAborted) is { } first)
        {
            if (first.State == OperationState.Running) await StartCreateAsync(known, named ?? RunningVersion.Of(map), context.RequestAborted);
            return Accepting.Operation(context, known);
        }
        await ended.CheckNotSetAsync(context.RequestAborted);
        await updates.CheckNoneRunsAsync(context.RequestAborted);
        var version = named ?? RunningVersion.Of(map);
        var id = await Accepting.ClaimAsync(keys, context, body.Text, RecordIds.New("create", time));
        await operations.CreateAsync(New(context, id, "createShard", []), restart: false, context.RequestAborted);
        await StartCreateAsync(id, version, context.RequestAborted);
        return Accepting.Operation(context, id);
    }

    /// <summary>Starts the removal of a shard.</summary>
    public async Task<IResult> RemoveAsync(string id, HttpContext context)
    {
        var shard = new ShardId(id);
        if (await Accepting.FindAsync(keys, context, "") is { } known && await operations.ReadAsync(known, context.RequestAborted) is { } first)
        {
            if (first.State == OperationState.Running) await StartRemoveAsync(known, shard, context.RequestAborted);
            return Accepting.Operation(context, known);
        }
        await ended.CheckNotSetAsync(context.RequestAborted);
        var map = await maps.ReadAsync(context.RequestAborted);
        if (!map.Live.Keys.Any(incarnation => incarnation.Shard == shard))
            throw new ShardCloudException(ErrorCodes.UnknownShard, $"There is no shard '{shard}'.", "List the shards: 'shardcloud status'.");
        await updates.CheckNoneRunsAsync(context.RequestAborted);
        var running = await operations.ReadRunningAsync(context.RequestAborted);
        if (running.FirstOrDefault(other => other.Kind is "removeShard" or Replacements.Kind or Drains.Kind && other.Shards.Contains(id)) is { } busy)
            throw new InTheWayException(ErrorCodes.ShardBusy, $"Shard '{shard}' is being changed by '{busy.Id}'.", "Wait for that operation.", busy.Id);
        if (CordonShard.IsLast(map, shard)) throw CordonShard.LastShard(shard);

        var operation = await Accepting.ClaimAsync(keys, context, "", RecordIds.New("remove", time));
        await operations.CreateAsync(New(context, operation, "removeShard", [id]), restart: false, context.RequestAborted);
        await StartRemoveAsync(operation, shard, context.RequestAborted);
        return Accepting.Operation(context, operation);
    }

    /// <summary>A member reports whom it has taken over: the replacement starts, or has started already.</summary>
    public async Task<IResult> TakenOverAsync(HttpContext context)
    {
        var body = await StrictBody.ReadAsync(context, "incarnation");
        var text = body.RequireString("incarnation", 80);
        if (!RecordIds.IsWellFormed(text.Replace('~', '-')))
            throw new ShardCloudException(ErrorCodes.BadValue, $"'{text}' is no incarnation.", "Send the id of the member list: shard~suffix.");
        await ended.CheckNotSetAsync(context.RequestAborted);
        var incarnation = new IncarnationId(text);
        var map = await maps.ReadAsync(context.RequestAborted);
        if (map.Live.ContainsKey(incarnation) || !map.IsFenced(incarnation))
            throw new ShardCloudException(ErrorCodes.NotFound, $"The map knows no fenced '{incarnation}'.", "Report an incarnation after it was taken over.");
        return Accepting.Operation(context, await replacements.StartAsync(incarnation, ManagementGate.CallerOf(context).Subject, context.RequestAborted));
    }

    /// <summary>The shards, with what their host says of them.</summary>
    public async Task<IResult> ListAsync(HttpContext context)
    {
        var map = await maps.ReadAsync(context.RequestAborted);
        var instances = await InstancesAsync(context.RequestAborted);
        var owners = map.Owners.ToLookup(owner => owner.Shard);
        var shards = map.Live.Values.GroupBy(member => member.Incarnation.Shard).OrderBy(shard => shard.Key.Value, StringComparer.Ordinal).Select(shard =>
        {
            var instance = instances.LastOrDefault(known => known.Shard == shard.Key.Value);
            return new ShardSummary(
                shard.Key.Value, shard.MaxBy(member => member.Incarnation.Value, StringComparer.Ordinal)!.ApplicationVersion, shard.Any(member => member.Ready),
                shard.Any(member => member.Cordoned), [.. shard.Select(member => member.Incarnation.Value)],
                map.SlotRuns.Where(run => run.Entry.Owner.Shard == shard.Key).Sum(run => run.Slots.Count),
                owners[shard.Key].Sum(map.PlacedCount), instance?.Handle, instance?.State.ToString().ToLowerInvariant());
        });
        return Results.Json(new ShardList([.. shards]), ManagementJson.Default.ShardList);
    }

    /// <summary>One operation.</summary>
    public async Task<IResult> GetOperationAsync(string id, HttpContext context)
    {
        var operation = RecordIds.IsWellFormed(id) ? await operations.ReadAsync(id, context.RequestAborted) : null;
        return operation is not null
            ? Results.Json(operation, ManagementJson.Default.Operation)
            : throw new ShardCloudException(ErrorCodes.NotFound, $"There is no operation '{id}'.", "Use the id of the 202 answer.");
    }

    // The list is about the map; a host that is away for a moment must not hide it.
    private async Task<IReadOnlyList<ShardInstance>> InstancesAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await host.ListAsync(cancellationToken);
        }
        catch (ShardCloudException error) when (error.Code == ErrorCodes.ShardHostFailed)
        {
            return [];
        }
    }

    private Operation New(HttpContext context, string id, string kind, IReadOnlyList<string> shards) =>
        new(id, kind, OperationState.Running, null, shards, ManagementGate.CallerOf(context).Subject, time.GetUtcNow(), null, null);

    private Task StartCreateAsync(string id, string version, CancellationToken cancellationToken) =>
        Accepting.EnsureStartedAsync(durable, nameof(CreateShard), id, new CreateShardInput(id, version), cancellationToken);

    private Task StartRemoveAsync(string id, ShardId shard, CancellationToken cancellationToken) =>
        Accepting.EnsureStartedAsync(durable, nameof(RemoveShard), id, new RemoveShardInput(id, shard.Value), cancellationToken);
}
