using System.Net.Sockets;
using System.Text;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Security;

/// <summary>A client that sends bytes as they are: HttpClient would tidy them, or refuse to send them.</summary>
internal static class RawClient
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(5);

    /// <summary>Sends, says that nothing more comes, and reads until the server has closed.</summary>
    public static async Task<string> SendAsync(TestMember member, string request)
    {
        var address = new Uri(member.Shard.PublicAddress);
        using var client = new TcpClient();
        await client.ConnectAsync(address.Host, address.Port);
        var stream = client.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(request));
        var answer = new StringBuilder();
        var piece = new byte[16 * 1024];
        using var deadline = new CancellationTokenSource(Soon);
        try
        {
            while (await stream.ReadAsync(piece, deadline.Token) is var length and > 0) answer.Append(Encoding.Latin1.GetString(piece, 0, length));
        }
        catch (IOException)
        {
            // Reset: it did not even read the rest.
        }
        catch (OperationCanceledException)
        {
            answer.Append("(not closed)");
        }
        return answer.ToString();
    }

    /// <summary>The status lines of an answer, in order.</summary>
    public static IReadOnlyList<int> StatusesOf(string answers) =>
        [.. answers.Split("HTTP/1.1 ")[1..].Select(answer => int.Parse(answer[..3], System.Globalization.CultureInfo.InvariantCulture))];
}
