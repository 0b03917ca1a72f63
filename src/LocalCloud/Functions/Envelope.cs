using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>Writes calls of the handler as the real host does: strings carry one extra level of JSON quoting.</summary>
internal static class Envelope
{
    public static JsonObject Write(FunctionDefinition function, JsonNode? triggerValue, IReadOnlyDictionary<string, string> strings, JsonObject? metadata, DateTime now)
    {
        var data = new JsonObject { [function.TriggerBinding] = triggerValue };
        foreach (var (name, value) in strings) data[name] = Literal(value);
        metadata ??= [];
        metadata["sys"] = new JsonObject { ["MethodName"] = function.Name, ["UtcNow"] = now.ToString("o", CultureInfo.InvariantCulture), ["RandGuid"] = Guid.NewGuid().ToString() };
        return new JsonObject { ["Data"] = data, ["Metadata"] = metadata };
    }

    /// <summary>A string of the host: a JSON string that holds a JSON string literal. No value: the text null.</summary>
    public static JsonNode Literal(string? value) => value is null ? "null" : JsonSerializer.Serialize(value);

    /// <summary>Metadata of an activity: what the host copies from the call, the input's own properties included.</summary>
    public static JsonObject ActivityMetadata(string instanceId, string binding, string? input)
    {
        var metadata = new JsonObject();
        if (input is not null && input.AsSpan().TrimStart().StartsWith("{"))
            foreach (var (name, value) in JsonNode.Parse(input)!.AsObject())
                if (value is not JsonArray) metadata[name] = value is JsonValue scalar && scalar.GetValueKind() == JsonValueKind.String ? Literal(scalar.GetValue<string>()) : value?.DeepClone();
        metadata["instanceId"] = Literal(instanceId);
        metadata["data"] = Literal(input);
        metadata[binding] = Literal(input);
        return metadata;
    }

    public static async Task<JsonObject> HttpRequestAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var headers = new JsonObject();
        foreach (var (name, values) in request.Headers) headers[name] = new JsonArray([.. values.Select(v => (JsonNode?)JsonValue.Create(v))]);
        var query = new JsonObject();
        foreach (var (name, values) in request.Query) query[name] = values.ToString();
        var parameters = new JsonObject();
        foreach (var (name, value) in request.RouteValues) parameters[name] = value?.ToString();
        var result = new JsonObject
        {
            ["Url"] = Microsoft.AspNetCore.Http.Extensions.UriHelper.GetEncodedUrl(request),
            ["Method"] = request.Method,
            ["Query"] = query,
            ["Headers"] = headers,
            ["Params"] = parameters,
            ["Identities"] = new JsonArray(),
        };
        if (request.ContentLength is not > 0) return result; // the real host leaves a chunked body out, so we do

        using var body = new MemoryStream();
        await request.Body.CopyToAsync(body, cancellationToken).ConfigureAwait(false);
        var bytes = body.GetBuffer().AsSpan(0, (int)body.Length);
        result["Body"] = IsBinary(request.ContentType) ? Convert.ToBase64String(bytes) : Encoding.UTF8.GetString(bytes);
        return result;
    }

    private static bool IsBinary(string? contentType) =>
        contentType is not null && (contentType.StartsWith("application/octet-stream", StringComparison.OrdinalIgnoreCase) || contentType.StartsWith("multipart/", StringComparison.OrdinalIgnoreCase));
}

/// <summary>What the handler answered.</summary>
/// <param name="Outputs">Values of output bindings by name.</param>
/// <param name="ReturnValue">Absent: undefined.</param>
/// <param name="Failure">Why the invocation failed; null: it did not. Nothing else holds then.</param>
internal sealed record HandlerAnswer(JsonElement Outputs, JsonElement ReturnValue, string? Failure = null)
{
    public static HandlerAnswer Failed(string why) => new(default, default, why);

    /// <summary>The words that .NET's HTTP client has for a status, which is all that a failed call leaves in a history.</summary>
    public static HandlerAnswer Failed(HttpStatusCode status, string? reason) => Failed($"Response status code does not indicate success: {(int)status} ({reason}).");

    /// <summary>Reads a body. False: it is empty or null, which the real host waits on until the function's timeout.</summary>
    public static bool TryRead(byte[] body, out HandlerAnswer answer)
    {
        answer = null!;
        if (body.AsSpan().Trim(" \r\n\t"u8).IsEmpty) return false;
        try
        {
            var root = JsonSerializer.Deserialize<JsonElement>(body);
            if (root.ValueKind == JsonValueKind.Null) return false;
            answer = root.ValueKind != JsonValueKind.Object
                ? Failed("The handler's answer is not a JSON object.")
                : new HandlerAnswer(Find(root, "Outputs"), Find(root, "ReturnValue"));
            if (answer.Failure is null && Find(root, "Logs") is { ValueKind: JsonValueKind.Array } logs) answer = answer with { Logs = [.. logs.EnumerateArray().Select(l => l.ToString())] };
            return true;
        }
        catch (JsonException e)
        {
            answer = Failed($"The handler's answer is not JSON: {e.Message}");
            return true;
        }
    }

    public IReadOnlyList<string> Logs { get; private init; } = [];

    /// <summary>Value of an output binding. A string that is valid base64 arrives as bytes: the real host decodes it for every declared output.</summary>
    public (JsonElement Value, byte[]? Bytes) Output(string name)
    {
        var value = Find(Outputs, name);
        if (value.ValueKind != JsonValueKind.String) return (value, null);
        var text = value.GetString()!;
        var bytes = new byte[text.Length];
        return Convert.TryFromBase64String(text, bytes, out var length) && length > 0 ? (value, bytes[..length]) : (value, null);
    }

    public static JsonElement Find(JsonElement element, string name)
    {
        if (element.ValueKind != JsonValueKind.Object) return default;
        foreach (var property in element.EnumerateObject())
            if (property.Name.Equals(name, StringComparison.OrdinalIgnoreCase)) return property.Value;
        return default;
    }
}
