using System.Text.Json;
using System.Text.Json.Nodes;

namespace ShardCloud.DurableTask.Handler;

/// <summary>The body of a call by the host: binding values and metadata. Reading is liberal, as hosts differ in small ways.</summary>
internal sealed class FunctionEnvelope(JsonElement data, JsonElement metadata)
{
    public static FunctionEnvelope Parse(JsonElement root) => new(Property(root, "Data"), Property(root, "Metadata"));

    /// <summary>The string that the host's binding produced: one extra level of JSON quoting is taken off.</summary>
    public string? Text(string binding) =>
        data.ValueKind == JsonValueKind.Object && data.TryGetProperty(binding, out var value) ? Unquote(value) : null;

    /// <summary>The string of the only binding, or of the only one besides durable clients.</summary>
    public string? OnlyText() => data.ValueKind != JsonValueKind.Object
        ? null
        : data.EnumerateObject().Select(p => Unquote(p.Value)).FirstOrDefault(text => Client(text) is null);

    /// <summary>The binding that is an HTTP request, if there is one.</summary>
    public JsonElement? HttpRequest()
    {
        if (data.ValueKind != JsonValueKind.Object) return null;
        foreach (var property in data.EnumerateObject())
            if (property.Value.ValueKind == JsonValueKind.Object && Has(property.Value, "Method") && Has(property.Value, "Url")) return property.Value;
        return null;
    }

    /// <summary>The durable client binding, if there is one.</summary>
    public Client.DurableClientBinding? DurableClient()
    {
        if (data.ValueKind != JsonValueKind.Object) return null;
        return data.EnumerateObject().Select(p => Client(Unquote(p.Value))).FirstOrDefault(found => found is not null);
    }

    public string? MetadataText(string key) =>
        metadata.ValueKind == JsonValueKind.Object && metadata.TryGetProperty(key, out var value) ? Unquote(value) : null;

    private static Client.DurableClientBinding? Client(string? text)
    {
        if (text is null || !text.StartsWith('{') || !text.Contains("rpcBaseUrl", StringComparison.OrdinalIgnoreCase)) return null;
        try
        {
            var found = JsonSerializer.Deserialize<Client.DurableClientBinding>(text, Execution.PayloadJson.Options);
            return found?.RpcBaseUrl is { Length: > 0 } ? found : null;
        }
        catch (JsonException)
        {
            return null; // some other string that only mentions the word
        }
    }

    private static string? Unquote(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.String) return value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined ? null : value.GetRawText();
        var text = value.GetString()!;
        return text.StartsWith('"') ? JsonSerializer.Deserialize<string>(text) : text;
    }

    private static bool Has(JsonElement element, string name) => element.TryGetProperty(name, out _);

    private static JsonElement Property(JsonElement root, string name) =>
        root.ValueKind == JsonValueKind.Object && root.TryGetProperty(name, out var value) ? value : default;
}

/// <summary>The answer to the host. Always a JSON object: an empty 200 would hang the invocation until its timeout.</summary>
internal sealed record FunctionAnswer(JsonNode? ReturnValue = null, JsonObject? Outputs = null)
{
    public string ToJson()
    {
        var answer = new JsonObject { ["Outputs"] = Outputs ?? [], ["Logs"] = new JsonArray() };
        if (ReturnValue is not null) answer["ReturnValue"] = ReturnValue;
        return answer.ToJsonString();
    }
}
