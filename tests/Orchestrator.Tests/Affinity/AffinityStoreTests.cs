using System.Net.Http.Json;
using System.Text;
using Azure.Storage.Blobs;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Affinity;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Affinity;

/// <summary>The affinity map of a cloud: what its members tell, merged and kept.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class AffinityStoreTests(AzuriteFixture azurite)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Merge_AddsWhatMembersTell_NamesWhoTellsNothing_AndIsKept()
    {
        await using var cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromMinutes(5), "shard-1", "shard-2", "shard-3", "shard-4");
        var store = cloud.Services.GetRequiredService<AffinityStore>();
        Assert.Null(await store.ReadAsync(Cancelled));
        cloud.Member("shard-1").Affinity = Told(2);
        cloud.Member("shard-2").Affinity = Told(3);
        cloud.Member("shard-3").Affinity = "{}"u8.ToArray();
        await cloud.Member("shard-4").DisposeAsync();

        var (merged, leftOut, _) = await store.MergeAsync(Cancelled);

        Assert.Equal(5, Assert.Single(merged.Edges).Weight);
        Assert.Equal(["shard-3", "shard-4"], leftOut.Select(left => left.Member.Split('~')[0]));
        Assert.StartsWith(ErrorCodes.AffinityUnreadable, leftOut[0].Why, StringComparison.Ordinal);
        Assert.Equal(AffinityFile.Write(merged), AffinityFile.Write((await store.ReadAsync(Cancelled))!));
    }

    [Fact]
    public async Task Answers_ArePackedOrNot_AndOneThatUnpacksToTooMuchIsLeftOut()
    {
        await using var cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromMinutes(5), "shard-1", "shard-2", "shard-3", "shard-4");
        (cloud.Member("shard-1").Affinity, cloud.Member("shard-2").Affinity, cloud.Member("shard-2").AffinityPacked) = (Told(2), Told(3), false);
        cloud.Member("shard-3").Affinity = new byte[(64 << 20) + 1]; // Packed, it is less than a kilobyte.
        (cloud.Member("shard-4").Affinity, cloud.Member("shard-4").AffinityPacked) = (Told(4), null);

        var (merged, leftOut, _) = await cloud.Services.GetRequiredService<AffinityStore>().MergeAsync(Cancelled);

        Assert.Equal(5, Assert.Single(merged.Edges).Weight);
        Assert.Equal(["with more than 64 MiB.", "with something that cannot be unpacked."], leftOut.Select(left => left.Why[left.Why.IndexOf("with", StringComparison.Ordinal)..]));
        Assert.All(leftOut, left => Assert.StartsWith(ErrorCodes.AffinityUnreadable, left.Why, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Maps_AreKeptFive_OneThatCannotBeRead_IsPassedOver_AndNothingToTell_IsNotStored()
    {
        await using var cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromMinutes(5), "shard-1");
        var (store, blobs) = (cloud.Services.GetRequiredService<AffinityStore>(), cloud.Services.GetRequiredService<AffinityBlobs>());
        cloud.Member("shard-1").Affinity = Told(2);
        for (var i = 0; i < 7; i++) await store.MergeAsync(Cancelled);
        Assert.Equal([7, 6, 5, 4, 3], await blobs.ListAsync(Cancelled));
        Assert.Null(await store.ReadAsync(2, Cancelled));

        await SpoilAsync(cloud, 7);
        Assert.Equal(6, (await store.ReadAsync(Cancelled))!.Version);
        Assert.Equal(8, (await store.MergeAsync(Cancelled)).Map.Version); // Never over the spoilt one.
        Assert.Equal(8, (await store.ReadAsync(Cancelled))!.Version);

        cloud.Member("shard-1").Affinity = AffinityFile.Write(AffinityMap.WithVersion(AffinityMerge.Merge(null, new Dictionary<string, AffinityMap>(), DateTimeOffset.UtcNow), 0));
        await store.MergeAsync(Cancelled);
        Assert.Equal(8, (await blobs.ListAsync(Cancelled))[0]);
    }

    [Fact]
    public async Task Api_TellsEdgesUnderTodaysOwners_AndStoresNothing()
    {
        await using var cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromMinutes(5), "shard-1", "shard-2");
        cloud.Member("shard-1").Affinity = Told(2, "[16,3,0.5,10,0,0]");
        var view = await AskAsync();
        Assert.Equal((0, 2, 1, 2.0, 0.0), ((int)view.Version, view.Endpoints, view.Edges, view.PerSecond, view.CrossingShare));
        Assert.Equal(new UsedTogether("inventory/7", "rooms/1", 2, "shard-1", "shard-1", false), Assert.Single(view.Top));
        Assert.Equal([new ShardUse("shard-1", 2, 5, 0.5, 10, 0, 0, 2, 0), new ShardUse("shard-2", 0, 0, 0, 0, 0, 0, 0, 0)], view.Shards);
        Assert.StartsWith("shard-2~", Assert.Single(view.LeftOut).Member, StringComparison.Ordinal);
        Assert.Empty(await cloud.Services.GetRequiredService<AffinityBlobs>().ListAsync(Cancelled));

        var moved = new EntryKey[] { EntryKey.Of(new EndpointId("inventory/7")) };
        var plan = await cloud.Store.CommitAsync(_ => new MapCommit("test", "test", [new PlanMove(moved, cloud.Member("shard-1").Incarnation, cloud.Member("shard-2").Incarnation)]), Cancelled);
        await cloud.Store.CommitAsync(_ => new MapCommit("test", "test", [new GrantMove(new HandoffId(plan.Version), moved, cloud.Member("shard-2").Incarnation)]), Cancelled);
        view = await AskAsync();
        Assert.Equal((1.0, "shard-2", true), (view.CrossingShare, view.Top[0].ShardOfA, view.Top[0].Crosses));
        Assert.Equal([(0.0, 2.0), (0.0, 2.0)], view.Shards.Select(shard => (shard.Within, shard.Crossing)));

        async Task<AffinityView> AskAsync() => (await (await cloud.SendAsync(HttpMethod.Get, "/api/affinity?top=1")).Content.ReadFromJsonAsync(ManagementJson.Default.AffinityView, Cancelled))!;
    }

    private async Task SpoilAsync(TestCloud cloud, long version)
    {
        var container = new BlobServiceClient(azurite.ConnectionString).GetBlobContainerClient(AffinityBlobs.Container);
        await container.GetBlobClient($"{cloud.Application}/{version:d12}.json.gz").UploadAsync(BinaryData.FromString("spoilt"), overwrite: true, Cancelled);
    }

    private static byte[] Told(double weight, string slots = "") => Encoding.UTF8.GetBytes(
        $$"""{"affinity":1,"version":0,"at":"{{DateTimeOffset.UtcNow:O}}","halfLifeSeconds":600,"vertices":[["inventory/7",1,0,0,0,0],["rooms/1",1,0,0,0,0]],"edges":[[0,1,{{weight}}]],"slots":[{{slots}}]}""");
}
