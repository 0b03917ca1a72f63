using ShardCloud.ShardRuntime;

/// <summary>What 2.0.0 has that 1.0.0 has not: a room has a topic, and says it.</summary>
/// <remarks>
/// A new field needs no migration of what is there: a room that never had a topic has an empty one. A room that goes back to a shard of 1.0.0 keeps its topic, for a version keeps what it does
/// not know, and shows it again at the next shard of 2.0.0.
/// </remarks>
internal static class RoomsVersion
{
    /// <summary>Handlers that came later.</summary>
    public static void MapNew(this RouteGroupBuilder room) => room.MapPut("/topic/{topic}", (string topic, HttpContext context) =>
    {
        context.EndpointState().Register<string>("topic").Set(topic);
        return Results.NoContent();
    });

    /// <summary>What a room is about.</summary>
    public static string? TopicOf(HttpContext context) => context.EndpointState().Register<string>("topic").Value ?? "";
}
