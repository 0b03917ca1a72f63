using System.Globalization;
using System.Text.Json;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>Where two answers differ.</summary>
internal sealed record AnswerDifference(string Reason, string Expected, string Got);

/// <summary>Compares the answers of two versions: status, content type, and the body, as JSON by the template's rules where both are, else byte by byte.</summary>
internal static class AnswerComparison
{
    /// <summary>The first difference; null: there is none that counts.</summary>
    public static AnswerDifference? DifferenceOf(ProbeAnswer expected, ProbeAnswer got, ShadowRules rules)
    {
        if (expected.Status != got.Status) return new("status", Text(expected.Status), Text(got.Status));
        if (!string.Equals(expected.ContentType, got.ContentType, StringComparison.OrdinalIgnoreCase)) return new("content type", expected.ContentType ?? "", got.ContentType ?? "");
        if (expected.Body.Span.SequenceEqual(got.Body.Span)) return null;
        if (expected.ContentType?.Contains("json", StringComparison.OrdinalIgnoreCase) is true && TryJson(expected, out var left) && TryJson(got, out var right)) return DifferenceOf(left, right, "", rules);
        return new("body", expected.Text, got.Text);
    }

    private static AnswerDifference? DifferenceOf(JsonElement expected, JsonElement got, string pointer, ShadowRules rules)
    {
        if (rules.Ignores(pointer)) return null;
        switch (expected.ValueKind, got.ValueKind)
        {
            case (JsonValueKind.Object, JsonValueKind.Object):
                foreach (var member in expected.EnumerateObject())
                {
                    var place = $"{pointer}/{Escape(member.Name)}";
                    if (!got.TryGetProperty(member.Name, out var other))
                    {
                        if (!rules.Ignores(place)) return new($"{place} is missing", member.Value.GetRawText(), "");
                    }
                    else if (DifferenceOf(member.Value, other, place, rules) is { } within)
                    {
                        return within;
                    }
                }
                if (rules.AllowsAddedMembers) return null;
                foreach (var member in got.EnumerateObject())
                {
                    var place = $"{pointer}/{Escape(member.Name)}";
                    if (!expected.TryGetProperty(member.Name, out _) && !rules.Ignores(place)) return new($"{place} is new", "", member.Value.GetRawText());
                }
                return null;
            case (JsonValueKind.Array, JsonValueKind.Array):
                if (expected.GetArrayLength() != got.GetArrayLength()) return new($"{pointer} has another length", Text(expected.GetArrayLength()), Text(got.GetArrayLength()));
                for (var i = 0; i < expected.GetArrayLength(); i++)
                    if (DifferenceOf(expected[i], got[i], $"{pointer}/{Text(i)}", rules) is { } within) return within;
                return null;
            default:
                return JsonElement.DeepEquals(expected, got) ? null : new(pointer.Length == 0 ? "body" : pointer, expected.GetRawText(), got.GetRawText());
        }
    }

    private static bool TryJson(ProbeAnswer answer, out JsonElement json)
    {
        try
        {
            json = answer.Json;
            return true;
        }
        catch (JsonException)
        {
            json = default;
            return false;
        }
    }

    private static string Escape(string name) => name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
