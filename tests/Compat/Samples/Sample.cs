using System.Text.Json;
using System.Text.Json.Serialization;
using Azure.Data.Tables;
using ShardCloud.Crdt;
using ShardCloud.Replication;

namespace ShardCloud.Compat.Tests.Samples;

/// <summary>One thing that a release writes and another may have to read.</summary>
/// <param name="Name">Path of its file under the release's folder, without the ending.</param>
/// <param name="Write">What today's code writes: text, or bytes as hex. One line.</param>
/// <param name="Read">What today's code reads from such a line, as lines for people.</param>
public sealed record Sample(string Name, Func<string> Write, Func<string, string> Read)
{
    /// <summary>Where JSON has members that the released one has not, they may be new. Of everything else each byte counts.</summary>
    public bool IsJson { get; private init; }

    /// <summary>Its values come from <see cref="Filler"/>, which gives others when a type gains a member: only what was released can be compared, read and written again.</summary>
    public bool IsFilled { get; private init; }

    /// <summary>Bytes, and what is read from them.</summary>
    public static Sample OfBytes<T>(string name, Func<byte[]> write, Func<byte[], T> read) =>
        new(name, () => Convert.ToHexStringLower(write()), line => Show(read(Convert.FromHexString(line))));

    /// <summary>JSON: what was read is shown as today's code writes it, so what it did not take is missing.</summary>
    public static Sample OfJson<T>(string name, T value, Func<T, string> write, Func<string, T> read, bool isFilled = false) =>
        new(name, () => write(value), line => write(read(line))) { IsJson = true, IsFilled = isFilled };

    /// <summary>A text that is not JSON: a header, a token.</summary>
    public static Sample OfText<T>(string name, Func<string> write, Func<string, T> read) => new(name, write, line => Show(read(line)));

    /// <summary>A row of a table.</summary>
    public static Sample OfRow<T>(string name, T value, Func<T, TableEntity> write, Func<TableEntity, T> read, bool isFilled = false) =>
        OfJson(name, value, v => Line(write(v)), line => read(Entity(line)), isFilled);

    /// <summary>Rows of a table that are read together.</summary>
    public static Sample OfRows<T>(string name, T value, Func<T, IEnumerable<TableEntity>> write, Func<IReadOnlyList<TableEntity>, T> read, bool isFilled = false) => OfJson(
        name, value, v => $"[{string.Join(',', write(v).Select(Line))}]",
        line => read([.. JsonDocument.Parse(line).RootElement.EnumerateArray().Select(row => Entity(row.GetRawText()))]), isFilled);

    private static readonly JsonSerializerOptions Shown = new()
    {
        WriteIndented = true,
        IncludeFields = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters =
        {
            new JsonStringEnumConverter(), new AsText<IncarnationId>(id => id.Value), new AsText<ShardId>(id => id.Value), new AsText<EndpointId>(id => id.Value), new AsText<Epoch>(epoch => epoch.ToString()),
            new AsText<HandoffId>(id => id.ToString()), new AsText<SlotRange>(range => $"{range.First}+{range.Count}"), new AsText<Document>(Text), new AsText<CorruptDeltaException>(error => error.Message),
            new AsText<GrantCoverage>(Text), new AsText<OpenCoverage>(open => Text(open.Granted)), new AsText<ReadOnlyMemory<byte>>(bytes => Convert.ToHexStringLower(bytes.Span)), new AsText<byte[]>(Convert.ToHexStringLower),
        },
    };

    private static string Show<T>(T value) => JsonSerializer.Serialize<object?>(value, Shown);

    private static string Text(Document document) =>
        $"seen {document.Context}; visits {document.Fields.Counter("visits")}, title {document.Fields.Register("title")}";

    private static string Text(GrantCoverage coverage) =>
        string.Join(", ", coverage.Slots.Select(cover => $"slots {cover.Range.First}+{cover.Range.Count}{(cover.Except.Count == 0 ? "" : $" without {string.Join(' ', cover.Except)}")}").Concat(coverage.Placed.Select(endpoint => endpoint.Value)));

    // "Int64 15000": the type of a column is part of what is read.
    private static string Line(TableEntity row) => JsonSerializer.Serialize(
        row.Where(column => column.Key is not "odata.etag" and not "Timestamp" && column.Value is not null)
            .ToDictionary(column => column.Key, column => $"{column.Value.GetType().Name} {(column.Value is DateTimeOffset at ? at.ToString("o") : FormattableString.Invariant($"{column.Value}"))}"), Shown).ReplaceLineEndings("");

    private static TableEntity Entity(string line)
    {
        var row = new TableEntity();
        foreach (var (name, typed) in JsonSerializer.Deserialize<Dictionary<string, string>>(line)!)
        {
            var (type, text) = (typed[..typed.IndexOf(' ')], typed[(typed.IndexOf(' ') + 1)..]);
            row[name] = type switch
            {
                "String" => text,
                "Int32" => int.Parse(text),
                "Int64" => long.Parse(text),
                "Boolean" => bool.Parse(text),
                "DateTimeOffset" => DateTimeOffset.Parse(text),
                _ => throw new InvalidDataException($"A column of type {type}."),
            };
        }
        return row;
    }

    private sealed class AsText<T>(Func<T, string> text) : JsonConverter<T>
    {
        public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => throw new NotSupportedException();

        public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteStringValue(text(value));
    }
}
