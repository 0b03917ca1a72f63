/// <summary>What 2.0.0 has that 1.0.0 has not: a room has a topic, and says it.</summary>
internal static class RoomsVersion
{
    /// <summary>Handlers that came later.</summary>
    public static void MapNew(this RouteGroupBuilder room) => Topic.Map(room);

    /// <summary>What a room is about.</summary>
    public static string? TopicOf(HttpContext context) => Topic.Of(context);
}
