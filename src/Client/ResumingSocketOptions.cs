using System.Net.WebSockets;

namespace ShardCloud.Client;

/// <summary>Where a <see cref="ResumingSocket"/> connects, and its bounds.</summary>
public sealed class ResumingSocketOptions
{
    /// <summary>Addresses of the same endpoint at one or more routers, e.g. <c>wss://eu.example.org/rooms/1/chat</c>; the next one is tried when one is lost. At least one.</summary>
    public required IReadOnlyList<Uri> Addresses { get; init; }

    /// <summary>The application's subprotocols, in order of preference. Default: none.</summary>
    public IReadOnlyList<string> Subprotocols { get; init; } = [];

    /// <summary>Messages sent and not confirmed that are kept, at most; past it <see cref="ResumingSocket.SendAsync(string, CancellationToken)"/> waits. Default 256.</summary>
    public int UnconfirmedMax { get; init; } = 256;

    /// <summary>Messages received and not taken by the application that are kept, at most; past it the socket is not read. Default 256.</summary>
    public int UnreadMax { get; init; } = 256;

    /// <summary>Largest message from the server, in bytes. Default 1 MiB.</summary>
    public int MessageBytesMax { get; init; } = 1024 * 1024;

    /// <summary>First pause between two attempts to connect; doubled for each further one, with jitter. Default 100 ms.</summary>
    public TimeSpan FirstPause { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Longest pause between two attempts. Default 5 s.</summary>
    public TimeSpan LongestPause { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a lost connection is tried to be resumed; past it the socket is closed (1006). Default 2 minutes, as long as members keep it (<c>ShardCloud:Sockets:ResumeFor</c>).</summary>
    public TimeSpan ResumeWithin { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Called before each attempt: headers, cookies, certificates.</summary>
    public Action<ClientWebSocketOptions>? Configure { get; init; }
}
