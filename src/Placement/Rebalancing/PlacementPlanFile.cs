using System.Buffers;
using System.Text.Json;
using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;
using static ShardCloud.Placement.PlanJson;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>A plan of placements and its inputs as bytes: one JSON document, one way to write it. The same plan of the same inputs gives the same bytes.</summary>
/// <remarks>
/// Shards and entries are meant by their place. No white space, members always in this order, numbers in the shortest form that reads as the same; a capacity without limit is null:
/// <code>
/// {"placementPlanner":1,"inputs":{"map":812,"affinity":17,"rest":[],
///   "policy":{"imbalance":0.05,"moveBudget":0.05,"coolDownSeconds":600,"gainMin":0.1,"restBelow":0.005,"moveCost":0.01,"readersMax":16,"seed":1,"pins":[["rooms/1","shard-2"]],"apart":[["rooms/3","rooms/4"]]},
///   "partitions":16,"readers":[[0,3]],"shards":[["shard-1","1.0.0",1,null,4,null,null,null]],"entries":[["rooms/1",0,12.5,0.02,4096,4,310,0],["slots:17-17",0,0.5,0.001,80,0,0,0]],"edges":[[0,1,2.25]]},
///  "plan":{"before":[0.9,0.2],"after":[0.1,0.04],"held":3,"left":0.8,"rest":[],"moves":[[0,0,1,2.25,1.2,0.98,["rooms/2"]]]}}
/// </code>
/// <c>rest</c>: what was left when the placement came to rest, and among which shards and by which policy; nothing where it does not rest. <c>readers</c>: shard, partition. <c>shards</c>: name, version, 1 when it takes, capacity (requests/s, cores, bytes/s, connections, bytes of state). <c>entries</c>: key, owner, load likewise, 1 when fixed. <c>moves</c>: entry, from, to, gain,
/// load of the owner before and of the destination after, neighbours there. With loads of six digits an entry has about 50 bytes beside its name, an edge 20, a move 90 and its neighbours' names.
/// </remarks>
public static class PlacementPlanFile
{
    private const string Mark = "placementPlanner";

    /// <summary>True for bytes that may be such a plan, by their beginning: plans of updates begin otherwise.</summary>
    public static bool Is(ReadOnlySpan<byte> bytes) => bytes.StartsWith("{\"placementPlanner\":"u8);

    /// <summary>The bytes.</summary>
    /// <exception cref="ShardCloudException">SC5008: more than <see cref="PlanFile.BytesMax"/>.</exception>
    public static byte[] Write(PlacementInputs inputs, PlacementPlan plan)
    {
        var bytes = new ArrayBufferWriter<byte>(1 << 16);
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            json.WriteNumber(Mark, PlacementPlanner.Version);
            json.WriteStartObject("inputs");
            WriteInputs(json, inputs);
            json.WriteEndObject();
            json.WriteStartObject("plan");
            WritePlan(json, inputs, plan);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return bytes.WrittenCount <= PlanFile.BytesMax ? bytes.WrittenSpan.ToArray() : throw TooLarge(bytes.WrittenCount);
    }

