using System.Buffers;
using System.Security.Cryptography;
using System.Text.Json;
using ShardCloud.Routing;
using static ShardCloud.Placement.PlanJson;

namespace ShardCloud.Placement;

/// <summary>A plan and its inputs as bytes: one JSON document, one way to write it. The same plan of the same inputs gives the same bytes.</summary>
/// <remarks>
/// Incarnations and shards are named once and meant by their number from then on; -1 is none. No white space, members always in this order:
/// <code>
/// {"planner":1,"inputs":{"kind":"wave","map":812,"partitions":16,"from":"1.0.0","percent":10,"leaving":[],"to":["shard-4"],"busy":"move",
///   "incarnations":["shard-1~0a"],"shards":["shard-1"],"live":[[0,"1.0.0"]],"slots":[[0,16384,0,-1]],"movedSlots":[[0,164,0]],"busySlots":[[7,1]],
///   "placed":[["rooms/1",0,-1,-1,0]]},
///  "plan":{"slots":1474,"endpoints":1,"notNow":0,"deferredSlots":0,"deferredEndpoints":0,"busy":0,"moves":[{"to":"shard-4","entries":["slots:164-1023","rooms/1"]}]}}
/// </code>
/// <c>slots</c>: first, count, owner, destination of the handoff under way. <c>placed</c>: name, owner, destination, shard it was moved from, 1 when in use. <c>movedSlots</c>: first, count, shard.
/// About 30 bytes a placed endpoint beside its name.
/// </remarks>
public static class PlanFile
{
    /// <summary>Largest plan, in bytes: some three million placed endpoints.</summary>
    public const int BytesMax = 128 << 20;

