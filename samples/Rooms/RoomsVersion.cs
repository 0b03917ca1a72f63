/// <summary>What this version has that others have not: nothing, it is the first. The one of 2.0.0 is in samples/Rooms.V2; everything else is the same source.</summary>
internal static class RoomsVersion
{
    /// <summary>Handlers that came later.</summary>
    public static void MapNew(this RouteGroupBuilder room)
    {
    }

    /// <summary>What a room is about; this version knows of no such thing.</summary>
    public static string? TopicOf(HttpContext context) => null;
}
