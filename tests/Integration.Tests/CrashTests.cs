using ShardCloud.Contracts;

namespace ShardCloud.Integration.Tests;

/// <summary>Shards killed with SIGKILL while clients write. One cloud a mode.</summary>
[Collection(Cloud.Collection)]
public sealed class CrashTests
{
    private static readonly string[] Rooms = [.. Enumerable.Range(1, 12).Select(number => $"{number}")];

    /// <summary>
    /// A shard dies; its backups serve what it owned. In one of the modes another dies and is started again at once: newcomer and backups find out who serves.
    /// Every client got every answer, each write counted once.
    /// </summary>
    [Theory]
    [InlineData("log")]
    [InlineData("replica")]
    public async Task Shard_KilledUnderWrites_BackupsServeAndNoAnsweredWriteIsLostOrDoubled(string ack)
    {
        await using var cloud = await Cloud.StartAsync(ack: ack);
        foreach (var room in Rooms) Assert.Equal(1, await cloud.IncrementAsync(room));
        using var stop = new CancellationTokenSource();
        var writers = Rooms.Select(room => WriteAsync(cloud, room, stop.Token)).ToArray();

        var first = (await cloud.ReadAsync(Rooms[0])).Shard;
        Cloud.Kill(await cloud.PidOfAsync(first));
        foreach (var room in Rooms) Assert.NotEqual(first, (await cloud.ReadAsync(room)).Shard); // Parked until somebody else serves it.

        if (ack == "log")
        {
            Cloud.Kill(await cloud.PidOfAsync((await cloud.ReadAsync(Rooms[0])).Shard));
            var started = await cloud.Api.BootstrapAsync(new BootstrapRequest(3, "1.0.0"), CancellationToken.None);
            await cloud.Api.WaitForOperationAsync(started, null, CancellationToken.None);
            foreach (var room in Rooms) await cloud.ReadAsync(room);
        }

        await stop.CancelAsync();
        for (var index = 0; index < Rooms.Length; index++) Assert.Equal(1 + await writers[index], (await cloud.ReadAsync(Rooms[index])).Value);
    }

    private static async Task<long> WriteAsync(Cloud cloud, string room, CancellationToken stop)
    {
        long written = 0;
        for (; !stop.IsCancellationRequested; written++) Assert.Equal(written + 2, await cloud.IncrementAsync(room)); // The only writer of this room: each answer tells the count.
        return written;
    }
}
