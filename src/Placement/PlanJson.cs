using System.Text.Json;

namespace ShardCloud.Placement;

/// <summary>What files of plans have in common: rows of a JSON document that is written in one way only.</summary>
internal static class PlanJson
{
    /// <summary>Errors that reading bytes which are no plan can end with.</summary>
    public static bool IsUnreadable(Exception error) => error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or ArgumentException or IndexOutOfRangeException or OverflowException
        || error is ShardCloudException { Code: not (ErrorCodes.PlannerUnknown or ErrorCodes.PlanUnreadable) };

    public static ShardCloudException Unreadable(string why, Exception? error) => new(
        ErrorCodes.PlanUnreadable, $"This is not a stored plan: {why}", "Fetch it again: 'shardcloud replay UPDATE/NUMBER --save FILE'.", error);

    public static ShardCloudException PlannerUnknown(int stored, int known) => new(
        ErrorCodes.PlannerUnknown, $"The plan was made by planner {stored}; this program has planner {known}.", "Use the 'shardcloud' of the Orchestrator that made it.");

    public static ShardCloudException TooLarge(long bytes) => new(
        ErrorCodes.OverLimit, $"The plan and its inputs have {bytes} bytes; {PlanFile.BytesMax} are possible.", "Return placed endpoints to their slots: each has a line in every plan.");

    public static IEnumerable<string> Strings(JsonElement json, string name) => json.GetProperty(name).EnumerateArray().Select(item => item.GetString()!);

    public static T[] Rows<T>(JsonElement json, string name, Func<JsonElement[], T> read) => [.. json.GetProperty(name).EnumerateArray().Select(row => read([.. row.EnumerateArray()]))];

    public static void WriteStrings(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts) json.WriteStringValue(text);
        json.WriteEndArray();
    }

    public static void WriteRows<T>(Utf8JsonWriter json, string name, IEnumerable<T> rows, Action<T> write)
    {
        json.WriteStartArray(name);
        foreach (var row in rows)
        {
            json.WriteStartArray();
            write(row);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    public static void WriteNumbers(Utf8JsonWriter json, params ReadOnlySpan<int> numbers)
    {
        foreach (var number in numbers) json.WriteNumberValue(number);
    }

    /// <summary>Numbers in the shortest form that reads as the same; infinity, which JSON has not, as null.</summary>
    public static void WriteNumbers(Utf8JsonWriter json, params ReadOnlySpan<double> numbers)
    {
        foreach (var number in numbers)
        {
            if (double.IsPositiveInfinity(number)) json.WriteNullValue();
            else json.WriteNumberValue(number);
        }
    }

    public static double Number(JsonElement json) => json.ValueKind == JsonValueKind.Null ? double.PositiveInfinity : json.GetDouble();
}
