/// <summary>What 2.1.0 has that 2.0.0 has not: a fault.</summary>
internal static class RoomsVersion
{
    /// <summary>Handlers that came later.</summary>
    public static void MapNew(this RouteGroupBuilder room)
    {
        Topic.Map(room);
        Fault.Into(room);
    }

    /// <summary>What a room is about.</summary>
    public static string? TopicOf(HttpContext context) => Topic.Of(context);
}
