using System.Net;
using System.Net.Sockets;

namespace ShardCloud.Bench.Load;

/// <summary>Bytes copied between a client's connection and one of its own to the backend, nothing read in them: the most that a forwarder of our own for plain HTTP/1.1 could reach in C#.</summary>
internal static class RawRelay
{
    public static async Task<int> RunAsync(int port, int backend)
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, port));
        listener.Listen(512);
        while (true)
        {
            var client = await listener.AcceptAsync();
            _ = RelayAsync(client, backend);
        }
    }

    private static async Task RelayAsync(Socket client, int backend)
    {
        using var server = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        client.NoDelay = server.NoDelay = true;
        using (client)
        {
            try
            {
                await server.ConnectAsync(IPAddress.Loopback, backend);
                await Task.WhenAll(CopyAsync(client, server), CopyAsync(server, client));
            }
            catch (SocketException)
            {
                // One side left; both are closed.
            }
        }
    }

    private static async Task CopyAsync(Socket from, Socket to)
    {
        var buffer = new byte[16 * 1024];
        while (await from.ReceiveAsync(buffer.AsMemory(), SocketFlags.None) is var length and > 0)
        {
            for (var sent = 0; sent < length;) sent += await to.SendAsync(buffer.AsMemory(sent, length - sent), SocketFlags.None);
        }
        to.Shutdown(SocketShutdown.Send);
    }
}
