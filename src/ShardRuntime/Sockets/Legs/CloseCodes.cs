using System.Net.WebSockets;

namespace ShardCloud.ShardRuntime.Sockets.Legs;

/// <summary>Close codes that carrier and owner themselves give (RFC 6455, 7.4.1).</summary>
internal static class CloseCodes
{
    public const int Normal = 1000;
    public const int GoingAway = 1001;
    public const int ProtocolError = 1002;
    public const int Empty = 1005;

    /// <summary>No close frame carries it: the client vanished, or is cut off.</summary>
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
