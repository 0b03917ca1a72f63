namespace ShardCloud.LocalCloud.Functions.Hub;

/// <summary>Spreads data larger than a row over several: <c>key</c>, <c>key~001</c>, ... The first byte of each says whether another follows,
/// so leftovers of a larger earlier version are not read.</summary>
internal static class Pieces
{
    private const int PieceBytesMax = HubTables.RowBytesMax - 1;
    private const byte Last = 0, More = 1;

    public static IEnumerable<HubWrite> Split(HubWriteKind kind, string key, byte[] data, string? etag = null)
    {
        var count = Math.Max(1, (data.Length + PieceBytesMax - 1) / PieceBytesMax);
        for (var i = 0; i < count; i++)
        {
            var from = i * PieceBytesMax;
            var to = Math.Min(data.Length, from + PieceBytesMax);
            yield return new HubWrite(i == 0 ? kind : HubWriteKind.Put, Key(key, i), [i == count - 1 ? Last : More, .. data.AsSpan(from, to - from)], i == 0 ? etag : null);
        }
    }

    /// <summary>Keys of all rows that <see cref="Split"/> would write for data of this length.</summary>
    public static IEnumerable<string> Keys(string key, int length) =>
        Enumerable.Range(0, Math.Max(1, (length + PieceBytesMax - 1) / PieceBytesMax)).Select(i => Key(key, i));

    /// <summary>Puts rows in key order together again.</summary>
    public static async IAsyncEnumerable<HubRow> JoinAsync(IAsyncEnumerable<HubRow> rows)
    {
        HubRow? first = null;
        List<byte[]> parts = [];
        await foreach (var row in rows.ConfigureAwait(false))
        {
            if (row.Key.Contains('~', StringComparison.Ordinal) && (first is null || row.Partition != first.Partition || !row.Key.StartsWith(first.Key + "~", StringComparison.Ordinal)))
                continue; // a leftover
            first ??= row;
            parts.Add(row.Data[1..]);
            if (row.Data[0] == More) continue;
            yield return first with { Data = parts.Count == 1 ? parts[0] : [.. parts.SelectMany(p => p)] };
            first = null;
            parts.Clear();
        }
    }

    private static string Key(string key, int piece) => piece == 0 ? key : $"{key}~{piece:D3}";
}
