using System.Runtime.CompilerServices;
using ShardCloud.LocalCloud.Functions.Hub;

namespace ShardCloud.LocalCloud.Tests.Functions;

/// <summary>The end of the host's process, at a storage operation.</summary>
internal sealed class HostKilledException() : Exception("The host was killed.");

/// <summary>Tables in memory with the service's rules, from which a host can be cut off at any operation.</summary>
internal sealed class MemoryHubTables : HubTables
{
    private readonly SortedDictionary<string, HubRow> _rows = new(StringComparer.Ordinal);
    private int _etag;

    /// <summary>Number of the operation at which the host is killed; it and all later ones throw. 0: never.</summary>
    public int KillAt { get; set; }

    /// <summary>True: the fatal operation is still carried out, only its answer is lost.</summary>
    public bool KillAfter { get; set; }

    public int Operations { get; private set; }

    public IEnumerable<HubRow> Rows(HubTable table) => _rows.Where(r => r.Key.StartsWith($"{table}\u0001", StringComparison.Ordinal)).Select(r => r.Value);

    public void Revive() => (KillAt, Operations) = (0, 0);

    public override Task CreateAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override async IAsyncEnumerable<HubRow> ReadAsync(
        HubTable table, string? partition, string keyPrefix = "", [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await Task.CompletedTask;
        if (KillAt > 0 && Operations >= KillAt) throw new HostKilledException();
        foreach (var row in Rows(table).Where(r => (partition is null || r.Partition == partition) && r.Key.StartsWith(keyPrefix, StringComparison.Ordinal)).ToList())
            yield return row;
    }

    public override Task<string?> WriteAsync(HubTable table, string partition, IReadOnlyList<HubWrite> writes, CancellationToken cancellationToken = default)
    {
        var last = BeginOperation();
        Assert.InRange(writes.Count, 1, TransactionWritesMax);
        Assert.Equal(writes.Count, writes.Select(w => w.Key).Distinct().Count());
        Assert.True(writes.Sum(w => w.Data.Length) <= TransactionBytesMax || writes.Count == 1);
        foreach (var write in writes)
        {
            Assert.True(write.Data.Length <= RowBytesMax);
            var exists = _rows.TryGetValue(Key(table, partition, write.Key), out var old);
            var refused = write.Kind switch
            {
                HubWriteKind.Insert => exists,
                HubWriteKind.Put => false,
                _ => !exists || (write.ETag is not null && write.ETag != old!.ETag),
            };
            if (refused) throw new HubConflictException(partition);
        }

        string? first = null;
        foreach (var write in writes)
        {
            var etag = $"e{++_etag}";
            first ??= etag;
            if (write.Kind == HubWriteKind.Delete) _rows.Remove(Key(table, partition, write.Key));
            else _rows[Key(table, partition, write.Key)] = new HubRow(partition, write.Key, write.Data, etag);
        }

        if (last) throw new HostKilledException();
        return Task.FromResult(first);
    }

    public override Task RemoveAsync(HubTable table, string partition, IReadOnlyList<string> keys, CancellationToken cancellationToken = default)
    {
        foreach (var key in keys)
        {
            var last = BeginOperation();
            _rows.Remove(Key(table, partition, key));
            if (last) throw new HostKilledException();
        }

        return Task.CompletedTask;
    }

    /// <returns>True: this operation is carried out and its answer lost.</returns>
    private bool BeginOperation()
    {
        Operations++;
        if (KillAt == 0 || Operations < KillAt) return false;
        if (Operations > KillAt || !KillAfter) throw new HostKilledException();
        return true;
    }

    private static string Key(HubTable table, string partition, string key) => $"{table}\u0001{partition}\u0001{key}";
}
