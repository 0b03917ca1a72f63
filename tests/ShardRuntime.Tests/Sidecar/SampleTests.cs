using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sidecar;

/// <summary>The Rooms samples in other languages answer as the one in C# does, and their rooms move.</summary>
public sealed class SampleTests : IAsyncDisposable
{
    private readonly TestCluster _cluster = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Theory]
    [InlineData("node", "Rooms.Node/app.js")]
    [InlineData("python3", "Rooms.Python/app.py")]
    public async Task Sample_CountsOnceAndMoves(string language, string program)
    {
        Assert.SkipUnless(IsThere(language), $"There is no {language} on this machine.");
        var command = $"{language} \"{AppHost.PathOf("../../../samples/" + program)}\"";
        var (a, b) = (await _cluster.StartAppAsync("shard-1", command), await _cluster.StartAppAsync("shard-2", command));
        _cluster.GrantAll(a);

        var counts = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => IncrementAsync(a)));
        Assert.Equal(Enumerable.Range(1, 20).Select(count => (long)count), counts.Order());
        Assert.Equal((21, 21), (await IncrementAsync(a, "key-1"), await IncrementAsync(a, "key-1")));
        Assert.Equal(HttpStatusCode.NoContent, await ChangeAsync(HttpMethod.Put, "ada%20l"));
        Assert.Equal(HttpStatusCode.NoContent, await ChangeAsync(HttpMethod.Put, "bert"));
        Assert.Equal(HttpStatusCode.NoContent, await ChangeAsync(HttpMethod.Delete, "bert"));
        Assert.Equal(HttpStatusCode.NotFound, await ChangeAsync(HttpMethod.Delete, "bert"));

        _cluster.Place(TestCluster.Room, a, b);
        Assert.Equal(22, await IncrementAsync(a));
        var room = JsonNode.Parse(await a.Client.GetStringAsync("/rooms/1", Cancelled));
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse("""{"room":"1","value":22,"members":["ada l"],"shard":"shard-2","version":"1.0.0"}"""), room), room?.ToJsonString());
        Assert.Equal(HttpStatusCode.NotFound, (await a.Client.GetAsync("/elsewhere", Cancelled)).StatusCode);

        async Task<HttpStatusCode> ChangeAsync(HttpMethod method, string name)
        {
            using var answer = await a.Client.SendAsync(new HttpRequestMessage(method, $"/rooms/1/members/{name}"), Cancelled);
            return answer.StatusCode;
        }
    }

    private static async Task<long> IncrementAsync(TestMember member, string? key = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/rooms/1/increment");
        if (key is not null) request.Headers.Add("Idempotency-Key", key);
        using var answer = await member.Client.SendAsync(request, Cancelled);
        answer.EnsureSuccessStatusCode();
        return (await answer.Content.ReadFromJsonAsync<JsonElement>(Cancelled)).GetProperty("value").GetInt64();
    }

    private static bool IsThere(string program)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, "--version") { RedirectStandardOutput = true, RedirectStandardError = true });
            process!.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
