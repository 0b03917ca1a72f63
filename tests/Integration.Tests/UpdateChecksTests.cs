using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Serialization.Metadata;
using ShardCloud.Cli.Commands;
using ShardCloud.Contracts;
using ShardCloud.Identity;

namespace ShardCloud.Integration.Tests;

/// <summary>What an update asks of shards, against real ones: Rooms 1.0.0 on two of them, and a third with 2.0.0 that owns nothing.</summary>
[Collection(Cloud.Collection)]
public sealed class UpdateChecksTests(ITestOutputHelper output)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task NewVersion_IsWarmedProbedAndShadowed_BeforeItServesAnything()
    {
        await using var cloud = await Cloud.StartAsync(shards: 2);
        await PackageCommand.PublishAsync(cloud.Api, Path.Combine(Repository.Apps, "rooms-2.0.0"), output.WriteLine, Token);
        var added = Assert.Single((await cloud.EndOfOperationAsync(await cloud.Api.AddShardAsync("2.0.0", Token))).Shards);
        var rooms = Enumerable.Range(1, 8).Select(i => $"{i}").ToArray();
        foreach (var room in rooms) await cloud.IncrementAsync(room);
        var shards = (await cloud.Api.StatusAsync(Token)).Members.Where(member => member.Role == "shard").ToDictionary(member => member.Shard);
        var (first, second, staging) = (shards["shard-1"], shards["shard-2"], shards[added]);
        using var members = new HttpClient { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        members.DefaultRequestHeaders.Add(ShardHeaders.Token, new TokenIssuer(LocalKey.Load(cloud.Stack.Run.KeyFile)).Issue("orchestrator", Roles.Orchestrator, Audiences.Members, TimeSpan.FromMinutes(5)));

        // Warm, from a member that it names.
        WarmStatus warm = null!;
        await Cloud.UntilAsync(async () => (warm = await WarmAsync(first.Incarnation, 60)) is var now && now.Complete == now.Partitions, "warm");
        Assert.Equal([KeyValuePair.Create(first.Incarnation, warm.Partitions)], warm.SeededFrom);

        // Probed: every template of the sample has one.
        var probes = await AskAsync(HttpMethod.Post, staging, "probes", JsonContent.Create(new ProbeRequest(30), MemberJson.Default.ProbeRequest), MemberJson.Default.ProbeReport);
        Assert.All(probes.Results, result => Assert.True(result.Passed && result.Name is not null, $"{result}"));
        Assert.Equal(["/inventory/{item}", "/likes/{page}", "/lobbies/{lobby}", "/rooms/{room}"], probes.Results.Select(result => result.Template).Distinct().Order());

        // Shadowed: before and after a room's move, with the version's new member and the shard's name in the answers.
        foreach (var owner in (MemberSummary[])[first, second]) await AskAsync(HttpMethod.Put, owner, "shadow", JsonContent.Create(new ShadowRequest(staging.Incarnation, 1, 60), MemberJson.Default.ShadowRequest), MemberJson.Default.ShadowSampling);
        foreach (var room in rooms) await cloud.ReadAsync(room);
        await ComparedAsync(rooms.Length);
        var elsewhere = (await cloud.ReadAsync("1")).Shard == "shard-1" ? "shard-2" : "shard-1";
        await cloud.MoveAsync(elsewhere, "rooms/1");
        await cloud.ReadAsync("1");
        await cloud.IncrementAsync("1");
        await cloud.ReadAsync("1");
        await ComparedAsync(rooms.Length + 3);

        // Whose handlers ran, and that none failed.
        var traffic = (await Task.WhenAll(((MemberSummary[])[first, second, staging]).Select(member => AskAsync(HttpMethod.Get, member, "status", null, MemberJson.Default.MemberStatus)))).Select(status => status.Traffic!).ToArray();
        Assert.Equal((rooms.Length * 2) + 4, traffic[0].Answered + traffic[1].Answered);
        Assert.Equal((0, 0), (traffic.Sum(each => each.ServerErrors), traffic[2].Answered));

        // Past the end nothing is kept that nothing needs.
        await WarmAsync(null, 1);
        for (var partition = 0; partition < warm.Partitions; partition++)
        {
            await Cloud.UntilAsync(async () =>
            {
                using var response = await members.GetAsync($"{staging.MemberAddress.TrimEnd('/')}/_shard/partitions/{partition}/snapshot", HttpCompletionOption.ResponseHeadersRead, Token);
                return response.StatusCode == HttpStatusCode.ServiceUnavailable;
            }, $"the replica of partition {partition} is dropped");
        }
        Assert.Equal(2, await cloud.IncrementAsync("2"));

        // And of some partitions only those.
        await Cloud.UntilAsync(async () => await WarmAsync(first.Incarnation, 60, 3, 5) is { Partitions: 2, Complete: 2 }, "two of them");
        using (var other = await members.GetAsync($"{staging.MemberAddress.TrimEnd('/')}/_shard/partitions/4/snapshot", HttpCompletionOption.ResponseHeadersRead, Token))
            Assert.Equal(HttpStatusCode.ServiceUnavailable, other.StatusCode);

        Task<WarmStatus> WarmAsync(string? from, int seconds, params int[] partitions) =>
            AskAsync(HttpMethod.Put, staging, "warm", JsonContent.Create(new WarmRequest(from, seconds, partitions.Length == 0 ? null : partitions), MemberJson.Default.WarmRequest), MemberJson.Default.WarmStatus);

        async Task<T> AskAsync<T>(HttpMethod method, MemberSummary member, string path, HttpContent? body, JsonTypeInfo<T> type)
        {
            using var request = new HttpRequestMessage(method, $"{member.MemberAddress.TrimEnd('/')}/_shard/{path}") { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact, Content = body };
            using var response = await members.SendAsync(request, Token);
            Assert.True(response.IsSuccessStatusCode, $"{path}: {await response.Content.ReadAsStringAsync(Token)}");
            return (await response.Content.ReadFromJsonAsync(type, Token))!;
        }

        async Task ComparedAsync(int count)
        {
            ShadowReport report = null!;
            await Cloud.UntilAsync(async () => (report = await AskAsync(HttpMethod.Get, staging, "shadow", null, MemberJson.Default.ShadowReport)) is var now && now.Compared + now.Skipped + now.Failed >= count, "compared");
            Assert.True((report.Compared, report.Different, report.Skipped, report.Failed) == (count, 0, 0, 0), $"{report} {string.Join(' ', report.Examples)}");
        }
    }
}
