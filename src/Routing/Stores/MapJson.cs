using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace ShardCloud.Routing;

/// <summary>JSON of change log rows and of snapshots. Format 1; members that a reader does not know are ignored, operations are not.</summary>
internal static class MapJson
{
    public const int Format = 1;

    // Relaxed escaping: keys are stored as they are read, and a row has room for 97 of them.
    private static readonly MapJsonContext Context = new(new JsonSerializerOptions(MapJsonContext.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    public static string Write(MapChange change) =>
        JsonSerializer.Serialize(new ChangeRow(Format, change.Version, change.At, change.Commit.Cause, change.Commit.Reason, change.Commit.Operations), Context.ChangeRow);

    /// <exception cref="ShardCloudException">SC1011: not a change this member understands.</exception>
    public static MapChange ReadChange(string json)
    {
        try
        {
            var row = JsonSerializer.Deserialize(json, Context.ChangeRow);
            if (row is { F: Format, Ops: not null }) return new MapChange(row.V, row.At, new MapCommit(row.Cause ?? "", row.Reason ?? "", row.Ops));
            throw Unreadable($"has format {row?.F}", null);
        }
        catch (Exception error) when (error is JsonException or NotSupportedException or InvalidOperationException)
        {
            throw Unreadable(error.Message, error);
        }
    }

    public static byte[] WriteSnapshot(SnapshotFile file) => JsonSerializer.SerializeToUtf8Bytes(file, Context.SnapshotFile);

    public static SnapshotFile? ReadSnapshot(ReadOnlySpan<byte> json) => JsonSerializer.Deserialize(json, Context.SnapshotFile);

    public static ShardCloudException Unreadable(string what, Exception? inner) =>
        new(ErrorCodes.MapUnreadable, $"A record of the routing map cannot be read: {what}.", "Update this member if a newer one wrote the map; otherwise restore the map table.", inner);
}

internal sealed record ChangeRow(int F, MapVersion V, DateTimeOffset At, string? Cause, string? Reason, IReadOnlyList<MapOperation> Ops);

/// <summary>A whole map. Entries are listed once and named by their index.</summary>
internal sealed record SnapshotFile(
    int F, MapVersion V, int Partitions, string Log, IReadOnlyList<LiveMember> Live, IReadOnlyList<IncarnationId> Fenced, IReadOnlyList<ShardId> Cordoned,
    IReadOnlyDictionary<string, IReadOnlyList<TemplateSpec>> Templates, IReadOnlyList<SnapshotEntry> Entries,
    IReadOnlyList<SnapshotSlots> Slots, IReadOnlyList<SnapshotPlaced> Placed, IReadOnlyList<SnapshotBackup> Backups, int Level = 1);

internal sealed record SnapshotEntry(IncarnationId O, long E, IncarnationId T, long H);

internal sealed record SnapshotSlots(SlotRange S, int E);

internal sealed record SnapshotPlaced(EndpointId K, int E);

internal sealed record SnapshotBackup(int P, IncarnationId O, IncarnationId B);

[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, UseStringEnumConverter = true,
    Converters = [typeof(EntryKeyJson), typeof(IncarnationIdJson), typeof(EndpointIdJson), typeof(ShardIdJson), typeof(SlotRangeJson), typeof(MapVersionJson), typeof(HandoffIdJson)])]
[JsonSerializable(typeof(ChangeRow))]
[JsonSerializable(typeof(SnapshotFile))]
internal sealed partial class MapJsonContext : JsonSerializerContext;

/// <summary>A value that is one string in JSON.</summary>
internal abstract class TextJson<T>(Func<string, T> parse, Func<T, string> text) : JsonConverter<T>
{
    public override T? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        try
        {
            return parse(reader.GetString() ?? throw new JsonException("A string was expected."));
        }
        catch (ShardCloudException error)
        {
            throw new JsonException(error.Message, error);
        }
    }

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteStringValue(text(value));
}

internal sealed class EntryKeyJson() : TextJson<EntryKey>(EntryKey.Parse, key => key.ToString());

internal sealed class IncarnationIdJson() : TextJson<IncarnationId>(text => text.Length == 0 ? IncarnationId.None : new IncarnationId(text), id => id.Value);

internal sealed class EndpointIdJson() : TextJson<EndpointId>(text => new EndpointId(text), id => id.Value);

internal sealed class ShardIdJson() : TextJson<ShardId>(text => new ShardId(text), id => id.Value);

internal sealed class SlotRangeJson() : TextJson<SlotRange>(text => EntryKey.Parse(text).Slots, slots => EntryKey.Of(slots).ToString());

internal sealed class MapVersionJson : JsonConverter<MapVersion>
{
    public override MapVersion Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => new(reader.GetInt64());

    public override void Write(Utf8JsonWriter writer, MapVersion value, JsonSerializerOptions options) => writer.WriteNumberValue(value.Value);
}

internal sealed class HandoffIdJson : JsonConverter<HandoffId>
{
    public override HandoffId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => new(reader.GetInt64());

    public override void Write(Utf8JsonWriter writer, HandoffId value, JsonSerializerOptions options) => writer.WriteNumberValue(value.Value);
}
