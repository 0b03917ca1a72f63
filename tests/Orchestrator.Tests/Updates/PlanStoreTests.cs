using System.Text;
using Azure.Storage.Blobs;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Updates;
using ShardCloud.Placement;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Updates;

/// <summary>Where plans are kept, and until when.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class PlanStoreTests(AzuriteFixture azurite)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Plan_IsReadAsItWasWritten_AndNoOtherUnderItsNumberTakesItsPlace()
    {
        var (store, blobs, application) = Store();
        var (mine, other) = (await WriteAsync(store, "update-2.0.0", 1, "one"), await WriteAsync(store, "update-2.0.0", 1, "another"));

        Assert.Equal("one", await TextAsync(store, "update-2.0.0", mine));
        Assert.Equal("another", await TextAsync(store, "update-2.0.0", other));

        var blob = blobs.GetBlobContainerClient(PlanStore.Container).GetBlobClient($"{application}/update-2.0.0/00001-{mine.Sha256[..16]}.json.gz");
        await blob.UploadAsync(BinaryData.FromString("changed"), overwrite: true, Cancelled);
        Assert.Equal(ErrorCodes.PlanUnreadable, (await Assert.ThrowsAsync<ShardCloudException>(() => store.ReadAsync("update-2.0.0", mine, Cancelled))).Code);
    }

    [Fact]
    public async Task Plans_OfOldUpdates_AreDeleted()
    {
        var (store, _, _) = Store();
        var (old, kept, dropped) = (await WriteAsync(store, "update-2.0.0", 1, "one"), await WriteAsync(store, "update-2.1.0", 1, "two"), await WriteAsync(store, "update-2.1.0", 2, "three"));

        await store.DeleteAllButAsync(new HashSet<string> { "update-2.1.0" }, Cancelled);
        await store.DeleteAsync("update-2.1.0", [dropped], Cancelled);

        Assert.Null(await store.ReadAsync("update-2.0.0", old, Cancelled));
        Assert.Null(await store.ReadAsync("update-2.1.0", dropped, Cancelled));
        Assert.Equal("two", await TextAsync(store, "update-2.1.0", kept));
    }

    private (PlanStore Store, BlobServiceClient Blobs, string Application) Store()
    {
        var (blobs, application) = (new BlobServiceClient(azurite.ConnectionString), AzuriteFixture.NewApplication());
        return (new PlanStore(blobs, application), blobs, application);
    }

    private static async Task<UpdatePlanRef> WriteAsync(PlanStore store, string update, int number, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var plan = new UpdatePlanRef(number, 1, DateTimeOffset.UnixEpoch, 9, 1, 0, 0, 0, 0, 0, PlanFile.HashOf(bytes), bytes.Length);
        await store.WriteAsync(update, number, plan.Sha256, bytes, Cancelled);
        return plan;
    }

    private static async Task<string> TextAsync(PlanStore store, string update, UpdatePlanRef plan) => Encoding.UTF8.GetString((await store.ReadAsync(update, plan, Cancelled))!);
}
