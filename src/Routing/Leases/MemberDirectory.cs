using Azure;
using Azure.Data.Tables;

namespace ShardCloud.Routing;

/// <summary>How a renewal ended, as far as its answer says.</summary>
public enum RenewOutcome
{
    /// <summary>The row was replaced.</summary>
    Renewed,

    /// <summary>The row is not as it was read, or no answer came: only a re-read decides.</summary>
    NotConfirmed,
}

/// <summary>Outcome of a renewal; the row as written has its new ETag.</summary>
public sealed record RenewResult(RenewOutcome Outcome, MemberRow Row);

/// <summary>The lease rows of an application's members in table <c>shardmembers</c>, a partition each. Thread-safe.</summary>
/// <param name="tables">A client that never repeats a request, see <see cref="StorageClients.Decisions"/>.</param>
/// <param name="application">First part of the partition keys.</param>
public sealed class MemberDirectory(TableServiceClient tables, string application)
{
    /// <summary>Name of the table.</summary>
    public const string TableName = "shardmembers";

    private const string Row = "member";
    private readonly TableClient _table = tables.GetTableClient(TableName);

    /// <summary>Creates the table where it is missing.</summary>
    public Task EnsureCreatedAsync(CancellationToken cancellationToken = default) => _table.CreateIfNotExistsAsync(cancellationToken);

    /// <summary>Writes the first row of an incarnation; a lost answer is decided by a re-read.</summary>
    /// <exception cref="ShardCloudException">SC6004: the store does not answer. SC2001: the incarnation has a row already.</exception>
    public async Task<MemberRow> RegisterAsync(MemberRow row, CancellationToken cancellationToken = default)
    {
        try
        {
            var answer = await _table.AddEntityAsync(ToEntity(row), cancellationToken);
            return row with { ETag = answer.Headers.ETag.GetValueOrDefault().ToString() };
        }
        catch (Exception error) when (IsUnknownOrConflict(error, cancellationToken))
        {
            var found = await ReadAsync(row.Incarnation, cancellationToken);
            if (found is null) throw Unavailable(error);
            return found.RenewalCount == row.RenewalCount && found.MemberAddress == row.MemberAddress && found.Pid == row.Pid ? found
                : throw new ShardCloudException(ErrorCodes.LeaseLost, $"{row.Incarnation} has a lease row of another process.", "Start again: every start makes its own incarnation.", error);
        }
    }

    /// <summary>Replaces the own row, if it has the row's ETag still.</summary>
    public async Task<RenewResult> RenewAsync(MemberRow row, CancellationToken cancellationToken = default)
    {
        try
        {
            var answer = await _table.UpdateEntityAsync(ToEntity(row), new ETag(row.ETag), TableUpdateMode.Replace, cancellationToken);
            return new RenewResult(RenewOutcome.Renewed, row with { ETag = answer.Headers.ETag.GetValueOrDefault().ToString() });
        }
        catch (Exception error) when (error is RequestFailedException or OperationCanceledException or IOException or HttpRequestException or AggregateException)
        {
            // Cancelled too: a try that was given up may still take effect.
            return new RenewResult(RenewOutcome.NotConfirmed, row);
        }
    }

    /// <summary>Row of an incarnation; null when it never registered, or was removed.</summary>
    /// <exception cref="ShardCloudException">SC6004: the store does not answer.</exception>
    public async Task<MemberRow?> ReadAsync(IncarnationId incarnation, CancellationToken cancellationToken = default)
    {
        try
        {
            var found = await _table.GetEntityIfExistsAsync<TableEntity>(PartitionOf(incarnation), Row, cancellationToken: cancellationToken);
            return found.HasValue ? FromEntity(found.Value!) : null;
        }
        catch (Exception error) when (IsUnknownOrConflict(error, cancellationToken))
        {
            throw Unavailable(error);
        }
    }

