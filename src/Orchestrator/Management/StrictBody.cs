using System.Text.Json;
using Microsoft.Net.Http.Headers;
using ShardCloud.Contracts;

namespace ShardCloud.Orchestrator.Management;

/// <summary>A request body read strictly: JSON object, known members only, each once. A typing error in a management call must not be ignored.</summary>
public sealed class StrictBody
{
    private readonly Dictionary<string, JsonElement> _members;

    private StrictBody(string text, Dictionary<string, JsonElement> members) => (Text, _members) = (text, members);

    /// <summary>The body as sent: what an <c>Idempotency-Key</c> is compared by.</summary>
    public string Text { get; }

    /// <summary>Reads the body of a call.</summary>
    /// <param name="context">The call.</param>
    /// <param name="known">Every member that the call may have.</param>
    /// <exception cref="ShardCloudException">SC5016, SC5020, SC5001 or SC5002.</exception>
    public static Task<StrictBody> ReadAsync(HttpContext context, params string[] known) => ReadAsync(context, ManagementLimits.BodyBytesMax, known);

    /// <inheritdoc cref="ReadAsync(HttpContext, string[])"/>
    public static async Task<StrictBody> ReadAsync(HttpContext context, int bytesMax, string[] known)
    {
        if (!MediaTypeHeaderValue.TryParse(context.Request.ContentType, out var type) || !type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase))
            throw new ShardCloudException(ErrorCodes.UnsupportedMediaType,
                $"The body's type is '{context.Request.ContentType ?? "(none)"}'.", "Send JSON with Content-Type: application/json.");
        var bytes = await ReadBytesAsync(context, bytesMax);
        try
        {
            using var json = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = 8, AllowDuplicateProperties = false });
            if (json.RootElement.ValueKind != JsonValueKind.Object) throw Malformed($"it is a JSON {Kind(json.RootElement)}, not an object");
            var members = json.RootElement.EnumerateObject().ToDictionary(m => m.Name, m => m.Value.Clone(), StringComparer.Ordinal);
            var unknown = members.Keys.Where(name => !known.Contains(name, StringComparer.Ordinal)).ToList();
            return unknown.Count == 0 ? new StrictBody(json.RootElement.GetRawText(), members) : throw new ShardCloudException(ErrorCodes.UnknownMember,
                $"The body has a member '{unknown[0]}', which this call does not know.", $"Known members: {string.Join(", ", known)}. Names are case-sensitive.");
        }
        catch (JsonException error)
        {
            throw Malformed(error.Message);
        }
    }

    /// <summary>A string that must be there.</summary>
    /// <exception cref="ShardCloudException">SC5019, SC5021 or SC5008.</exception>
    public string RequireString(string name, int lengthMax) => OptionalString(name, lengthMax) is { Length: > 0 } text ? text : throw Missing(name);

    /// <summary>A string that may be absent or null.</summary>
    /// <exception cref="ShardCloudException">SC5021 or SC5008.</exception>
    public string? OptionalString(string name, int lengthMax)
    {
        if (!_members.TryGetValue(name, out var value) || value.ValueKind == JsonValueKind.Null) return null;
        if (value.ValueKind != JsonValueKind.String) throw Bad(name, value, "a string");
        var text = value.GetString()!;
        if (text.Length > lengthMax) throw new ShardCloudException(ErrorCodes.OverLimit, $"'{name}' has {text.Length} characters; {lengthMax} are allowed.", "Shorten it.");
        return text.AsSpan().ContainsAnyInRange('\u0000', '\u001f') ? throw Bad(name, value, "a string without control characters") : text;
    }

    /// <summary>Whatever JSON the member has; null where it is absent. Its reader is as strict as this one.</summary>
    public JsonElement? Optional(string name) => _members.TryGetValue(name, out var value) ? value : null;

    /// <summary>A whole number that must be there.</summary>
    /// <exception cref="ShardCloudException">SC5019 or SC5021.</exception>
    public int RequireInt32(string name, int min, int max)
    {
        if (!_members.TryGetValue(name, out var value)) throw Missing(name);
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= min && number <= max
            ? number : throw Bad(name, value, $"a whole number from {min} to {max}");
    }

    /// <summary>A whole number that may be absent or null.</summary>
    /// <exception cref="ShardCloudException">SC5020.</exception>
    public int OptionalInt32(string name, int min, int max, int usual) => IsAbsent(name) ? usual : RequireInt32(name, min, max);

    /// <summary>A number that may be absent or null.</summary>
    /// <exception cref="ShardCloudException">SC5020.</exception>
    public double? OptionalNumber(string name, double min, double max) => IsAbsent(name) ? null
        : _members[name] is { ValueKind: JsonValueKind.Number } value && value.TryGetDouble(out var number) && number >= min && number <= max
            ? number : throw Bad(name, _members[name], FormattableString.Invariant($"a number from {min} to {max}"));

    /// <summary>True or false; absent or null is false.</summary>
    /// <exception cref="ShardCloudException">SC5020.</exception>
    public bool Flag(string name) => !IsAbsent(name) && (_members[name].ValueKind is JsonValueKind.True or JsonValueKind.False ? _members[name].GetBoolean() : throw Bad(name, _members[name], "true or false"));

    /// <summary>An object in the body, read as strictly; null where it is absent or null.</summary>
    /// <exception cref="ShardCloudException">SC5020 or SC5002.</exception>
    public StrictBody? OptionalObject(string name, params string[] known)
    {
        if (IsAbsent(name)) return null;
        var value = _members[name];
        if (value.ValueKind != JsonValueKind.Object) throw Bad(name, value, "an object");
        return value.EnumerateObject().FirstOrDefault(member => !known.Contains(member.Name, StringComparer.Ordinal)) is { Value.ValueKind: not JsonValueKind.Undefined } unknown
            ? throw new ShardCloudException(ErrorCodes.UnknownMember, $"'{name}' has a member '{unknown.Name}', which this call does not know.", $"Known members: {string.Join(", ", known)}. Names are case-sensitive.")
            : new StrictBody(value.GetRawText(), value.EnumerateObject().ToDictionary(member => member.Name, member => member.Value, StringComparer.Ordinal));
    }

    /// <summary>A list of strings that must be there and not be empty.</summary>
    /// <exception cref="ShardCloudException">SC5019, SC5021, SC5003 or SC5008.</exception>
    public IReadOnlyList<string> RequireStrings(string name, int countMax)
    {
        if (!_members.TryGetValue(name, out var value)) throw Missing(name);
        if (value.ValueKind != JsonValueKind.Array) throw Bad(name, value, "a list of strings");
        var count = value.GetArrayLength();
        if (count == 0) throw new ShardCloudException(ErrorCodes.EmptyList, $"'{name}' is empty.", "Name at least one.");
        if (count > countMax) throw new ShardCloudException(ErrorCodes.OverLimit, $"'{name}' has {count} items; {countMax} are allowed.", "Split it over several calls.");
        return [.. value.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Bad(name, item, "a list of strings"))];
    }

    private bool IsAbsent(string name) => !_members.TryGetValue(name, out var value) || value.ValueKind == JsonValueKind.Null;

    private static async Task<byte[]> ReadBytesAsync(HttpContext context, int bytesMax)
    {
        using var body = new MemoryStream();
        var buffer = new byte[16 * 1024];
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer, context.RequestAborted)) > 0)
        {
            if (body.Length + read > bytesMax)
                throw new ShardCloudException(ErrorCodes.BodyTooLarge, $"The body is larger than {bytesMax} bytes.", "Split it over several calls.");
            body.Write(buffer, 0, read);
        }
        return body.ToArray();
    }

    private static ShardCloudException Malformed(string why) =>
        new(ErrorCodes.MalformedJson, $"The body cannot be read: {why}.", "Send one JSON object as docs/api/openapi.yaml shows, each member once.");

    private static ShardCloudException Missing(string name) => new(ErrorCodes.MissingValue, $"The body has no '{name}'.", $"Add a value for '{name}'.");

    private static ShardCloudException Bad(string name, JsonElement value, string wanted) =>
        new(ErrorCodes.BadValue, $"'{name}' is a JSON {Kind(value)} that does not fit: it must be {wanted}.", $"Send {wanted}.");

    private static string Kind(JsonElement value) => value.ValueKind.ToString().ToLowerInvariant();
}
