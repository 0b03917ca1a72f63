using Microsoft.Extensions.Options;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Ending;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Management;

/// <summary><c>/api/members</c>, <c>/api/map</c> and <c>/api/status</c>: what the map, the member rows and the members themselves say.</summary>
public sealed class ReadsApi(
    MapReader maps, MapStore store, MemberDirectory directory, MemberClient members, MigrationStore migrations, OperationStore operations, EndMark ended,
    IOptions<OrchestratorSettings> settings)
{
    /// <summary>Members asked at the same time.</summary>
    private const int ParallelMax = 16;

    /// <summary>A member that does not answer by then is listed as unreachable.</summary>
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(1);

    /// <summary>Members in office, each with its own words.</summary>
    public async Task<IResult> MembersAsync(HttpContext context)
    {
        var map = await maps.TryReadAsync(context.RequestAborted);
        return Results.Json(new MemberList(await ListAsync(map, context.RequestAborted), map?.Version.Value ?? 0), ManagementJson.Default.MemberList);
    }

    /// <summary>Owner of an endpoint, with the log rows that made it one: the grant tells when, the plan of its handoff by what and why.</summary>
    public async Task<IResult> OwnerAsync(HttpContext context)
    {
        var text = context.Request.Query["endpoint"].ToString();
        if (text.Length == 0) throw new ShardCloudException(ErrorCodes.MissingValue, "The query has no 'endpoint'.", "Ask for /api/map?endpoint=rooms/42.");
        var endpoint = EndpointKey.Normalise(text);
        var map = await maps.ReadAsync(context.RequestAborted);
        var entry = map.Lookup(endpoint) ?? throw new ShardCloudException(
            ErrorCodes.NotBootstrapped, $"'{endpoint}' has no owner yet.", "Wait for the bootstrap to finish: 'shardcloud status'.");
        var granted = await store.ReadChangeAsync(entry.Epoch.GrantedAt, context.RequestAborted);
        var planned = granted?.Commit.Operations.OfType<GrantMove>().FirstOrDefault() is { } move ? await store.ReadChangeAsync(move.Handoff.PlannedAt, context.RequestAborted) : granted;
        var cause = planned?.Commit.Cause ?? "unknown";
        var migration = RecordIds.IsWellFormed(cause) ? await migrations.ReadAsync(cause, context.RequestAborted) : null;
        return Results.Json(new EndpointOwner(
            endpoint.Value, entry.Owner.Value, entry.Owner.Shard.Value, map.Live.TryGetValue(entry.Owner, out var owner) ? owner.PublicAddress : null,
            entry.Epoch.Value, granted?.At, cause, migration?.Id, migration?.Reason ?? planned?.Commit.Reason ?? "", map.IsPlaced(endpoint.KeyHash), endpoint.Slot.Value,
            endpoint.Slot.PartitionOf(map.PartitionCount), entry.IsMigrating ? entry.To.Value : null, entry.IsMigrating ? entry.Handoff.Value : null, map.Version.Value),
            ManagementJson.Default.EndpointOwner);
    }

    /// <summary>Everything at a glance; works before the bootstrap too.</summary>
    public async Task<IResult> StatusAsync(HttpContext context)
    {
        var map = await maps.TryReadAsync(context.RequestAborted);
        var listed = await ListAsync(map, context.RequestAborted);
        var running = await migrations.ReadUnfinishedAsync(context.RequestAborted);
        var granted = map?.SlotRuns.Sum(run => run.Slots.Count) ?? 0;
        return Results.Json(new CloudStatus(
            settings.Value.Application, granted == Slot.Count, map?.Version.Value ?? 0, map?.PartitionCount ?? 0, map?.Live.Values.Count(member => member.Ready) ?? 0,
            listed.Count(member => member.Role == "router"), granted, map?.Placed.LongCount() ?? 0, listed, [.. running.Select(Summary)],
            await operations.ReadRunningAsync(context.RequestAborted), CloudRelease.Own, map?.Level ?? CloudLevel.Own, listed.Any(member => member.Release.Level != CloudRelease.Own.Level),
            await ended.IsSetAsync(context.RequestAborted)), ManagementJson.Default.CloudStatus);
    }

    private async Task<IReadOnlyList<MemberSummary>> ListAsync(RoutingMap? map, CancellationToken cancellationToken)
    {
        IReadOnlyList<MemberRow> rows = map is null ? [] : await directory.ListAsync(cancellationToken);
        var inOffice = rows.Where(row => !row.IsFinal)
            .OrderBy(row => row.Role).ThenBy(row => row.Incarnation.Value, StringComparer.Ordinal).ToList();
        using var gate = new SemaphoreSlim(ParallelMax);
        return await Task.WhenAll(inOffice.Select(async row =>
        {
            await gate.WaitAsync(cancellationToken);
            try
            {
                var (status, unreachable) = await AskAsync(row.MemberAddress, cancellationToken);
                return Summary(map!, row, status, unreachable);
            }
            finally
            {
                gate.Release();
            }
        }));
    }

    private async Task<(MemberStatus? Status, string? Unreachable)> AskAsync(string address, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AnswerWithin);
        try
        {
            return (await members.StatusAsync(address, limit.Token), null);
        }
        catch (ShardCloudException error)
        {
            return (null, error.Message);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return (null, $"no answer within {AnswerWithin.TotalSeconds} s");
        }
    }

    private static MemberSummary Summary(RoutingMap map, MemberRow row, MemberStatus? status, string? unreachable) => new(
        row.Incarnation.Value, row.Incarnation.Shard.Value, row.Role.ToString().ToLowerInvariant(), row.State.ToString().ToLowerInvariant(), row.ApplicationVersion, row.FaultDomain,
        row.PublicAddress, row.MemberAddress, row.Pid, row.AppliedMapVersion.Value, row.LeaseLength.TotalMilliseconds, map.Live.ContainsKey(row.Incarnation),
        map.SlotRuns.Where(run => run.Entry.Owner == row.Incarnation).Sum(run => run.Slots.Count),
        map.PlacedCount(row.Incarnation), status, unreachable, row.Release);

    private static MigrationSummary Summary(Migration migration) => new(
        migration.Id, migration.To, migration.Reason, migration.RequestedBy, migration.Endpoints.Count, migration.State, migration.Outcome,
        migration.CreatedAt, migration.FinishedAt, migration.Costs, migration.ConflictWith);
}
