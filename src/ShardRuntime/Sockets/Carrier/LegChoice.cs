using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>Whom to dial next, and what an answer to a dial means. Pure; docs/protocol/sockets.md.</summary>
internal static class LegChoice
{
    /// <summary>(2) The owner by the map. (9) After a Moved, <c>to</c> of the entry: there the dial waits for the grant. None: nobody can be dialled now.</summary>
    /// <param name="entry">The newest entry known.</param>
    /// <param name="isMoved">The last leg ended with a Moved.</param>
    /// <param name="refusedTo">A destination that refused this connection.</param>
    /// <param name="isReachable">No failed attempt to reach the member is recent.</param>
    public static IncarnationId Of(in EntryView entry, bool isMoved, IncarnationId refusedTo, Func<IncarnationId, bool> isReachable)
    {
        if (isMoved && !entry.To.IsNone && entry.To != refusedTo && isReachable(entry.To)) return entry.To;
        return !entry.Owner.IsNone && isReachable(entry.Owner) ? entry.Owner : default;
    }

    /// <summary>(10) The map names another owner than the leg leads to, and not only because this map is older than the one that the dial was decided on.</summary>
    public static bool IsElsewhere(in EntryView entry, IncarnationId target, MapVersion decidedAt) =>
        entry.Version >= decidedAt && entry.Owner != target && entry.To != target;

    /// <summary>What the application's refusal of a re-dial means for a client that is connected: a close code, or null: try again.</summary>
    public static int? CloseCodeOf(int status) => status switch
    {
        StatusCodes.Status503ServiceUnavailable => null,
        StatusCodes.Status410Gone => CloseCodes.GoingAway, // (11) The owner has closed it.
        StatusCodes.Status401Unauthorized or StatusCodes.Status403Forbidden => CloseCodes.PolicyViolation,
        _ => CloseCodes.InternalError,
    };
}
