using Azure;
using Azure.Data.Tables;

namespace ShardCloud.Routing;

/// <summary>An entity-group transaction that is checked before it is sent: the service's own refusal comes late and says little.</summary>
/// <remarks>Limits: learn.microsoft.com, "Performing entity group transactions": one partition key, each row once, 100 actions, 4 MiB.</remarks>
public sealed class TableTransaction
{
    /// <summary>Most actions.</summary>
    public const int ActionsMax = 100;

    /// <summary>Most bytes; the estimate leaves room for the envelope of each action.</summary>
    public const int BytesMax = 4 * 1024 * 1024;

    private const int EnvelopeBytes = 1_024;

    private readonly List<TableTransactionAction> _actions = [];
    private readonly HashSet<string> _rows = new(StringComparer.Ordinal);
    private long _bytes;

    /// <summary>Actions so far.</summary>
    public IReadOnlyList<TableTransactionAction> Actions => _actions;

    /// <summary>Inserts a row that must not exist.</summary>
    /// <exception cref="ShardCloudException">SC1005: too large. SC1006: another partition, or the same row again.</exception>
    public TableTransaction Insert(TableEntity entity) => Take(new(TableTransactionActionType.Add, entity), entity);

    /// <summary>Replaces a row that is still as it was read.</summary>
    /// <exception cref="ShardCloudException">SC1005: too large. SC1006: another partition, or the same row again.</exception>
    public TableTransaction Replace(TableEntity entity, ETag asRead) => Take(new(TableTransactionActionType.UpdateReplace, entity, asRead), entity);

    /// <summary>Sends it: all of it takes effect, or nothing.</summary>
    public Task SubmitAsync(TableClient table, CancellationToken cancellationToken) => table.SubmitTransactionAsync(_actions, cancellationToken);

    private TableTransaction Take(TableTransactionAction action, TableEntity entity)
    {
        if (_actions.Count > 0 && _actions[0].Entity.PartitionKey != entity.PartitionKey)
            throw new ShardCloudException(ErrorCodes.CommitAcrossPartitions, $"A transaction of partition '{_actions[0].Entity.PartitionKey}' was given a row of '{entity.PartitionKey}'.", "Commit the rows of each partition separately.");
        if (!_rows.Add(entity.RowKey))
            throw new ShardCloudException(ErrorCodes.CommitAcrossPartitions, $"Row '{entity.RowKey}' is in the transaction already; each row may occur once.", "Merge the two changes of the row.");
        var bytes = _bytes + SizeOf(entity);
        if (_actions.Count == ActionsMax || bytes > BytesMax)
            throw new ShardCloudException(ErrorCodes.CommitTooLarge, $"The transaction would have {_actions.Count + 1} actions and about {bytes} bytes; the limits are {ActionsMax} and {BytesMax}.", "Split it into smaller commits.");
        _bytes = bytes;
        _actions.Add(action);
        return this;
    }

    private static long SizeOf(TableEntity entity) => EnvelopeBytes + entity.Sum(property => property.Key.Length * 2L + property.Value switch
    {
        string text => text.Length * 2L,
        byte[] bytes => bytes.Length * 4L / 3, // Base64 on the wire.
        _ => 16,
    });
}
