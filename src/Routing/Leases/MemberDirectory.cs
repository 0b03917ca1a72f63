using System.Globalization;
using Azure;
using Azure.Data.Tables;

namespace ShardCloud.Routing;

/// <summary>Member rows on Azure Tables: table <c>members</c>, one partition key an incarnation, so that no row waits for another's.</summary>
/// <remarks>The client must have its retries off: a repeated renewal would be dated wrongly (G12).</remarks>
public sealed class MemberDirectory(TableServiceClient service, string application)
{
    /// <summary>Table of the rows.</summary>
    public const string TableName = "members";

    private const string Row = "lease";
    private readonly TableClient _table = service.GetTableClient(TableName);

    /// <summary>Makes the table when it is not there.</summary>
    public Task EnsureCreatedAsync(CancellationToken cancellationToken) => _table.CreateIfNotExistsAsync(cancellationToken);

    /// <summary>Writes the first row of an incarnation.</summary>
    /// <returns>The row with its ETag.</returns>
    public async Task<MemberRow> RegisterAsync(MemberRow row, CancellationToken cancellationToken)
    {
        var response = await _table.AddEntityAsync(ToEntity(row), cancellationToken);
        return row with { ETag = response.Headers.ETag!.Value };
    }

    /// <summary>Replaces the row if its ETag still holds.</summary>
    /// <returns>The row with its new ETag, or null when somebody changed it meanwhile.</returns>
    /// <exception cref="RequestFailedException">No answer, or another failure: the row may or may not be written; read it.</exception>
    public async Task<MemberRow?> TryReplaceAsync(MemberRow row, CancellationToken cancellationToken)
    {
        try
        {
            var response = await _table.UpdateEntityAsync(ToEntity(row), row.ETag, TableUpdateMode.Replace, cancellationToken);
            return row with { ETag = response.Headers.ETag!.Value };
        }
        catch (RequestFailedException error) when (error.Status is 412 or 404)
        {
            return null;
        }
    }

    /// <summary>The row, or null when there is none.</summary>
    public async Task<MemberRow?> ReadAsync(IncarnationId incarnation, CancellationToken cancellationToken)
    {
        var response = await _table.GetEntityIfExistsAsync<TableEntity>(KeyOf(incarnation), Row, cancellationToken: cancellationToken);
        return response.HasValue ? FromEntity(response.Value!) : null;
    }

    /// <summary>All rows of the application, the dead ones too.</summary>
    public async Task<IReadOnlyList<MemberRow>> ListAsync(CancellationToken cancellationToken)
    {
        var rows = new List<MemberRow>();
        // '|' sorts below every character of an incarnation's successor '}' : the range holds exactly the keys that begin with "application|".
        var filter = TableClient.CreateQueryFilter($"PartitionKey ge {application + "|"} and PartitionKey lt {application + "}"}");
        await foreach (var entity in _table.QueryAsync<TableEntity>(filter, cancellationToken: cancellationToken)) rows.Add(FromEntity(entity));
        return rows;
    }

    /// <summary>Fences a member whose row is still as it was observed.</summary>
    /// <returns>True when the row is Fenced now, by this call or an earlier one; false when a renewal came in between.</returns>
    public async Task<bool> TryFenceAsync(MemberRow observed, CancellationToken cancellationToken)
    {
        if (observed.State == MemberState.Fenced) return true;
        if (await TryReplaceAsync(observed with { State = MemberState.Fenced }, cancellationToken) is not null) return true;
        return await ReadAsync(observed.Incarnation, cancellationToken) is null or { State: MemberState.Fenced };
    }

    /// <summary>Deletes the row of an incarnation that is over.</summary>
    public Task DeleteAsync(MemberRow row, CancellationToken cancellationToken) => _table.DeleteEntityAsync(KeyOf(row.Incarnation), Row, row.ETag, cancellationToken);

    private string KeyOf(IncarnationId incarnation) => $"{application}|{incarnation}";

    private TableEntity ToEntity(MemberRow row) => new(KeyOf(row.Incarnation), Row)
    {
        ["Incarnation"] = row.Incarnation.Value,
        ["Role"] = row.Role,
        ["MemberAddress"] = row.MemberAddress,
        ["PublicAddress"] = row.PublicAddress,
        ["FaultDomain"] = row.FaultDomain,
        ["HostHandle"] = row.HostHandle,
        ["ApplicationVersion"] = row.ApplicationVersion,
        ["LeaseLength"] = row.LeaseLength.ToString("c", CultureInfo.InvariantCulture),
        ["RenewalCount"] = row.RenewalCount,
        ["AppliedMapVersion"] = row.AppliedMapVersion.Value,
        ["State"] = row.State.ToString(),
        ["Pid"] = row.Pid,
        ["Load"] = row.Load,
    };

    private static MemberRow FromEntity(TableEntity entity) => new()
    {
        Incarnation = new IncarnationId(entity.GetString("Incarnation")),
        Role = entity.GetString("Role"),
        MemberAddress = entity.GetString("MemberAddress"),
        PublicAddress = entity.GetString("PublicAddress"),
        FaultDomain = entity.GetString("FaultDomain"),
        HostHandle = entity.GetString("HostHandle") ?? "",
        ApplicationVersion = entity.GetString("ApplicationVersion") ?? "",
        LeaseLength = TimeSpan.Parse(entity.GetString("LeaseLength"), CultureInfo.InvariantCulture),
        RenewalCount = entity.GetInt64("RenewalCount") ?? 0,
        AppliedMapVersion = new MapVersion(entity.GetInt64("AppliedMapVersion") ?? 0),
        State = Enum.Parse<MemberState>(entity.GetString("State")),
        Pid = entity.GetInt32("Pid") ?? 0,
        Load = entity.GetString("Load") ?? "{}",
        ETag = entity.ETag,
    };
}
