using ShardCloud.ShardRuntime;

/// <summary>The topic of a room, known since 2.0.0.</summary>
/// <remarks>
/// A new field needs no migration of what is there: a room that never had a topic has an empty one. A room that goes back to a shard of 1.0.0 keeps its topic, for a version keeps what it does
/// not know, and shows it again at the next shard of 2.0.0.
/// </remarks>
internal static class Topic
{
    public static void Map(RouteGroupBuilder room) => room.MapPut("/topic/{topic}", (string topic, HttpContext context) =>
    {
        context.EndpointState().Register<string>("topic").Set(topic);
        return Results.NoContent();
    });

    public static string Of(HttpContext context) => context.EndpointState().Register<string>("topic").Value ?? "";
}
