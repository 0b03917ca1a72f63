using System.Globalization;
using System.Text.Json.Nodes;
using YamlDotNet.RepresentationModel;

namespace ShardCloud.Tests.Shared;

/// <summary>A document of docs/api: finds the operation of a call, and makes and checks JSON by its schemas (the part of JSON Schema that the document uses).</summary>
internal sealed class OpenApiDocument
{
    private readonly YamlMappingNode _root;

    public OpenApiDocument(string path)
    {
        var yaml = new YamlStream();
        using var reader = File.OpenText(path);
        yaml.Load(reader);
        _root = (YamlMappingNode)yaml.Documents[0].RootNode;
    }

    /// <summary>The operation of a request, and its path as the document has it. Null: there is none.</summary>
    public (string Path, YamlMappingNode Operation)? Find(string method, string path)
    {
        var segments = path.Split('/');
        foreach (var (template, methods) in (YamlMappingNode)_root["paths"])
        {
            var parts = template.ToString().Split('/');
            var isIt = parts.Length == segments.Length && parts.Zip(segments).All(pair => pair.First == pair.Second || pair.First.StartsWith('{'));
            if (isIt && Child(methods, method.ToLowerInvariant()) is YamlMappingNode operation) return (template.ToString(), operation);
        }
        return null;
    }

    /// <summary>A schema by its name.</summary>
    public YamlNode Schema(string name) => _root["components"]["schemas"][name];

    /// <summary>The choices of a schema that is an enumeration.</summary>
    public IEnumerable<string> Choices(string schema) => ((YamlSequenceNode)Schema(schema)["enum"]).Select(choice => choice.ToString());

    /// <summary>True when the operation says that it may answer so.</summary>
    public static bool Answers(YamlMappingNode operation, int status) => Child(operation["responses"], status.ToString(CultureInfo.InvariantCulture)) is not null;

    /// <summary>Schema of the request body; null where the operation takes none.</summary>
    public YamlNode? RequestSchema(YamlMappingNode operation) => Child(Child(Child(Child(operation, "requestBody"), "content"), "application/json"), "schema");

    /// <summary>Status and schema of the answer to a call that goes well.</summary>
    public (int Status, YamlNode Schema) Answer(YamlMappingNode operation)
    {
        var (status, response) = ((YamlMappingNode)operation["responses"]).Children.First(pair => pair.Key.ToString().StartsWith('2'));
        return (int.Parse(status.ToString(), CultureInfo.InvariantCulture), Resolve(response)["content"]["application/json"]["schema"]);
    }

    /// <summary>A value that the schema allows, with every member it knows.</summary>
    public JsonNode Sample(YamlNode schema)
    {
        schema = Resolve(schema);
        if (Child(schema, "enum") is YamlSequenceNode choices) return choices[0].ToString();
        switch (schema["type"].ToString())
        {
            case "object" when Child(schema, "properties") is YamlMappingNode properties:
                return new JsonObject(properties.Select(member => KeyValuePair.Create<string, JsonNode?>(member.Key.ToString(), Sample(member.Value))));
            case "object": return new JsonObject { ["some"] = Sample(schema["additionalProperties"]) };
            case "array": return new JsonArray(Sample(schema["items"]));
            case "integer": return 7;
            case "number": return 1.5;
            case "boolean": return true;
            default: return Child(schema, "format")?.ToString() == "date-time" ? "2026-01-02T03:04:05+00:00" : Child(schema, "examples") is YamlSequenceNode examples ? examples[0].ToString() : "text";
        }
    }

    /// <summary>What of a value the schema does not allow; empty when it fits.</summary>
    public IEnumerable<string> Faults(JsonNode? value, YamlNode schema, string at = "$")
    {
        schema = Resolve(schema);
        if (Child(schema, "oneOf") is YamlSequenceNode kinds)
        {
            if (kinds.All(kind => Faults(value, kind, at).Any())) yield return $"{at}: {value?.ToJsonString() ?? "null"} is none of the kinds";
            yield break;
        }
        if (Child(schema, "enum") is YamlSequenceNode choices && !choices.Any(choice => choice.ToString() == value?.ToString())) yield return $"{at}: {value} is none of the choices";
        var kind = schema["type"].ToString();
        var fits = kind switch
        {
            "object" => value is JsonObject,
            "array" => value is JsonArray,
            "integer" => value is JsonValue whole && whole.TryGetValue<long>(out _),
            "number" => value is JsonValue number && (number.TryGetValue<double>(out _) || number.TryGetValue<long>(out _)),
            "boolean" => value is JsonValue truth && truth.TryGetValue<bool>(out _),
            _ => value is JsonValue text && text.TryGetValue<string>(out _),
        };
        if (!fits) yield return $"{at}: {value?.ToJsonString() ?? "null"} is not of type {kind}";
        if (value is JsonArray items)
            foreach (var fault in items.SelectMany((item, index) => Faults(item, schema["items"], $"{at}[{index}]"))) yield return fault;
        if (value is JsonObject named && Child(schema, "additionalProperties") is YamlMappingNode each)
            foreach (var fault in named.SelectMany(member => Faults(member.Value, each, $"{at}.{member.Key}"))) yield return fault;
        if (value is not JsonObject members || Child(schema, "properties") is not YamlMappingNode known) yield break;
        foreach (var (name, member) in members)
        {
            if (Child(known, name) is not { } own) yield return $"{at}.{name} is not in the document";
            else foreach (var fault in Faults(member, own, $"{at}.{name}")) yield return fault;
        }
        if (Child(schema, "required") is not YamlSequenceNode required) yield break;
        foreach (var name in required.Where(name => !members.ContainsKey(name.ToString()))) yield return $"{at}.{name} is missing";
    }

    private YamlNode Resolve(YamlNode node) =>
        Child(node, "$ref") is { } reference ? Resolve(reference.ToString().Split('/').Skip(1).Aggregate((YamlNode)_root, (at, part) => at[part])) : node;

    private static YamlNode? Child(YamlNode? node, string name) => node is YamlMappingNode mapping && mapping.Children.TryGetValue(name, out var child) ? child : null;
}
