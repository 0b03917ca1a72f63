using System.Buffers;
using System.Globalization;
using System.Text.Json;

namespace ShardCloud.Placement.Affinity;

/// <summary>An affinity map as bytes: one JSON document, one way to write it.</summary>
/// <remarks>
/// What members answer, what the Orchestrator keeps, and what <c>shardcloud affinity import</c> writes. No white space, members always in this order, numbers of at most six digits where a merge or an
/// observation made them:
/// <code>
/// {"affinity":1,"version":12,"at":"2026-11-30T04:13:43.120Z","halfLifeSeconds":600,
///  "vertices":[["inventory/7",12.5,0.02,4096,0,310],["rooms/1",3,0.01,900,4,1200]],
///  "edges":[[0,1,2.25]],
///  "slots":[[17,0.5,0.001,80,0,0]]}
/// </code>
/// <c>vertices</c>: name, then requests/s, cores, bytes/s, connections, bytes of state; in the order of the names (ordinal), each once. <c>edges</c>: places of two vertices, the smaller first, and the accesses
/// a second between them; in that order, each pair once. <c>slots</c>: the slot, then a load as above; in the order of the slots.
/// </remarks>
public static class AffinityFile
{
    /// <summary>Largest document, in bytes: a map with all its bounds reached.</summary>
    public const int BytesMax = 128 << 20;

    private const int Format = 1;

    private static readonly TimeSpan HalfLifeMax = TimeSpan.FromDays(365);

    /// <summary>The bytes.</summary>
    public static byte[] Write(AffinityMap map)
    {
        ArgumentNullException.ThrowIfNull(map);
        var bytes = new ArrayBufferWriter<byte>(1 << 12);
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            json.WriteNumber("affinity", Format);
            json.WriteNumber("version", map.Version);
            json.WriteString("at", map.At.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture));
            json.WriteNumber("halfLifeSeconds", map.HalfLife.TotalSeconds);
            json.WriteStartArray("vertices");
            foreach (var (endpoint, load) in map.Vertices)
            {
                json.WriteStartArray();
                json.WriteStringValue(endpoint.Value);
                WriteLoad(json, load);
                json.WriteEndArray();
            }
            json.WriteEndArray();
            json.WriteStartArray("edges");
            foreach (var (a, b, weight) in map.Edges)
            {
                json.WriteStartArray();
                json.WriteNumberValue(a);
                json.WriteNumberValue(b);
                json.WriteNumberValue(weight);
                json.WriteEndArray();
            }
            json.WriteEndArray();
            json.WriteStartArray("slots");
            foreach (var (slot, load) in map.Slots)
            {
                json.WriteStartArray();
                json.WriteNumberValue(slot.Value);
                WriteLoad(json, load);
                json.WriteEndArray();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return bytes.WrittenSpan.ToArray();
    }

