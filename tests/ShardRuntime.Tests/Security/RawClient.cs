using System.Net.Sockets;
using System.Text;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Security;

/// <summary>A client that sends bytes as they are: HttpClient would tidy them, or refuse to send them.</summary>
internal static class RawClient
{
    /// <summary>Sends, and reads until the server has closed.</summary>
    public static async Task<string> SendAsync(TestMember member, string request)
    {
        using var connection = new RawConnection(member);
        await connection.SendAsync(request);
        return await connection.ReadAsync();
    }

    /// <summary>The status lines of an answer, in order.</summary>
    public static IReadOnlyList<int> StatusesOf(string answers) =>
        [.. answers.Split("HTTP/1.1 ")[1..].Select(answer => int.Parse(answer[..3], System.Globalization.CultureInfo.InvariantCulture))];
}

/// <summary>One connection; disposed, it vanishes.</summary>
internal sealed class RawConnection(TestMember member) : IDisposable
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(5);
    private readonly TcpClient _client = new(new Uri(member.Shard.PublicAddress).Host, new Uri(member.Shard.PublicAddress).Port) { LingerState = new LingerOption(true, 0) };

    public ValueTask SendAsync(string text) => _client.GetStream().WriteAsync(Encoding.Latin1.GetBytes(text));

    /// <summary>All that comes until the server closes; a note at its end when it does not.</summary>
    public async Task<string> ReadAsync()
    {
        var answer = new StringBuilder();
        var piece = new byte[16 * 1024];
        using var deadline = new CancellationTokenSource(Soon);
        try
        {
            while (await _client.GetStream().ReadAsync(piece, deadline.Token) is var length and > 0) answer.Append(Encoding.Latin1.GetString(piece, 0, length));
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

    public void Dispose() => _client.Dispose();
}
