using System.Globalization;

namespace ShardCloud.Integration.Tests;

/// <summary>Owners renew their grants so that spent documents leave (docs/protocol/forgetting.md), over real processes.</summary>
[Collection(Cloud.Collection)]
public sealed class ForgettingTests
{
    /// <summary>Rooms of one Event Hub partition are asked for and never written; one of it is written without pause. Its owner renews the grant, more than once, and nobody notices: no request fails, and each counts once.</summary>
    [Fact]
    public async Task Grant_RenewedUnderUse_LosesAndFailsNothing()
    {
        var (busy, partitions) = (new EndpointId("rooms/1"), 16);
        var idle = Enumerable.Range(2, 10_000).Select(i => new EndpointId(string.Create(CultureInfo.InvariantCulture, $"rooms/{i}"))).Where(room => room.Slot.PartitionOf(partitions) == busy.Slot.PartitionOf(partitions)).Take(3).ToList();
        Environment.SetEnvironmentVariable("ShardCloud__Spent__Least", "2"); // The cloud's processes inherit it.
        Environment.SetEnvironmentVariable("ShardCloud__Spent__Every", "00:00:01");
        try
        {
            await using var cloud = await Cloud.StartAsync(shards: 2);
            Assert.Equal(CloudLevel.Own, (await cloud.Api.StatusAsync(TestContext.Current.CancellationToken)).Level);
            using var stop = new CancellationTokenSource();
            var counting = CountAsync(cloud, stop.Token);
            for (var (last, renewals) = ((await cloud.Api.OwnerAsync(busy.Value, CancellationToken.None)).Epoch, 0); renewals < 2; renewals++)
            {
                foreach (var room in idle) (await cloud.Router.GetAsync(room.Value, TestContext.Current.CancellationToken)).EnsureSuccessStatusCode();
                await Cloud.UntilAsync(async () => counting.IsFaulted || (await cloud.Api.OwnerAsync(busy.Value, CancellationToken.None)).Epoch > last, "the grant is renewed");
                var owner = await cloud.Api.OwnerAsync(busy.Value, CancellationToken.None);
                Assert.Contains("spent documents", owner.Reason, StringComparison.Ordinal);
                last = owner.Epoch;
            }
            await stop.CancelAsync();
            var counted = await counting;
            Assert.Equal(counted, (await cloud.ReadAsync("1")).Value);
        }
        finally
        {
            Environment.SetEnvironmentVariable("ShardCloud__Spent__Least", null);
            Environment.SetEnvironmentVariable("ShardCloud__Spent__Every", null);
        }
    }

    private static async Task<long> CountAsync(Cloud cloud, CancellationToken stop)
    {
        var counted = 0L;
        while (!stop.IsCancellationRequested) Assert.Equal(++counted, await cloud.IncrementAsync("1"));
        return counted;
    }
}
