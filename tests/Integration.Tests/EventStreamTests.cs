using System.Net.ServerSentEvents;
using ShardCloud.Contracts;

namespace ShardCloud.Integration.Tests;

/// <summary>Event streams on real processes.</summary>
[Collection(Cloud.Collection)]
public sealed class EventStreamTests
{
    /// <summary>A client holds one stream of a room's visits open, while the room moves twice under writes and then loses its owner by SIGKILL. It never connects again, and sees the count only grow, to its end.</summary>
    [Fact]
    public async Task Stream_OverMovesAndACrash_IsOneStream()
    {
        await using var cloud = await Cloud.StartAsync();
        await cloud.IncrementAsync("1");
        using var answer = await cloud.Router.GetAsync("rooms/1/events", HttpCompletionOption.ResponseHeadersRead);
        await using var body = await answer.Content.ReadAsStreamAsync();
        await using var events = SseParser.Create(body).EnumerateAsync().GetAsyncEnumerator();
        List<long> seen = [];

        await SeeAsync(1);
        foreach (var shard in (string[])["shard-2", "shard-1"])
        {
            var id = await cloud.Api.MigrateAsync(new StartMigrationRequest(["rooms/1"], shard), null, CancellationToken.None);
            for (var i = 0; i < 5; i++) await cloud.IncrementAsync("1");
            Assert.Equal(MigrationOutcome.Done, (await cloud.EndOfAsync(id)).Outcome);
            await SeeAsync(await cloud.IncrementAsync("1"));
        }
        Cloud.Kill(await cloud.PidOfAsync("shard-1"));
        await SeeAsync(await cloud.IncrementAsync("1"));

        Assert.Equal(seen.Order().Distinct(), seen);

        async Task SeeAsync(long count)
        {
            while (seen.Count == 0 || seen[^1] < count)
            {
                Assert.True(await events.MoveNextAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(60)), "the stream has ended");
                Assert.Equal($"{events.Current.EventId}", events.Current.Data);
                seen.Add(long.Parse(events.Current.Data, System.Globalization.CultureInfo.InvariantCulture));
            }
        }
    }
}
