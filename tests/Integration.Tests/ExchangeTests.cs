using System.Net;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.Replication;

namespace ShardCloud.Integration.Tests;

/// <summary>The exchange of docs/protocol/repair.md against a running shard, over its member listener.</summary>
[Collection(Cloud.Collection)]
public sealed class ExchangeTests
{
    [Fact]
    public async Task Exchange_WithALiveShard_GivesItsStateToMembersOnly()
    {
        await using var cloud = await Cloud.StartAsync(shards: 1);
        foreach (var room in Enumerable.Range(1, 20)) await cloud.IncrementAsync($"{room}");
        var shard = (await cloud.Api.StatusAsync(CancellationToken.None)).Members.Single(member => member.Role == "shard");
        var issuer = new TokenIssuer(LocalKey.Load(cloud.Stack.Run.KeyFile));
        string Token(string role) => issuer.Issue("shard-9~1", role, Audiences.Members, TimeSpan.FromMinutes(5));
        using var client = new HttpClient { BaseAddress = new Uri(shard.MemberAddress), DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        using (var refused = await client.PostAsync("/_shard/partitions/0/exchange", new ByteArrayContent([1]))) Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        client.DefaultRequestHeaders.Add(ShardHeaders.Token, Token(Roles.Member));
        using (var refused = await client.PostAsync("/_shard/partitions/0/exchange", new ByteArrayContent([1, 2, 3]))) Assert.Equal(HttpStatusCode.Conflict, refused.StatusCode);

        var endpoints = 0;
        for (var partition = 0; await SnapshotAsync(client, partition) is { } expected; partition++)
        {
            var asker = new ExchangeAsker(ExchangeMode.Adopt, salt: 7, expected.Position, expected.LogIdentity);
            while (asker.Next() is { } message)
            {
                using var response = await client.PostAsync($"/_shard/partitions/{partition}/exchange", new ByteArrayContent(message));
                response.EnsureSuccessStatusCode();
                var answer = await response.Content.ReadAsByteArrayAsync();
                asker.Receive(answer);
                if (asker.Messages == 1) asker.Compare(new PartitionReplica(partition, expected.PartitionCount, expected.LogIdentity).Freeze());
            }
            Assert.True(asker.IsExact);
            Assert.Equal(expected.Endpoints.Select(e => (e.Endpoint, e.Sequences.Last)).OrderBy(e => e.Endpoint.Value), asker.Adopted!.Endpoints.Select(e => (e.Endpoint, e.Sequences.Last)).OrderBy(e => e.Endpoint.Value));
            endpoints += expected.Endpoints.Count;
        }
        Assert.Equal(20, endpoints);
    }

    private static async Task<PartitionSnapshot?> SnapshotAsync(HttpClient client, int partition)
    {
        using var response = await client.GetAsync($"/_shard/partitions/{partition}/snapshot");
        return response.IsSuccessStatusCode ? await PartitionSnapshot.ReadAsync(await response.Content.ReadAsStreamAsync()) : null;
    }
}
