using System.Net.WebSockets;
using ShardCloud.ShardRuntime.Proxy;

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

/// <summary>Close codes that the carrier itself gives (RFC 6455, 7.4.1).</summary>
internal static class CloseCodes
{
    public const int Normal = 1000;
    public const int GoingAway = 1001;
    public const int ProtocolError = 1002;
    public const int Empty = 1005;
    public const int Abnormal = 1006;
    public const int PolicyViolation = 1008;
    public const int MessageTooBig = 1009;
    public const int InternalError = 1011;
    public const int ServiceRestart = 1012;
    public const int TryAgainLater = 1013;

    /// <summary>As the server's WebSocket takes it. False: a code that no close frame may carry (RFC 6455, 7.4.2), so the socket is cut off.</summary>
    public static bool TryStatus(int code, out WebSocketCloseStatus status)
    {
        status = (WebSocketCloseStatus)code;
        return code is Empty or (>= 1000 and <= 1003) or (>= 1007 and <= 1014) or (>= 3000 and <= 4999);
    }
}
