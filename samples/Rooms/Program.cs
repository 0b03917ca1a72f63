using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.ShardRuntime;

// Rooms: a visit counter and a member list for each room. The tutorial, the demo and the tests run it.
//
// Every room is an endpoint of its own. At any time one shard owns it and runs its handlers; which one, and that it moves while
// the application is updated or a machine dies, shows only in the "shard" and "version" fields of the answers.
var builder = WebApplication.CreateSlimBuilder(args);
builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, RoomsJson.Default));

// 1. The runtime: two listeners, routing, replication. Its settings come from ShardCloud__... in the environment.
builder.AddShardRuntime();

var app = builder.Build();
app.UseShardRuntime();

// 2. The template: /rooms/42/increment belongs to endpoint rooms/42. Handlers below it run at the endpoint's owner.
var room = app.MapShardEndpoint("/rooms/{room}");

// 3. A changing handler runs once, one at a time for each room. What it changes and what it answers become durable together: when this
//    process dies before the answer has left, the next owner repeats the answer instead of the increment.
room.MapPost("/increment", (string room, HttpContext context) =>
{
    var visits = context.EndpointState().Counter("visits");
    visits.Increment();
    return new Visit(room, visits.Value, context.Shard().Id.Value, context.Shard().Version);
});

// 4. A reader sees one consistent document, beside running changes, and may not change it.
room.MapGet("", (string room, HttpContext context) =>
{
    var state = context.EndpointState();
    string[] members = [.. state.Set("members").Items.Select(member => member.AsString())];
    return new RoomView(room, state.Counter("visits").Value, members, context.Shard().Id.Value, context.Shard().Version);
});

// 5. Sets merge: adding and removing need no read before the write.
room.MapPut("/members/{name}", (string name, HttpContext context) =>
{
    context.EndpointState().Set("members").Add(name);
    return Results.NoContent();
});
room.MapDelete("/members/{name}", (string name, HttpContext context) =>
    context.EndpointState().Set("members").Remove(name) ? Results.NoContent() : Results.NotFound());

await app.RunAsync();

/// <summary>Answer of an increment.</summary>
internal sealed record Visit(string Room, long Value, string Shard, string Version);

/// <summary>A room as a reader sees it.</summary>
internal sealed record RoomView(string Room, long Value, string[] Members, string Shard, string Version);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(Visit))]
[JsonSerializable(typeof(RoomView))]
internal sealed partial class RoomsJson : JsonSerializerContext;