    /// <summary>The bytes.</summary>
    /// <exception cref="ShardCloudException">SC5008: more than <see cref="BytesMax"/>.</exception>
    public static byte[] Write(PlanInputs inputs, UpdatePlan plan)
    {
        var bytes = new ArrayBufferWriter<byte>(1 << 16);
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            json.WriteNumber("planner", UpdatePlanner.Version);
            WriteInputs(json, inputs);
            WritePlan(json, plan);
            json.WriteEndObject();
        }
        return bytes.WrittenCount <= BytesMax ? bytes.WrittenSpan.ToArray() : throw TooLarge(bytes.WrittenCount);
    }

    /// <summary>The plan of bytes, and what it was made from.</summary>
    /// <exception cref="ShardCloudException">SC5058: not the bytes of a plan. SC5059: another version of the planner made it.</exception>
    public static (PlanInputs Inputs, UpdatePlan Plan) Read(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            using var json = JsonDocument.Parse(bytes);
            var planner = json.RootElement.GetProperty("planner").GetInt32();
            if (planner != UpdatePlanner.Version) throw PlannerUnknown(planner, UpdatePlanner.Version);
            var inputs = ReadInputs(json.RootElement.GetProperty("inputs"));
            var plan = ReadPlan(json.RootElement.GetProperty("plan"));
            return Write(inputs, plan).AsSpan().SequenceEqual(bytes.Span) ? (inputs, plan) : throw Unreadable("it is not written as a plan is", null);
        }
        catch (Exception error) when (IsUnreadable(error))
        {
            throw Unreadable(error.Message, error);
        }
    }

    /// <summary>SHA-256 in lower-case hexadecimal.</summary>
    public static string HashOf(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    private static void WriteInputs(Utf8JsonWriter json, PlanInputs inputs)
    {
        var incarnations = new Names(inputs.Live.Select(member => member.Incarnation.Value)
            .Concat(inputs.Slots.SelectMany(run => new[] { run.Owner.Value, run.To.Value })).Concat(inputs.Placed.SelectMany(placed => new[] { placed.Owner.Value, placed.To.Value })));
        var shards = new Names(inputs.MovedSlots.Select(moved => moved.From.Value).Concat(inputs.Placed.Select(placed => placed.MovedFrom?.Value ?? "")));

        json.WriteStartObject("inputs");
        json.WriteString("kind", inputs.Kind == PlanKind.Wave ? "wave" : "back");
        json.WriteNumber("map", inputs.Map.Value);
        json.WriteNumber("partitions", inputs.PartitionCount);
        json.WriteString("from", inputs.From);
        json.WriteNumber("percent", inputs.Percent);
        WriteStrings(json, "leaving", inputs.Leaving.Select(shard => shard.Value));
        WriteStrings(json, "to", inputs.To.Select(shard => shard.Value));
        json.WriteString("busy", inputs.IsBusyWaitedFor ? "defer" : "move");
        WriteStrings(json, "incarnations", incarnations.All);
        WriteStrings(json, "shards", shards.All);
        WriteRows(json, "live", inputs.Live, member =>
        {
            json.WriteNumberValue(incarnations[member.Incarnation.Value]);
            json.WriteStringValue(member.Version);
        });
        WriteRows(json, "slots", inputs.Slots, run => WriteNumbers(json, run.Slots.First, run.Slots.Count, incarnations[run.Owner.Value], incarnations[run.To.Value]));
        WriteRows(json, "movedSlots", inputs.MovedSlots, moved => WriteNumbers(json, moved.Slots.First, moved.Slots.Count, shards[moved.From.Value]));
        WriteRows(json, "busySlots", inputs.BusySlots, slots => WriteNumbers(json, slots.First, slots.Count));
        WriteRows(json, "placed", inputs.Placed, placed =>
        {
            json.WriteStringValue(placed.Endpoint.Value);
            WriteNumbers(json, incarnations[placed.Owner.Value], incarnations[placed.To.Value], shards[placed.MovedFrom?.Value ?? ""], placed.IsBusy ? 1 : 0);
        });
        json.WriteEndObject();
    }

    private static void WritePlan(Utf8JsonWriter json, UpdatePlan plan)
    {
        json.WriteStartObject("plan");
        json.WriteNumber("slots", plan.Slots);
        json.WriteNumber("endpoints", plan.Endpoints);
        json.WriteNumber("notNow", plan.NotNow);
        json.WriteNumber("deferredSlots", plan.DeferredSlots);
        json.WriteNumber("deferredEndpoints", plan.DeferredEndpoints);
        json.WriteNumber("busy", plan.Busy);
        json.WriteStartArray("moves");
        foreach (var (to, entries) in plan.Moves)
        {
            json.WriteStartObject();
            json.WriteString("to", to.Value);
            WriteStrings(json, "entries", entries.Select(entry => entry.ToString()));
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static PlanInputs ReadInputs(JsonElement json)
    {
        IncarnationId[] incarnations = [.. Strings(json, "incarnations").Select(text => new IncarnationId(text))];
        ShardId[] shards = [.. Strings(json, "shards").Select(text => new ShardId(text))];
        IncarnationId Incarnation(JsonElement number) => number.GetInt32() is >= 0 and var index ? incarnations[index] : IncarnationId.None;
        return new PlanInputs
        {
            Kind = json.GetProperty("kind").GetString() == "wave" ? PlanKind.Wave : PlanKind.Back,
            Map = new MapVersion(json.GetProperty("map").GetInt64()),
            PartitionCount = json.GetProperty("partitions").GetInt32(),
            From = json.GetProperty("from").GetString()!,
            Percent = json.GetProperty("percent").GetInt32(),
            Leaving = [.. Strings(json, "leaving").Select(text => new ShardId(text))],
            To = [.. Strings(json, "to").Select(text => new ShardId(text))],
            IsBusyWaitedFor = json.GetProperty("busy").GetString() == "defer",
            Live = Rows(json, "live", row => (Incarnation(row[0]), row[1].GetString()!)),
            Slots = Rows(json, "slots", row => new PlanSlots(Range(row), Incarnation(row[2]), Incarnation(row[3]))),
            MovedSlots = Rows(json, "movedSlots", row => (Range(row), shards[row[2].GetInt32()])),
            BusySlots = Rows(json, "busySlots", Range),
            Placed = Rows(json, "placed", row => new PlanEndpoint(
                new EndpointId(row[0].GetString()!), Incarnation(row[1]), Incarnation(row[2]), row[3].GetInt32() is >= 0 and var index ? shards[index] : null, row[4].GetInt32() == 1)),
        };
    }

    private static UpdatePlan ReadPlan(JsonElement json) => new(
        [.. json.GetProperty("moves").EnumerateArray().Select(move => (new ShardId(move.GetProperty("to").GetString()!), (IReadOnlyList<EntryKey>)[.. Strings(move, "entries").Select(EntryKey.Parse)]))],
        json.GetProperty("slots").GetInt32(), json.GetProperty("endpoints").GetInt32(), json.GetProperty("notNow").GetInt32(),
        json.GetProperty("deferredSlots").GetInt32(), json.GetProperty("deferredEndpoints").GetInt32(), json.GetProperty("busy").GetInt32());

    // A range that no map can have would take the planner out of its arrays.
    private static SlotRange Range(JsonElement[] row) => EntryKey.Of(new SlotRange(row[0].GetInt32(), row[1].GetInt32())).Slots;

    /// <summary>Names in order, each with its number; the empty one is -1.</summary>
    private sealed class Names
    {
        private readonly Dictionary<string, int> _numbers;

        public Names(IEnumerable<string> names)
        {
            All = [.. names.Where(name => name.Length > 0).ToHashSet(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
            _numbers = All.Select((name, number) => (name, number)).ToDictionary(named => named.name, named => named.number, StringComparer.Ordinal);
        }

        public IReadOnlyList<string> All { get; }

        public int this[string name] => name.Length == 0 ? -1 : _numbers[name];
    }
}
