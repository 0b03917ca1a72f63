namespace ShardCloud.LocalCloud.Functions.Hub;

/// <summary>The tables of a task hub.</summary>
internal enum HubTable
{
    /// <summary>What clients see of each instance: a copy, made again from the other two when the host starts.</summary>
    Instances,

    /// <summary>One row per committed turn.</summary>
    History,

    /// <summary>Per unfinished instance: its head row (the commit point), messages, activities, timers and outgoing messages.</summary>
    Work,

    /// <summary>One row per timer function: when it ran last and when it is due next.</summary>
    Timers,
}

/// <summary>A row as it is stored. <paramref name="Data"/> is at most <see cref="HubTables.RowBytesMax"/>.</summary>
internal sealed record HubRow(string Partition, string Key, byte[] Data, string? ETag = null);

internal enum HubWriteKind
{
    /// <summary>The row must not exist.</summary>
    Insert,

    /// <summary>Whatever is there is replaced.</summary>
    Put,

    /// <summary>The row must exist, with the given ETag where there is one.</summary>
    Replace,

    /// <summary>The row must exist.</summary>
    Delete,
}

internal sealed record HubWrite(HubWriteKind Kind, string Key, byte[] Data, string? ETag = null)
{
    public static HubWrite Put(string key, byte[] data) => new(HubWriteKind.Put, key, data);

    public static HubWrite Delete(string key) => new(HubWriteKind.Delete, key, []);
}

/// <summary>Someone else has changed the rows: an insert met a row, or an ETag did not match.</summary>
internal sealed class HubConflictException(string partition, Exception? inner = null)
    : Exception($"The rows of instance '{partition}' were changed by another host.", inner);

/// <summary>The storage below a task hub: rows in partitions, and transactions inside one partition. Nothing else is asked of it.</summary>
internal abstract class HubTables
{
    /// <summary>Bytes in one row. A table entity may have 1 MiB; the emulator counts binary values as base64 in two-byte characters.</summary>
    public const int RowBytesMax = 360 * 1024;

    /// <summary>Writes in one transaction (the service's limit).</summary>
    public const int TransactionWritesMax = 100;

    /// <summary>Bytes in one transaction: under the service's 4 MiB, as text inside the request is larger than here.</summary>
    public const int TransactionBytesMax = 2 * 1024 * 1024;

    public abstract Task CreateAsync(CancellationToken cancellationToken);

    /// <summary>Rows in order of partition and key (ordinal).</summary>
    /// <param name="table">Which table.</param>
    /// <param name="partition">Only this partition; null: all.</param>
    /// <param name="keyPrefix">Only keys that begin so.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    public abstract IAsyncEnumerable<HubRow> ReadAsync(HubTable table, string? partition, string keyPrefix = "", CancellationToken cancellationToken = default);

    /// <summary>All or nothing, in one partition.</summary>
    /// <returns>The ETag of the first write's row.</returns>
    /// <exception cref="HubConflictException">A condition did not hold; nothing was written.</exception>
    public abstract Task<string?> WriteAsync(HubTable table, string partition, IReadOnlyList<HubWrite> writes, CancellationToken cancellationToken = default);

    /// <summary>Removes rows that may or may not be there. Not atomic.</summary>
    public abstract Task RemoveAsync(HubTable table, string partition, IReadOnlyList<string> keys, CancellationToken cancellationToken = default);
}
