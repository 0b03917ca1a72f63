using System.Net.ServerSentEvents;
using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime;

// Rooms: a visit counter, a member list and a chat for each room, and a session for each visitor. The tutorial, the demo and the tests run it.
//
// Every room is an endpoint of its own. At any time one shard owns it and runs its handlers; which one, and that it moves while
// the application is updated or a machine dies, shows only in the "shard" and "version" fields of the answers.
var builder = WebApplication.CreateSlimBuilder(args);
builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, RoomsJson.Default));

// 1. The runtime: two listeners, routing, replication. Its settings come from ShardCloud__... in the environment.
builder.AddShardRuntime();
builder.Services.AddShardedSession();

var app = builder.Build();
app.UseShardRuntime();
app.UseSession();

// 2. The template: /rooms/42/increment belongs to endpoint rooms/42. Handlers below it run at the endpoint's owner.
var room = app.MapShardEndpoint("/rooms/{room}");

// 3. A changing handler runs once, one at a time for each room. What it changes and what it answers become durable together: when this
//    process dies before the answer has left, the next owner repeats the answer instead of the increment.
room.MapPost("/increment", (string room, HttpContext context) =>
{
    var visits = context.EndpointState().Counter("visits");
    visits.Increment();
    return new Visit(room, visits.Value, context.Shard().Id.Value, context.Shard().Version, context.Shard().Incarnation.Value);
});

// 4. A reader sees one consistent document, beside running changes, and may not change it.
room.MapGet("", (string room, HttpContext context) =>
{
    var state = context.EndpointState();
    string[] members = [.. state.Set("members").Items.Select(member => member.AsString())];
    return new RoomView(room, state.Counter("visits").Value, members, context.Shard().Id.Value, context.Shard().Version, RoomsVersion.TopicOf(context));
});

// 5. Sets merge: adding and removing need no read before the write.
room.MapPut("/members/{name}", (string name, HttpContext context) =>
{
    context.EndpointState().Set("members").Add(name);
    return Results.NoContent();
});
room.MapDelete("/members/{name}", (string name, HttpContext context) =>
    context.EndpointState().Set("members").Remove(name) ? Results.NoContent() : Results.NotFound());

// 6. A session is ASP.NET Core's, and an endpoint of its own: it is the same in every room, wherever the room is, and outlives any shard.
app.MapPut("/me/{name}", (string name, HttpContext context) =>
{
    context.Session.SetString("name", name);
    return Results.NoContent();
});
app.MapGet("/me", async (HttpContext context) =>
{
    await context.Session.LoadAsync();
    return Visitor(context);
});
room.MapPost("/greet", async (string room, HttpContext context) =>
{
    await context.Session.LoadAsync(); // The room runs here; the session may live at another shard.
    context.Session.SetInt32("greetings", (context.Session.GetInt32("greetings") ?? 0) + 1);
    return Visitor(context);
});

// 7. Likes are convergent: while two shards believe to own a page, both count, and what they counted is joined. Fit for what merges; a room's visits have one owner instead.
var likes = app.MapShardEndpoint("/likes/{page}", Mode.Convergent);
likes.MapPost("", (string page, HttpContext context) =>
{
    var count = context.EndpointState().GrowCounter("likes");
    count.Increment();
    return new PageLikes(page, count.Value, context.Shard().Id.Value);
});
likes.MapGet("", (string page, HttpContext context) => new PageLikes(page, context.EndpointState().GrowCounter("likes").Value, context.Shard().Id.Value));

// 8. An event stream of the visits. The client sees one stream, whatever becomes of the room's owner: the router asks the next one to go on from the last id it saw.
room.MapGet("/events", (HttpContext context) => TypedResults.ServerSentEvents(Visits(context)));

// 9. What a new version has to do before anything moves to it (probes), and in what its answers may differ: these name the shard, and a later version may say more.
room.WithProbe("counts", "probe", probe => probe
        .Post("/increment").Expect(200)
        .Get().Expect(200).Expect(answer => answer.Json.GetProperty("value").GetInt64() == 1, "the visit is counted"))
    .WithProbe("members", "probe", probe => probe
        .Put("/members/Ada").Expect(204)
        .Get().Expect(answer => answer.Json.GetProperty("members")[0].GetString() == "Ada", "Ada is a member")
        .Delete("/members/Ada").Expect(204)
        .Delete("/members/Ada").Expect(404))
    .WithShadowRules(rules => rules.Ignore("/shard", "/version").AllowAddedMembers());
likes.WithProbe("counts", "probe", probe => probe.Post().Post().Get().Expect(answer => answer.Json.GetProperty("likes").GetInt64() == 2, "both likes are counted"));

