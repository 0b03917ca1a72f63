using System.Text.Json;
using System.Text.Json.Nodes;
using ShardCloud.Compat.Tests.Samples;
using ShardCloud.Replication;
using ShardCloud.Routing;

namespace ShardCloud.Compat.Tests;

/// <summary>Today's code as the older one: what a release after it may send or write does not break it.</summary>
public sealed class NewerTests
{
    private static readonly IncarnationId Writer = new("shard-1~a");
    private static readonly SlotRange Slots = new(7, 2);

    /// <summary>Members that this release does not know are ignored, in what members, shard hosts and the Orchestrator's own records say.</summary>
    [Fact]
    public void Json_WithMembersOfANewerRelease_IsReadWithoutThem()
    {
        foreach (var (name, context) in JsonSamples.Contexts)
        {
            foreach (var type in JsonSamples.TypesOf(context))
            {
                var json = JsonSerializer.Serialize(new Filler().Make(type), type, context);
                var read = JsonSerializer.Deserialize(Grown(JsonNode.Parse(json)!).ToJsonString(), type, context);
                Assert.True(JsonSerializer.Serialize(read, type, context) == json, $"{name}/{type.Name}");
            }
        }
    }

    [Theory]
    [InlineData((byte)1, CloudLevel.Own + 1)]
    [InlineData((byte)5, 1)]
    public void LogRecord_OfANewerFormOrKind_IsSetAsideWithItsSlots(byte kind, int minReader)
    {
        var record = LogRecordCodec.Decode(LogRecordCodec.Seal((RecordKind)kind, Writer, [Slots], [1, 2, 3], minReader));

        Assert.Equal((RecordFault.Newer, minReader), (record.Fault, record.Envelope!.MinReader));
        Assert.Equal(Slots, Assert.Single(record.Envelope.Slots));
        Assert.True(record.Deltas is null && record.Grant is null && record.Retire is null);
    }

    [Fact]
    public void MapChange_WithUnknownMembers_IsRead_AndWithAnUnknownOperation_IsRefused()
    {
        foreach (var (_, operation) in MapSamples.Operations)
        {
            var json = MapJson.Write(new MapChange(new MapVersion(12), default, new MapCommit("a test", "", [operation])));
            var row = JsonNode.Parse(json)!;
            row["later"] = 1;
            row["ops"]![0]!["later"] = new JsonObject { ["x"] = "y" };
            Assert.Equal(json, MapJson.Write(MapJson.ReadChange(row.ToJsonString())));
        }
        foreach (var text in (string[])["""{"f":1,"v":3,"at":"2026-01-01T00:00:00+00:00","ops":[{"op":"later"}]}""", """{"f":2,"v":3,"at":"2026-01-01T00:00:00+00:00","ops":[]}"""])
            Assert.Equal(ErrorCodes.MapUnreadable, Assert.Throws<ShardCloudException>(() => MapJson.ReadChange(text)).Code);
    }

    [Fact]
    public void MemberRow_WithUnknownColumns_IsRead()
    {
        var directory = new MemberDirectory(new Azure.Data.Tables.TableServiceClient("UseDevelopmentStorage=true"), "rooms");
        var entity = directory.ToEntity(new MemberRow { Incarnation = Writer, LeaseLength = TimeSpan.FromSeconds(15) });
        entity["Later"] = "text";
        entity.Remove("Release");
        entity.Remove("Level");
        entity.Remove("LowestLevel");

        Assert.Equal(CloudRelease.First, MemberDirectory.FromEntity(entity).Release);
    }

    // Snapshots and bodies between members begin with a version of their own: another one is refused as a whole, and the log or another member serves instead.
    [Fact]
    public async Task Snapshot_OfANewerVersion_IsRefusedAsAWhole()
    {
        var bytes = LogSamples.Bytes(LogSamples.Partition());
        bytes[4]++;

        Assert.Equal(ErrorCodes.CorruptDelta, (await Assert.ThrowsAsync<ShardCloudException>(() => PartitionSnapshot.ReadAsync(new MemoryStream(bytes)))).Code);
    }

    // Dictionaries are data: a key more would be another value.
    private static JsonNode Grown(JsonNode node)
    {
        if (node is JsonArray list)
            foreach (var item in list.OfType<JsonNode>()) Grown(item);
        if (node is not JsonObject members) return node;
        var isData = members.Count == 1 && members.All(member => member.Key.Contains('-') || long.TryParse(member.Key, out _));
        foreach (var member in members.Select(member => member.Value).OfType<JsonNode>().ToList()) Grown(member);
        if (!isData) members["ofALaterRelease"] = new JsonObject { ["x"] = 1 };
        return node;
    }
}