    /// <summary>All rows of the application, final ones too.</summary>
    /// <exception cref="ShardCloudException">SC6004: the store does not answer.</exception>
    public async Task<IReadOnlyList<MemberRow>> ListAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            var rows = new List<MemberRow>();
            // '}' follows '|' in ASCII: all keys "application|…".
            await foreach (var entity in _table.QueryAsync<TableEntity>(TableClient.CreateQueryFilter($"PartitionKey ge {application + "|"} and PartitionKey lt {application + "}"}"), cancellationToken: cancellationToken))
                rows.Add(FromEntity(entity));
            return rows;
        }
        catch (Exception error) when (IsUnknownOrConflict(error, cancellationToken))
        {
            throw Unavailable(error);
        }
    }

    /// <summary>Fences a row exactly as it was observed. Do it before the map's commit: a renewal that arrives later then fails.</summary>
    /// <returns>True when the row is final now, by this call or another; false when the member has renewed, or nothing is known.</returns>
    public async Task<bool> TryFenceAsync(MemberRow observed, CancellationToken cancellationToken = default)
    {
        if (observed.IsFinal) return true;
        try
        {
            await _table.UpdateEntityAsync(ToEntity(observed with { State = MemberState.Fenced }), new ETag(observed.ETag), TableUpdateMode.Replace, cancellationToken);
            return true;
        }
        catch (Exception error) when (IsUnknownOrConflict(error, cancellationToken))
        {
            return await ReadAsync(observed.Incarnation, cancellationToken) is null or { IsFinal: true };
        }
    }

    /// <summary>The member's last word: everything was sealed and settled before. Final.</summary>
    /// <returns>True when the row is final now.</returns>
    public async Task<bool> LeaveAsync(MemberRow own, CancellationToken cancellationToken = default)
    {
        for (var attempt = 0; attempt < 3; attempt++)
        {
            var result = await RenewAsync(own with { State = MemberState.Leaving }, cancellationToken);
            if (result.Outcome == RenewOutcome.Renewed) return true;
            if (await ReadAsync(own.Incarnation, cancellationToken) is not { IsFinal: false } row) return true;
            own = own with { ETag = row.ETag, RenewalCount = row.RenewalCount };
        }
        return false;
    }

    /// <summary>Deletes a final row as it was read: housekeeping, long after nobody asks for it.</summary>
    public async Task RemoveAsync(MemberRow final, CancellationToken cancellationToken = default)
    {
        if (final.IsFinal) await _table.DeleteEntityAsync(PartitionOf(final.Incarnation), Row, new ETag(final.ETag), cancellationToken);
    }

    /// <summary>What a lease row is kept under.</summary>
    internal static string KeyOf(IncarnationId incarnation, Guards guards) => guards.HasFlag(Guards.G13) ? incarnation.Value : incarnation.Shard.Value;

    private string PartitionOf(IncarnationId incarnation) => $"{application}|{KeyOf(incarnation, Guards.All)}";

    internal TableEntity ToEntity(MemberRow row) => new(PartitionOf(row.Incarnation), Row)
    {
        ["Incarnation"] = row.Incarnation.Value,
        ["Role"] = row.Role.ToString(),
        ["State"] = row.State.ToString(),
        ["MemberAddress"] = row.MemberAddress,
        ["PublicAddress"] = row.PublicAddress,
        ["FaultDomain"] = row.FaultDomain,
        ["HostHandle"] = row.HostHandle,
        ["ApplicationVersion"] = row.ApplicationVersion,
        ["Release"] = row.Release.Version,
        ["Level"] = row.Release.Level,
        ["LowestLevel"] = row.Release.LowestLevel,
        ["LeaseMilliseconds"] = (long)row.LeaseLength.TotalMilliseconds,
        ["RenewalCount"] = row.RenewalCount,
        ["AppliedMapVersion"] = row.AppliedMapVersion.Value,
        ["Load"] = row.Load,
        ["Pid"] = row.Pid,
    };

    internal static MemberRow FromEntity(TableEntity entity) => new()
    {
        Incarnation = new IncarnationId(entity.GetString("Incarnation")),
        Role = Enum.Parse<MemberRole>(entity.GetString("Role")),
        State = Enum.Parse<MemberState>(entity.GetString("State")),
        MemberAddress = entity.GetString("MemberAddress") ?? "",
        PublicAddress = entity.GetString("PublicAddress") ?? "",
        FaultDomain = entity.GetString("FaultDomain") ?? "",
        HostHandle = entity.GetString("HostHandle") ?? "",
        ApplicationVersion = entity.GetString("ApplicationVersion") ?? "",
        Release = new CloudRelease(entity.GetString("Release") ?? CloudRelease.First.Version, entity.GetInt32("Level") ?? CloudRelease.First.Level, entity.GetInt32("LowestLevel") ?? CloudRelease.First.LowestLevel),
        LeaseLength = TimeSpan.FromMilliseconds(entity.GetInt64("LeaseMilliseconds") ?? 0),
        RenewalCount = entity.GetInt64("RenewalCount") ?? 0,
        AppliedMapVersion = new MapVersion(entity.GetInt64("AppliedMapVersion") ?? 0),
        Load = entity.GetString("Load") ?? "{}",
        Pid = entity.GetInt32("Pid") ?? 0,
        WrittenAt = entity.Timestamp,
        ETag = entity.ETag.ToString(),
    };

    private static bool IsUnknownOrConflict(Exception error, CancellationToken cancellationToken) => !cancellationToken.IsCancellationRequested
        && error is RequestFailedException or OperationCanceledException or IOException or HttpRequestException or AggregateException;

    private static ShardCloudException Unavailable(Exception error) => new(ErrorCodes.StoreUnavailable,
        $"The table of members did not serve a request: {error.Message.Split('\n')[0].Trim()}.", "Check the storage account and the network; it is asked again.", error);
}
