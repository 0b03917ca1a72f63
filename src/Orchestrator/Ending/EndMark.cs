using Azure.Data.Tables;
using ShardCloud.Orchestrator.Records;

namespace ShardCloud.Orchestrator.Ending;

/// <summary>Says that this cloud is to have no shards: a row beside the operations, from <c>POST /api/shutdown</c> to the next bootstrap. Thread-safe.</summary>
/// <remarks>While it stands nothing is created, replaced, drained or moved, and what lives all the same is ended: the Monitor looks. It says nothing of who owns what; the map keeps that, so a bootstrap finds everything again.</remarks>
public sealed class EndMark(RecordTable records)
{
    private const string Table = "operations", Row = "ended";

    private string Partition => $"{records.Application}|end";

    /// <summary>True while it stands.</summary>
    public async Task<bool> IsSetAsync(CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        return (await table.GetEntityIfExistsAsync<TableEntity>(Partition, Row, cancellationToken: cancellationToken)).HasValue;
    }

    /// <summary>Refuses while it stands.</summary>
    /// <exception cref="ShardCloudException">SC5031.</exception>
    public async Task CheckNotSetAsync(CancellationToken cancellationToken)
    {
        if (await IsSetAsync(cancellationToken)) throw Ended();
    }

    /// <summary>Why nothing is done for a cloud that is ended.</summary>
    public static ShardCloudException Ended() => new(ErrorCodes.CloudEnded, "The cloud is shut down, or is being shut down: it is to have no shards.", "Bootstrap it if it is to serve again: POST /api/bootstrap.");

    /// <summary>Sets it; again changes nothing.</summary>
    public async Task SetAsync(CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        await table.UpsertEntityAsync(new TableEntity(Partition, Row), cancellationToken: cancellationToken);
    }

    /// <summary>Takes it away; where there is none, too.</summary>
    public async Task ClearAsync(CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        await table.DeleteEntityAsync(Partition, Row, cancellationToken: cancellationToken); // 404 is no error for this client.
    }
}
