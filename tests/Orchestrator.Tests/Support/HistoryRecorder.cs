using System.Text.Json.Nodes;
using Google.Protobuf;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.Orchestrator.Tests.Support;

/// <summary>Writes the histories that the tests make as files for the replays of tests/Compat; only when asked to, by <see cref="Variable"/>. The README there says when.</summary>
/// <remarks>A file is one generation of one instance, a line a turn: the events that arrived, the actions that the code answered with, and what the host recorded of them.
/// Of histories of the same shape (kinds and names of events and actions) the first one is kept.</remarks>
internal static class HistoryRecorder
{
    /// <summary>Environment variable with the folder to write to.</summary>
    public const string Variable = "SHARDCLOUD_RECORD_HISTORIES";

    private static readonly string? Folder = Environment.GetEnvironmentVariable(Variable);
    private static readonly HashSet<string> Shapes = [];

    public static bool IsOn => Folder is not null;

    public static string Turn(IEnumerable<HistoryEvent> arrived, OrchestratorResponse response, IEnumerable<HistoryEvent> recorded) => new JsonObject
    {
        ["arrived"] = Json(arrived),
        ["actions"] = Json(response.Actions),
        ["status"] = response.CustomStatus,
        ["recorded"] = Json(recorded),
    }.ToJsonString();

    public static void Write(string test, string orchestration, IReadOnlyList<string> turns)
    {
        lock (Shapes)
        {
            if (!Shapes.Add($"{orchestration}\n{string.Join('\n', turns.Select(Shape))}")) return;
            var folder = Directory.CreateDirectory(Path.Combine(Folder!, orchestration)).FullName;
            var number = Directory.GetFiles(folder, $"{test}.*.jsonl").Length + 1;
            File.WriteAllText(Path.Combine(folder, $"{test}.{number}.jsonl"), string.Join('\n', turns) + "\n");
        }
    }

    private static JsonArray Json(IEnumerable<IMessage> messages) =>
        new([.. messages.Select(message => Scrubbed(JsonNode.Parse(JsonFormatter.Default.Format(message))!))]);

    // Stack traces name files of the machine that recorded; nothing reads them. They stand in failures, and in results that carry failures.
    private static JsonNode Scrubbed(JsonNode node)
    {
        if (node is JsonArray list)
            foreach (var item in list.OfType<JsonNode>()) Scrubbed(item);
        if (node is not JsonObject members) return node;
        foreach (var (name, value) in members.ToList())
        {
            if (name == "stackTrace") members.Remove(name);
            else if (value is JsonValue text && text.TryGetValue<string>(out var inner) && inner.Contains("stackTrace", StringComparison.Ordinal)) members[name] = ScrubbedText(inner);
            else if (value is not null) Scrubbed(value);
        }
        return node;
    }

    private static string ScrubbedText(string json)
    {
        var node = JsonNode.Parse(json)!;
        return (node is JsonValue text && text.TryGetValue<string>(out var inner) ? JsonValue.Create(ScrubbedText(inner)) : Scrubbed(node)).ToJsonString();
    }

    private static string Shape(string turn)
    {
        var node = JsonNode.Parse(turn)!;
        return string.Join(';', node["arrived"]!.AsArray().Concat(node["actions"]!.AsArray()).Select(item => string.Join(',', item!.AsObject().Select(member => member.Key + (member.Value as JsonObject)?["name"]))));
    }
}
