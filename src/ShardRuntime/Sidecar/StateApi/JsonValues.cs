using System.Buffers;
using System.Globalization;
using System.Text.Json;
using ShardCloud.Crdt;

namespace ShardCloud.ShardRuntime.Sidecar.StateApi;

/// <summary>A <see cref="Value"/> in JSON: text, <c>true</c>, whole numbers of 64 bits as they are; <c>1.0</c> and <c>1e3</c> are floating point; <c>{"bytes":"base64"}</c>, <c>{"double":"NaN"}</c>.</summary>
internal static class JsonValues
{
    /// <summary>One JSON object.</summary>
    public static byte[] Written(Action<Utf8JsonWriter> members)
    {
        var bytes = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            members(json);
            json.WriteEndObject();
        }
        return bytes.WrittenSpan.ToArray();
    }

    /// <exception cref="ShardCloudException">SC5020: no value has this form.</exception>
    public static Value Read(JsonElement json, string name)
    {
        switch (json.ValueKind)
        {
            case JsonValueKind.String: return json.GetString()!;
            case JsonValueKind.True or JsonValueKind.False: return json.GetBoolean();
            case JsonValueKind.Number: return json.TryGetInt64(out var whole) ? Value.Of(whole) : Value.Of(json.GetDouble());
            case JsonValueKind.Object when json.TryGetProperty("bytes", out var bytes) && bytes.ValueKind is JsonValueKind.String && bytes.TryGetBytesFromBase64(out var content): return content;
            case JsonValueKind.Object when json.TryGetProperty("double", out var text) && text.ValueKind is JsonValueKind.String
                && double.TryParse(text.GetString(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number):
                return number;
            default: throw OperationArguments.Bad(name, "text, a number, true, false, {\"bytes\":\"base64\"} or {\"double\":\"NaN\"}");
        }
    }

    public static void Write(Utf8JsonWriter json, Value value)
    {
        switch (value.Kind)
        {
            case ValueKind.String: json.WriteStringValue(value.AsString()); break;
            case ValueKind.Int64: json.WriteNumberValue(value.AsInt64()); break;
            case ValueKind.Bool: json.WriteBooleanValue(value.AsBool()); break;
            case ValueKind.Double when double.IsFinite(value.AsDouble()):
                var text = value.AsDouble().ToString("R", CultureInfo.InvariantCulture);
                json.WriteRawValue(text.AsSpan().ContainsAny('.', 'E') ? text : text + ".0"); // Or it would come back as a whole number.
                break;
            case ValueKind.Double:
                json.WriteStartObject();
                json.WriteString("double", value.AsDouble().ToString(CultureInfo.InvariantCulture));
                json.WriteEndObject();
                break;
            default:
                json.WriteStartObject();
                json.WriteBase64String("bytes", value.AsBytes().Span);
                json.WriteEndObject();
                break;
        }
    }

    public static void WriteAll(Utf8JsonWriter json, string name, IEnumerable<Value> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values) Write(json, value);
        json.WriteEndArray();
    }
}