// 10. One endpoint calls another. A message in the outbox is part of the change: it is sent when the change counts, once, whatever shard dies. A call of the
//    client's waits for its answer here.
room.MapPost("/items/{item}/take", (string room, string item, HttpContext context) =>
{
    var state = context.EndpointState();
    var taken = state.Map("items").Counter(item);
    taken.Increment();
    state.Outbox.PostAsJson($"/inventory/{Uri.EscapeDataString(item)}/take", new ItemTaken(room), RoomsJson.Default.ItemTaken);
    return new RoomItem(room, item, taken.Value);
});
room.MapGet("/items", (string room, HttpContext context) => new RoomItems(room, Counters(context, "items"), context.EndpointState().Outbox.Waiting.Count));
room.MapGet("/items/{item}", (string item, HttpContext context) => context.ShardClient().GetFromJsonAsync($"/inventory/{Uri.EscapeDataString(item)}", RoomsJson.Default.ItemView, context.RequestAborted));

var inventory = app.MapShardEndpoint("/inventory/{item}");
inventory.MapPost("/take", (string item, ItemTaken by, HttpContext context) => context.EndpointState().Map("rooms").Counter(by.Room).Increment());
inventory.WithProbe("counts", "probe", probe => probe
        .Post("/take", """{"room":"a room"}""").Expect(200)
        .Get().Expect(answer => answer.Json.GetProperty("rooms").GetProperty("a room").GetInt64() == 1, "the room took one"))
    .WithShadowRules(rules => rules.Ignore("/shard").AllowAddedMembers());
inventory.MapGet("", (string item, HttpContext context) => new ItemView(item, Counters(context, "rooms"), context.Shard().Id.Value));

// 11. A chat over WebSockets. A client keeps one socket, whatever becomes of the room's owner; Chat.cs.
room.MapChat();

// 12. A lobby lets visitors into rooms, which show them items: endpoints that are used together, and that rebalancing brings together; Lobby.cs.
app.MapLobbies(room);

// 13. What a later version adds; RoomsVersion.cs, and samples/Rooms.V2.
room.MapNew();

// 14. A page that shows all this in a browser.
var page = Page();
app.MapGet("/", () => Results.Content(page, "text/html; charset=utf-8"));

await app.RunAsync();

static string Page()
{
    using var page = new StreamReader(typeof(RoomsJson).Assembly.GetManifestResourceStream("index.html")!);
    return page.ReadToEnd();
}

static async IAsyncEnumerable<SseItem<string>> Visits(HttpContext context)
{
    var seen = long.TryParse(context.Request.Headers["Last-Event-ID"], out var last) ? last : -1;
    await foreach (var state in context.FollowEndpointState(context.RequestAborted))
    {
        var visits = state.Counter("visits").Value;
        if (visits == seen) continue;
        seen = visits;
        yield return new SseItem<string>($"{visits}", "visits") { EventId = $"{visits}" };
    }
}

static Dictionary<string, long> Counters(HttpContext context, string map)
{
    var counters = context.EndpointState().Map(map).Current;
    return counters.Keys.ToDictionary(key => key, key => counters.Counter(key));
}

static Visitor Visitor(HttpContext context) => new(context.Session.GetString("name") ?? "stranger", context.Session.GetInt32("greetings") ?? 0,
    $"_shard-sessions/{context.Session.Id}", context.Shard().Id.Value);

/// <summary>Answer of an increment.</summary>
internal sealed record Visit(string Room, long Value, string Shard, string Version, string Incarnation);

/// <summary>A room as a reader sees it.</summary>
/// <remarks>A topic is known since 2.0.0.</remarks>
internal sealed record RoomView(string Room, long Value, string[] Members, string Shard, string Version, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Topic);

/// <summary>A visitor, as the session knows it.</summary>
internal sealed record Visitor(string Name, int Greetings, string Endpoint, string Shard);

/// <summary>How often a page was liked, as far as this shard has seen.</summary>
internal sealed record PageLikes(string Page, long Likes, string Shard);

/// <summary>What a room tells the item that it took.</summary>
internal sealed record ItemTaken(string Room);

/// <summary>How often a room took an item.</summary>
internal sealed record RoomItem(string Room, string Item, long Taken);

/// <summary>All that a room took, and how many of its messages are still on their way.</summary>
internal sealed record RoomItems(string Room, Dictionary<string, long> Items, int Waiting);

/// <summary>An item: which rooms took it how often.</summary>
internal sealed record ItemView(string Item, Dictionary<string, long> Rooms, string Shard);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(Visit))]
[JsonSerializable(typeof(RoomView))]
[JsonSerializable(typeof(Visitor))]
[JsonSerializable(typeof(PageLikes))]
[JsonSerializable(typeof(ItemTaken))]
[JsonSerializable(typeof(RoomItem))]
[JsonSerializable(typeof(RoomItems))]
[JsonSerializable(typeof(ItemView))]
[JsonSerializable(typeof(ChatMessage))]
internal sealed partial class RoomsJson : JsonSerializerContext;
