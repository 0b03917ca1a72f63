using System.Globalization;
using System.IO.Compression;
using System.Text;
using Azure.Data.Tables;

namespace ShardCloud.Routing;

/// <summary>The two kinds of rows of the map table: <c>head</c>, and one <c>log|version</c> a commit.</summary>
internal static class ChangeRows
{
    public const string Head = "head";

    // A string property holds 64 KiB of UTF-16, a binary one 64 KiB, an entity 1 MiB (learn.microsoft.com, "Understanding the Table service data model").
    private const int TextCharsMax = 32_000, ChunkBytes = 64 * 1024;

    public static string KeyOf(MapVersion version) => string.Create(CultureInfo.InvariantCulture, $"log|{version.Value:D19}");

    public static TableEntity Row(string application, MapChange change, string commitId)
    {
        var row = new TableEntity(application, KeyOf(change.Version)) { ["Commit"] = commitId, ["Cause"] = Cut(change.Commit.Cause), ["Reason"] = Cut(change.Commit.Reason) };
        var json = MapJson.Write(change);
        if (json.Length <= TextCharsMax)
        {
            row["Json"] = json;
            return row;
        }
        using var bytes = new MemoryStream();
        using (var gzip = new GZipStream(bytes, CompressionLevel.Fastest)) gzip.Write(Encoding.UTF8.GetBytes(json));
        foreach (var (index, chunk) in bytes.ToArray().Chunk(ChunkBytes).Index()) row[string.Create(CultureInfo.InvariantCulture, $"Gzip{index}")] = chunk;
        return row;
    }

    public static MapChange Read(TableEntity row)
    {
        if (row.GetString("Json") is { } json) return MapJson.ReadChange(json);
        using var bytes = new MemoryStream();
        for (var i = 0; row.TryGetValue(string.Create(CultureInfo.InvariantCulture, $"Gzip{i}"), out var chunk); i++)
            bytes.Write(chunk switch { byte[] array => array, BinaryData data => data.ToArray(), _ => throw MapJson.Unreadable($"row {row.RowKey} has a chunk of type {chunk?.GetType().Name}", null) });
        bytes.Position = 0;
        try
        {
            using var reader = new StreamReader(new GZipStream(bytes, CompressionMode.Decompress), Encoding.UTF8);
            return MapJson.ReadChange(reader.ReadToEnd());
        }
        catch (InvalidDataException error)
        {
            throw MapJson.Unreadable($"row {row.RowKey}: {error.Message}", error);
        }
    }

    private static string Cut(string text) => text.Length <= 256 ? text : text[..256];
}