    /// <summary>The plan of bytes, and what it was made from.</summary>
    /// <exception cref="ShardCloudException">SC5058: not the bytes of a plan. SC5059: another version of the planner made it.</exception>
    public static (PlacementInputs Inputs, PlacementPlan Plan) Read(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            using var json = JsonDocument.Parse(bytes);
            var planner = json.RootElement.GetProperty(Mark).GetInt32();
            if (planner != PlacementPlanner.Version) throw PlannerUnknown(planner, PlacementPlanner.Version);
            var inputs = ReadInputs(json.RootElement.GetProperty("inputs"));
            var plan = ReadPlan(json.RootElement.GetProperty("plan"), inputs);
            return Write(inputs, plan).AsSpan().SequenceEqual(bytes.Span) ? (inputs, plan) : throw Unreadable("it is not written as a plan is", null);
        }
        catch (Exception error) when (IsUnreadable(error))
        {
            throw Unreadable(error.Message, error);
        }
    }

    private static void WriteInputs(Utf8JsonWriter json, PlacementInputs inputs)
    {
        json.WriteNumber("map", inputs.Map.Value);
        json.WriteNumber("affinity", inputs.Affinity);
        WriteRest(json, inputs.Rest);
        var policy = inputs.Policy;
        json.WriteStartObject("policy");
        WriteNumbersOf(json, policy);
        WriteRows(json, "pins", policy.Pins.OrderBy(pin => pin.Key.Value, StringComparer.Ordinal), pin =>
        {
            json.WriteStringValue(pin.Key.Value);
            json.WriteStringValue(pin.Value.Value);
        });
        WriteRows(json, "apart", policy.Apart, group =>
        {
            foreach (var endpoint in group) json.WriteStringValue(endpoint.Value);
        });
        json.WriteEndObject();
        json.WriteNumber("partitions", inputs.Partitions);
        WriteRows(json, "readers", inputs.Readers, reader => WriteNumbers(json, reader.Shard, reader.Partition));
        WriteShards(json, inputs.Shards);
        WriteRows(json, "entries", inputs.Entries, entry =>
        {
            json.WriteStringValue(entry.Key.ToString());
            WriteNumbers(json, entry.Owner);
            WriteLoad(json, entry.Load);
            WriteNumbers(json, entry.IsFixed ? 1 : 0);
        });
        WriteRows(json, "edges", inputs.Edges, edge =>
        {
            WriteNumbers(json, edge.A, edge.B);
            WriteNumbers(json, edge.Weight);
        });
    }

    /// <summary>The policy without pins and groups.</summary>
    internal static void WriteNumbersOf(Utf8JsonWriter json, PlacementPolicy policy)
    {
        json.WriteNumber("imbalance", policy.Imbalance);
        json.WriteNumber("moveBudget", policy.MoveBudget);
        json.WriteNumber("coolDownSeconds", policy.CoolDown.TotalSeconds);
        json.WriteNumber("gainMin", policy.GainMin);
        json.WriteNumber("restBelow", policy.RestBelow);
        json.WriteNumber("moveCost", policy.MoveCost);
        json.WriteNumber("readersMax", policy.ReadersMax);
        json.WriteNumber("seed", policy.Seed);
    }

    internal static void WriteShards(Utf8JsonWriter json, IReadOnlyList<PlacementShard> shards) => WriteRows(json, "shards", shards, shard =>
    {
        json.WriteStringValue(shard.Id.Value);
        json.WriteStringValue(shard.Version);
        WriteNumbers(json, shard.Takes ? 1 : 0);
        WriteLoad(json, shard.Capacity);
    });

    private static void WritePlan(Utf8JsonWriter json, PlacementInputs inputs, PlacementPlan plan)
    {
        WriteQuality(json, "before", plan.Before);
        WriteQuality(json, "after", plan.After);
        json.WriteNumber("held", plan.Held);
        json.WriteNumber("left", plan.Left);
        WriteRest(json, plan.Rest);
        var shards = inputs.Shards.Select((shard, number) => (shard.Id, number)).ToDictionary(shard => shard.Id, shard => shard.number);
        var moved = plan.Moves.Select(move => move.Entry).ToHashSet();
        var places = inputs.Entries.Select((entry, place) => (entry.Key, place)).Where(entry => moved.Contains(entry.Key)).ToDictionary(entry => entry.Key, entry => entry.place);
        WriteRows(json, "moves", plan.Moves, move =>
        {
            WriteNumbers(json, places[move.Entry], shards[move.From], shards[move.To]);
            WriteNumbers(json, move.Gain, move.LoadFrom, move.LoadTo);
            json.WriteStartArray();
            foreach (var endpoint in move.With) json.WriteStringValue(endpoint.Value);
            json.WriteEndArray();
        });
    }

    private static void WriteRest(Utf8JsonWriter json, PlacementRest? rest)
    {
        json.WriteStartArray("rest");
        if (rest is not null)
        {
            WriteNumbers(json, rest.Left);
            json.WriteStringValue(rest.Among);
        }
        json.WriteEndArray();
    }

    private static void WriteQuality(Utf8JsonWriter json, string name, PlacementQuality quality)
    {
        json.WriteStartArray(name);
        WriteNumbers(json, quality.Cut, quality.Imbalance);
        json.WriteEndArray();
    }

    private static void WriteLoad(Utf8JsonWriter json, EndpointLoad load) => WriteNumbers(json, load.Requests, load.Cpu, load.Bytes, load.Connections, load.StateBytes);

    private static PlacementInputs ReadInputs(JsonElement json) => new()
    {
        Map = new MapVersion(json.GetProperty("map").GetInt64()),
        Affinity = json.GetProperty("affinity").GetInt64(),
        Rest = ReadRest(json),
        Policy = ReadPolicy(json.GetProperty("policy")),
        Partitions = json.GetProperty("partitions").GetInt32(),
        Readers = Rows(json, "readers", row => new PartitionReader(row[0].GetInt32(), row[1].GetInt32())),
        Shards = Rows(json, "shards", row => new PlacementShard(new ShardId(row[0].GetString()!), row[1].GetString()!, row[2].GetInt32() == 1, ReadLoad(row, 3))),
        Entries = Rows(json, "entries", row => new PlacementEntry(EntryKey.Parse(row[0].GetString()!), row[1].GetInt32(), ReadLoad(row, 2), row[7].GetInt32() == 1)),
        Edges = Rows(json, "edges", row => new AffinityEdge(row[0].GetInt32(), row[1].GetInt32(), Number(row[2]))),
    };

    private static PlacementPolicy ReadPolicy(JsonElement json) => new()
    {
        Imbalance = json.GetProperty("imbalance").GetDouble(),
        MoveBudget = json.GetProperty("moveBudget").GetDouble(),
        CoolDown = TimeSpan.FromSeconds(json.GetProperty("coolDownSeconds").GetDouble()),
        GainMin = json.GetProperty("gainMin").GetDouble(),
        RestBelow = json.GetProperty("restBelow").GetDouble(),
        MoveCost = json.GetProperty("moveCost").GetDouble(),
        ReadersMax = json.GetProperty("readersMax").GetInt32(),
        Seed = json.GetProperty("seed").GetUInt64(),
        Pins = Rows(json, "pins", row => (Endpoint: new EndpointId(row[0].GetString()!), Shard: new ShardId(row[1].GetString()!))).ToDictionary(pin => pin.Endpoint, pin => pin.Shard),
        Apart = Rows(json, "apart", row => (IReadOnlyList<EndpointId>)[.. row.Select(text => new EndpointId(text.GetString()!))]),
    };

    private static PlacementPlan ReadPlan(JsonElement json, PlacementInputs inputs) => new(
        Rows(json, "moves", row => new PlacementMove(
            inputs.Entries[row[0].GetInt32()].Key, inputs.Shards[row[1].GetInt32()].Id, inputs.Shards[row[2].GetInt32()].Id, row[3].GetDouble(),
            [.. row[6].EnumerateArray().Select(text => new EndpointId(text.GetString()!))], row[4].GetDouble(), row[5].GetDouble())),
        ReadQuality(json, "before"), ReadQuality(json, "after"), json.GetProperty("held").GetInt32(),
        json.GetProperty("left").GetDouble(), ReadRest(json));

    private static PlacementRest? ReadRest(JsonElement json) => json.GetProperty("rest") is var rest && rest.GetArrayLength() == 0 ? null : new PlacementRest(rest[0].GetDouble(), rest[1].GetString()!);

    private static PlacementQuality ReadQuality(JsonElement json, string name) => new(json.GetProperty(name)[0].GetDouble(), json.GetProperty(name)[1].GetDouble());

    private static EndpointLoad ReadLoad(JsonElement[] row, int first) => new(Number(row[first]), Number(row[first + 1]), Number(row[first + 2]), Number(row[first + 3]), Number(row[first + 4]));
}