    /// <summary>The map of bytes.</summary>
    /// <exception cref="ShardCloudException">SC5070: not an affinity map, or one that cannot be: a number below 0 or none, an edge of one endpoint, a place that is none, something twice or out of order.</exception>
    public static AffinityMap Read(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Length > BytesMax) throw Unreadable($"it has {bytes.Length} bytes; {BytesMax} are possible", null);
        try
        {
            using var json = JsonDocument.Parse(bytes);
            var root = json.RootElement;
            var format = root.GetProperty("affinity").GetInt32();
            if (format != Format) throw Unreadable($"its format is {format}; this program reads {Format}", null);
            if (root.EnumerateObject().Count() != 7) throw Unreadable("it has members that no affinity map has, or one twice", null);
            var vertices = Rows(root, "vertices", 6, row => new AffinityVertex(new EndpointId(row[0].GetString()!), LoadOf(row)));
            var edges = Rows(root, "edges", 3, row => new AffinityEdge(row[0].GetInt32(), row[1].GetInt32(), Number(row[2])));
            var slots = Rows(root, "slots", 6, row => new SlotLoad(new Slot(row[0].GetUInt16()), LoadOf(row)));
            Check(vertices, edges, slots);
            var (version, halfLife) = (root.GetProperty("version").GetInt64(), Number(root.GetProperty("halfLifeSeconds")));
            if (version < 0) throw Unreadable($"its version is {version}", null);
            if (halfLife <= 0 || halfLife > HalfLifeMax.TotalSeconds) throw Unreadable($"its half-life is {halfLife} s; it is above 0 and at most {HalfLifeMax.TotalDays} days", null);
            return new AffinityMap
            {
                Version = version,
                At = root.GetProperty("at").GetDateTimeOffset().ToUniversalTime(),
                HalfLife = TimeSpan.FromSeconds(halfLife),
                Vertices = vertices,
                Edges = edges,
                Slots = slots,
            };
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or ArgumentException or OverflowException
            || (error is ShardCloudException { Code: not ErrorCodes.AffinityUnreadable }))
        {
            throw Unreadable(error.Message, error);
        }
    }

    private static void Check(AffinityVertex[] vertices, AffinityEdge[] edges, SlotLoad[] slots)
    {
        for (var i = 1; i < vertices.Length; i++)
        {
            if (string.CompareOrdinal(vertices[i - 1].Endpoint.Value, vertices[i].Endpoint.Value) >= 0) throw Unreadable($"vertex {i}, '{vertices[i].Endpoint}', is not behind the one before it in the order of the names", null);
        }
        for (var i = 0; i < edges.Length; i++)
        {
            var (a, b, weight) = edges[i];
            if (a < 0 || a >= b || b >= vertices.Length) throw Unreadable($"edge {i} is between {a} and {b}; there are {vertices.Length} vertices, and the smaller place comes first", null);
            if (weight == 0) throw Unreadable($"edge {i} has no weight", null);
            if (i > 0 && (edges[i - 1].A, edges[i - 1].B).CompareTo((a, b)) >= 0) throw Unreadable($"edge {i} is not behind the one before it", null);
        }
        for (var i = 0; i < slots.Length; i++)
        {
            if (slots[i].Slot.Value >= Slot.Count) throw Unreadable($"there is no slot {slots[i].Slot.Value}", null);
            if (i > 0 && slots[i - 1].Slot.Value >= slots[i].Slot.Value) throw Unreadable($"slot {slots[i].Slot.Value} is not behind the one before it", null);
        }
    }

    private static T[] Rows<T>(JsonElement root, string name, int length, Func<JsonElement, T> read)
    {
        var list = root.GetProperty(name);
        var rows = new T[list.GetArrayLength()];
        var count = 0;
        foreach (var row in list.EnumerateArray())
        {
            if (row.GetArrayLength() != length) throw Unreadable($"row {count} of '{name}' has {row.GetArrayLength()} values and not {length}", null);
            rows[count++] = read(row);
        }
        return rows;
    }

    private static EndpointLoad LoadOf(JsonElement row) => new(Number(row[1]), Number(row[2]), Number(row[3]), Number(row[4]), Number(row[5]));

    // JSON has no NaN; what is too large for a double is read as infinite.
    private static double Number(JsonElement json) => json.GetDouble() is var number && double.IsFinite(number) && number >= 0
        ? number : throw Unreadable($"{json.GetRawText()} is not a number from 0", null);

    private static void WriteLoad(Utf8JsonWriter json, EndpointLoad load)
    {
        json.WriteNumberValue(load.Requests);
        json.WriteNumberValue(load.Cpu);
        json.WriteNumberValue(load.Bytes);
        json.WriteNumberValue(load.Connections);
        json.WriteNumberValue(load.StateBytes);
    }

    private static ShardCloudException Unreadable(string why, Exception? error) => new(
        ErrorCodes.AffinityUnreadable, $"This is not an affinity map: {why}.", "Make it with 'shardcloud affinity import', or write it as docs/affinity.md says.", error);
}
