using System.Text.Json;
using System.Text.Json.Nodes;
using Json.Schema;

namespace ShardCloud.Orchestrator.Tests.Shards.AppService;

/// <summary>What Microsoft says bodies look like (tests/Shared/ArmSpecs): names every fault of a body by its path.</summary>
public static class ArmSchemas
{
    private static readonly JsonObject Requests = Load("request"), Responses = Load("response");

    private static readonly Dictionary<(bool Request, string Definition), JsonSchema> Known = [];

    public static IReadOnlyList<string> FaultsOfRequest(string definition, JsonNode? body) => Faults(true, definition, body);

    public static IReadOnlyList<string> FaultsOfResponse(string definition, JsonNode? body) => Faults(false, definition, body);

    private static IReadOnlyList<string> Faults(bool request, string definition, JsonNode? body)
    {
        JsonSchema schema;
        lock (Known)
        {
            if (Known.TryGetValue((request, definition), out var known))
            {
                schema = known;
            }
            else
            {
                var whole = (JsonObject)(request ? Requests : Responses).DeepClone();
                whole["$id"] = $"https://specs.invalid/{(request ? "request" : "response")}/{definition}";
                whole["$ref"] = $"#/$defs/{definition}";
                Known[(request, definition)] = schema = JsonSchema.FromText(whole.ToJsonString());
            }
        }
        var result = schema.Evaluate(JsonSerializer.SerializeToElement(body), new EvaluationOptions { OutputFormat = OutputFormat.List });
        return result.IsValid ? [] : [.. from detail in result.Details!
                                         where detail.Errors is { Count: > 0 }
                                         from error in detail.Errors!
                                         select $"{detail.InstanceLocation}: {error.Key} {error.Value}"];
    }

    private static JsonObject Load(string kind) =>
        (JsonObject)JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "ArmSpecs", $"microsoft.web-2025-03-01.{kind}.schema.json")))!;
}
