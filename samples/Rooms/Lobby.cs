using System.Text.Json.Serialization;
using ShardCloud.ShardRuntime;

/// <summary>A lobby lets its visitors into rooms, and each room shows them an item: three endpoints that are used together, wherever they are.</summary>
/// <remarks>
/// Names spread endpoints over the shards by chance, so of two calls most cross from one shard to another. Nothing here knows of that. Shards observe who calls whom, and <c>shardcloud rebalance --apply</c>
/// moves a lobby, its rooms and their items to one shard while they are in use; the answers name the shards, so a client can see it (docs/placement.md).
/// </remarks>
internal static class Lobby
{
    public static void MapLobbies(this WebApplication app, RouteGroupBuilder room)
    {
        var lobby = app.MapShardEndpoint("/lobbies/{lobby}");
        lobby.MapPost("/enter/{room}/{item}", async (string lobby, string room, string item, HttpContext context) =>
        {
            context.EndpointState().Counter("visitors").Increment();
            using var answer = await context.ShardClient().PostAsync($"/rooms/{Uri.EscapeDataString(room)}/enter/{Uri.EscapeDataString(item)}", null, context.RequestAborted);
            if (!answer.IsSuccessStatusCode) return Results.StatusCode((int)answer.StatusCode);
            var entered = (await answer.Content.ReadFromJsonAsync(LobbyJson.Default.Entered, context.RequestAborted))!;
            return Results.Json(entered with { Shards = [context.Shard().Id.Value, .. entered.Shards] }, LobbyJson.Default.Entered);
        });
        lobby.MapGet("", (string lobby, HttpContext context) => Results.Json(new LobbyView(lobby, context.EndpointState().Counter("visitors").Value), LobbyJson.Default.LobbyView));
        lobby.WithProbe("counts", "probe", probe => probe.Get().Expect(answer => answer.Json.GetProperty("visitors").GetInt64() == 0, "nobody has come yet")); // A probe calls no other endpoint.

        room.MapPost("/enter/{item}", async (string room, string item, HttpContext context) =>
        {
            context.EndpointState().Counter("visitors").Increment();
            var shown = await context.ShardClient().GetFromJsonAsync($"/inventory/{Uri.EscapeDataString(item)}", RoomsJson.Default.ItemView, context.RequestAborted);
            return Results.Json(new Entered(room, item, [context.Shard().Id.Value, shown!.Shard]), LobbyJson.Default.Entered);
        });
    }
}

/// <summary>Where a visitor is now. <c>Shards</c>: those that lobby, room and item run at.</summary>
internal sealed record Entered(string Room, string Item, string[] Shards);

/// <summary>How many visitors a lobby has let in.</summary>
internal sealed record LobbyView(string Lobby, long Visitors);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(Entered))]
[JsonSerializable(typeof(LobbyView))]
internal sealed partial class LobbyJson : JsonSerializerContext;
