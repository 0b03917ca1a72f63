using System.Text.Json;
using System.Text.Json.Serialization;

namespace ShardCloud.DurableTask.Execution;

/// <summary>Result of an activity as it travels through the host: a JSON string that holds this object as JSON text.</summary>
/// <remarks>
/// A non-2xx answer of a handler reaches the orchestrator without the handler's words, so a failure travels as a result. And the host
/// rewrites date-looking strings inside object results, so the object travels as one string. The version keeps old results readable.
/// </remarks>
internal sealed record ActivityOutcome
{
    private const string Prefix = "{\"v\":1,\"ok\":";

    [JsonPropertyName("v"), JsonPropertyOrder(0)]
    public int FormatVersion { get; init; } = 1;

    [JsonPropertyOrder(1)]
    public bool Ok { get; init; }

    /// <summary>JSON of the value when Ok.</summary>
    [JsonPropertyOrder(2), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public JsonElement? Value { get; init; }

    [JsonPropertyOrder(3), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public TaskFailureDetails? Failure { get; init; }

    /// <summary>The text to return as the activity's result (a plain string; the host adds the quotes).</summary>
    public static string Success(string? valueJson)
    {
        using var document = valueJson is null ? null : JsonDocument.Parse(valueJson);
        return JsonSerializer.Serialize(new ActivityOutcome { Ok = true, Value = document?.RootElement }, PayloadJson.Options);
    }

    public static string Failed(TaskFailureDetails failure) =>
        JsonSerializer.Serialize(new ActivityOutcome { Failure = failure }, PayloadJson.Options);

    /// <summary>Reads the result of a TaskCompleted event. What is no envelope is a bare result: an activity of another origin.</summary>
    public static (string? ValueJson, TaskFailureDetails? Failure) Read(string? result)
    {
        if (result is null || result.Length == 0 || result[0] != '"') return (result, null);
        var text = JsonSerializer.Deserialize<string>(result)!;
        if (!text.StartsWith(Prefix, StringComparison.Ordinal)) return (result, null);
        var outcome = JsonSerializer.Deserialize<ActivityOutcome>(text, PayloadJson.Options)!;
        return outcome.Ok ? (outcome.Value?.GetRawText(), null) : (null, outcome.Failure ?? TaskFailureDetails.Unknown);
    }
}
