using System.Net;
using System.Net.Sockets;

namespace ShardCloud.Processes;

/// <summary>Ports for processes that may have to be started again on the same one.</summary>
/// <remarks>
/// Taken from below the ranges out of which systems give ports to outgoing connections (Linux 32768, Windows and macOS 49152): a client that tries again and again to
/// reach a dead server could otherwise be given the server's own port, connect to itself, and keep the server from starting.
/// </remarks>
public static class Ports
{
    private const int First = 20_000, End = 32_000, TriesMax = 200;

    /// <summary>A port of 127.0.0.1 that nothing listens on now.</summary>
    public static int Free()
    {
        for (var attempt = 0; attempt < TriesMax; attempt++)
        {
            var port = Random.Shared.Next(First, End);
            if (WhyNotFree(port) is null) return port;
        }
        throw new ShardCloudException(ErrorCodes.PortInUse, $"{TriesMax} ports between {First} and {End} were tried and none is free.", "Stop what listens there.");
    }

    /// <summary>Why nothing can listen on a port of 127.0.0.1 just now; null when something can.</summary>
    public static SocketException? WhyNotFree(int port)
    {
        try
        {
            using var probe = new TcpListener(IPAddress.Loopback, port);
            probe.Start();
            return null;
        }
        catch (SocketException error)
        {
            return error;
        }
    }
}
