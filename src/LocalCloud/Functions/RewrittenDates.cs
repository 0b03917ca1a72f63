using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>A trap of the real host: its JSON reader takes date-looking texts inside an activity's result for dates and writes them anew, with the offset
/// turned into the machine's and the zeros at the end of the fraction cut. Results that are texts themselves pass unharmed.</summary>
internal static partial class RewrittenDates
{
    public static string Of(JsonElement value)
    {
        var text = value.GetRawText();
        if (value.ValueKind is not (JsonValueKind.Object or JsonValueKind.Array) || !text.Contains('T', StringComparison.Ordinal)) return text;
        var node = JsonNode.Parse(text)!;
        return Rewrite(node) ? node.ToJsonString() : text;
    }

    private static bool Rewrite(JsonNode node)
    {
        var changed = false;
        if (node is JsonObject members)
        {
            foreach (var (name, child) in members.ToList())
                if (child is not null && Changed(child, out var instead)) (members[name], changed) = (instead ?? members[name], true);
        }
        else if (node is JsonArray elements)
        {
            for (var index = 0; index < elements.Count; index++)
                if (elements[index] is { } child && Changed(child, out var instead)) (elements[index], changed) = (instead ?? elements[index], true);
        }

        return changed;
    }

    /// <param name="node">A member or an element.</param>
    /// <param name="instead">What stands in its place; null: itself, changed within.</param>
    private static bool Changed(JsonNode node, out JsonNode? instead)
    {
        instead = null;
        if (node is not JsonValue value) return Rewrite(node);
        if (value.GetValueKind() != JsonValueKind.String || value.GetValue<string>() is not { } text || !Date().IsMatch(text)) return false;
        if (!DateTime.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind, out var date)) return false;
        instead = date.ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK", CultureInfo.InvariantCulture);
        return true;
    }

    [GeneratedRegex(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?(Z|[+-]\d\d:\d\d)?$", RegexOptions.CultureInvariant)]
    private static partial Regex Date();
}
