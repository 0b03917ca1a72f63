using System.Text.Json;
using ShardCloud.Contracts;

namespace ShardCloud.Orchestrator.Records;

/// <summary>Cuts a list of strings into JSON texts that each fit one string property of Azure Tables (64 KiB of UTF-16).</summary>
public static class TextChunks
{
    /// <summary>Characters of a chunk at most: below 32 Ki, with room for what JSON escapes.</summary>
    public const int LengthMax = 30_000;

    /// <summary>The chunks, in order; none for an empty list.</summary>
    public static List<string> Split(IReadOnlyList<string> items)
    {
        var chunks = new List<string>();
        var open = new List<string>();
        var length = 2;
        foreach (var item in items)
        {
            var cost = JsonSerializer.Serialize(item, ManagementJson.Default.String).Length + 1;
            if (open.Count > 0 && length + cost > LengthMax)
            {
                chunks.Add(Text(open));
                open = [];
                length = 2;
            }
            open.Add(item);
            length += cost;
        }
        if (open.Count > 0) chunks.Add(Text(open));
        return chunks;
    }

    /// <summary>The items of one chunk.</summary>
    public static IReadOnlyList<string> Join(string chunk) => JsonSerializer.Deserialize(chunk, ManagementJson.Default.IReadOnlyListString) ?? [];

    private static string Text(IReadOnlyList<string> items) => JsonSerializer.Serialize(items, ManagementJson.Default.IReadOnlyListString);
}
