using Microsoft.Extensions.Time.Testing;
using ShardCloud.LocalCloud.EventHubs;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>What is kept, cut, repeated and deleted, seen from the wire.</summary>
public sealed class PartitionLogTests
{
    private const short None = 0, OffsetOutOfRange = 1, Corrupt = 2, OutOfOrder = 45, OldEpoch = 47, Compression = 76;

    /// <summary>Method: cut the file inside the last batch, at every kind of place; then flip a byte of it.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(100)]
    [InlineData(130)] // inside the header
    [InlineData(155)] // 6 bytes of it are left
    public async Task Restart_TornTail_IsCutAndTheLogGoesOn(int cut)
    {
        await using var hubs = await HubFixture.StartAsync();
        var batch = Batches.Of(valueBytes: 91);
        Assert.Equal(161, batch.Length);
        using (var wire = new WireClient(hubs.Broker.Port))
            for (var index = 0; index < 3; index++) await wire.ProduceAsync(batch);

        await hubs.RestartAsync(meanwhile: () =>
        {
            using var file = File.OpenWrite(hubs.Segments(0)[0]);
            file.SetLength(file.Length - cut);
        });

        using var again = new WireClient(hubs.Broker.Port);
        Assert.Equal((None, 2L), await again.ProduceAsync(batch));
        Assert.Equal((None, 3L, 3 * batch.Length), Summary(await again.FetchAsync(0)));
    }

    /// <summary>Method: the folder is copied under a running broker, right after the last answer: the operating system's view, which kill -9 leaves behind.</summary>
    [Theory]
    [InlineData(DiskSync.Never)]
    [InlineData(DiskSync.Always)]
    public async Task Crash_AfterAnAnswer_WhatWasAcknowledgedIsThere(DiskSync sync)
    {
        await using var hubs = await HubFixture.StartAsync(options => options with { SegmentBytes = 5_000, Sync = sync });
        using var wire = new WireClient(hubs.Broker.Port);
        for (var sequence = 0; sequence < 100; sequence++)
            await wire.ProduceAsync(Batches.Of(200, producer: 5, epoch: 0, sequence: sequence));
        await using var survivor = await hubs.CrashCopyAsync();

        using var after = new WireClient(survivor.Broker.Port);
        Assert.Equal((None, 99L), await after.ProduceAsync(Batches.Of(200, producer: 5, epoch: 0, sequence: 99)));
        Assert.Equal(100, (await after.FetchAsync(0)).End);
    }

    [Fact]
    public async Task Restart_LastBatchDamaged_IsCut()
    {
        await using var hubs = await HubFixture.StartAsync();
        using (var wire = new WireClient(hubs.Broker.Port))
            for (var index = 0; index < 3; index++) await wire.ProduceAsync(Batches.Of(valueBytes: 100));

        await hubs.RestartAsync(meanwhile: () =>
        {
            using var file = File.OpenWrite(hubs.Segments(0)[0]);
            file.Seek(-5, SeekOrigin.End);
            file.WriteByte(77);
        });

        using var again = new WireClient(hubs.Broker.Port);
        Assert.Equal(2, (await again.FetchAsync(0)).End);
    }

    [Fact]
    public async Task Restart_DamageBeforeTheLastSegment_IsAnErrorNotALoss()
    {
        await using var hubs = await HubFixture.StartAsync(options => options with { SegmentBytes = 500 });
        using (var wire = new WireClient(hubs.Broker.Port))
            for (var index = 0; index < 6; index++) await wire.ProduceAsync(Batches.Of(valueBytes: 100));

        var error = await Assert.ThrowsAsync<ShardCloudException>(() => hubs.RestartAsync(meanwhile: () =>
        {
            using var file = File.OpenWrite(hubs.Segments(0)[0]);
            file.SetLength(file.Length - 1);
        }));

        Assert.Equal(ErrorCodes.LogGap, error.Code);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Producer_BatchRepeated_IsStoredOnceAndAnsweredWithItsOffset(bool restart)
    {
        await using var hubs = await HubFixture.StartAsync();
        using (var wire = new WireClient(hubs.Broker.Port))
            for (var sequence = 0; sequence < 10; sequence += 2)
                Assert.Equal((None, (long)sequence), await wire.ProduceAsync(Batches.Of(10, count: 2, producer: 7, epoch: 0, sequence)));
        if (restart) await hubs.RestartAsync();

        using var again = new WireClient(hubs.Broker.Port);

        for (var sequence = 0; sequence < 10; sequence += 2)
            Assert.Equal((None, (long)sequence), await again.ProduceAsync(Batches.Of(10, count: 2, producer: 7, epoch: 0, sequence)));
        Assert.Equal(10, (await again.FetchAsync(0)).End);
        Assert.Equal((None, 10L), await again.ProduceAsync(Batches.Of(10, count: 1, producer: 7, epoch: 0, sequence: 10)));
    }

    [Fact]
    public async Task Producer_GapOldEpochOrUnknown_IsRefused()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var wire = new WireClient(hubs.Broker.Port);
        await wire.ProduceAsync(Batches.Of(10, producer: 7, epoch: 1, sequence: 0));

        Assert.Equal(OutOfOrder, (await wire.ProduceAsync(Batches.Of(10, producer: 7, epoch: 1, sequence: 2))).Error);
        Assert.Equal(OldEpoch, (await wire.ProduceAsync(Batches.Of(10, producer: 7, epoch: 0, sequence: 1))).Error);
        Assert.Equal(OutOfOrder, (await wire.ProduceAsync(Batches.Of(10, producer: 7, epoch: 2, sequence: 1))).Error);
        Assert.Equal(OutOfOrder, (await wire.ProduceAsync(Batches.Of(10, producer: 8, epoch: 0, sequence: 5))).Error);
        Assert.Equal((None, 1L), await wire.ProduceAsync(Batches.Of(10, producer: 7, epoch: 2, sequence: 0)));
    }

    [Fact]
    public async Task Producer_SequenceReachesTheLargestNumber_WrapsToZero()
    {
        await using var hubs = await HubFixture.StartAsync(options => options with { SegmentBytes = 200, RetentionBytes = 100 });
        using var wire = new WireClient(hubs.Broker.Port);
        for (var index = 0; index < 3; index++) await wire.ProduceAsync(Batches.Of(100));
        hubs.Broker.ApplyRetention(); // a log that has lost its beginning takes a producer at its word

        Assert.Equal((None, 3L), await wire.ProduceAsync(Batches.Of(10, count: 2, producer: 9, epoch: 0, sequence: int.MaxValue - 1)));
        Assert.Equal((None, 5L), await wire.ProduceAsync(Batches.Of(10, producer: 9, epoch: 0, sequence: 0)));
    }

    [Fact]
    public async Task Produce_DamagedOrUnsupportedBatch_IsRefusedAndTheConnectionGoesOn()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var wire = new WireClient(hubs.Broker.Port);
        var damaged = Batches.Of(100);
        damaged[^3] ^= 1;
        byte[] twoBatches = [.. Batches.Of(10), .. Batches.Of(10)];

        Assert.Equal(Corrupt, (await wire.ProduceAsync(damaged)).Error);
        Assert.Equal(Corrupt, (await wire.ProduceAsync(twoBatches)).Error);
        Assert.Equal(Corrupt, (await wire.ProduceAsync([])).Error);
        Assert.Equal(Compression, (await wire.ProduceAsync(Batches.Of(10, attributes: 4))).Error);
        Assert.Equal((None, 0L), await wire.ProduceAsync(Batches.Of(10)));
    }

    [Fact]
    public async Task Fetch_AtTheEnd_WakesOnTheAppendLongBeforeItsWaitIsOver()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var reader = new WireClient(hubs.Broker.Port);
        using var writer = new WireClient(hubs.Broker.Port);
        await reader.SendFetchAsync(offset: 0, waitMilliseconds: 60_000); // above the deadline of the receive below
        var receiving = reader.ReceiveFetchAsync();
        await writer.ProduceAsync(Batches.Of(1_000), partition: 1); // not the one waited for
        Assert.False(receiving.IsCompleted);

        await writer.ProduceAsync(Batches.Of(10));

        Assert.Equal((None, 1L, Batches.Of(10).Length), Summary(await receiving));
    }

    /// <summary>Method: append and fetch race two thousand times; a wake-up lost in any round would hold that fetch past the deadline.</summary>
    [Fact]
    public async Task Fetch_RacingTheAppend_IsNeverSleptThrough()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var reader = new WireClient(hubs.Broker.Port);
        using var writer = new WireClient(hubs.Broker.Port);
        for (var offset = 0L; offset < 2_000; offset++)
        {
            await Task.WhenAll(reader.SendFetchAsync(offset, waitMilliseconds: 60_000), writer.ProduceAsync(Batches.Of(10)));
            Assert.NotEmpty((await reader.ReceiveFetchAsync()).Batches);
        }
    }

    [Fact]
    public async Task Fetch_WithAMinimum_WaitsForThatManyBytes()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var reader = new WireClient(hubs.Broker.Port);
        using var writer = new WireClient(hubs.Broker.Port);
        await reader.SendFetchAsync(offset: 0, waitMilliseconds: 60_000, bytesMin: 1_000);
        var receiving = reader.ReceiveFetchAsync();
        await writer.ProduceAsync(Batches.Of(500));
        Assert.False(receiving.IsCompleted);

        await writer.ProduceAsync(Batches.Of(500));

        Assert.Equal(2, (await receiving).End);
    }

    [Fact]
    public async Task Fetch_AtTheEnd_AnswersEmptyWhenItsWaitIsOver()
    {
        await using var hubs = await HubFixture.StartAsync();
        using var reader = new WireClient(hubs.Broker.Port);

        Assert.Equal((None, 0L, 0), Summary(await reader.FetchAsync(0, waitMilliseconds: 50)));
    }

    /// <summary>Method: batches of every size over many segments, read with every kind of room; each offset leads to the batch that holds it.</summary>
    [Fact]
    public async Task Fetch_AnyOffsetAndRoom_GivesWholeBatchesFromTheRightOneOn()
    {
        await using var hubs = await HubFixture.StartAsync(options => options with { SegmentBytes = 20_000 });
        using var wire = new WireClient(hubs.Broker.Port);
        var all = new List<(long First, int Count, byte[] Stored)>();
        var random = new Random(11);
        for (long offset = 0, index = 0; index < 200; index++)
        {
            var count = random.Next(1, 5);
            var batch = Batches.Of(random.Next(0, 1_500), count);
            Assert.Equal((None, offset), await wire.ProduceAsync(batch));
            System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(batch, offset);
            batch.AsSpan(12, 4).Clear();
            all.Add((offset, count, batch));
            offset += count;
        }

        Assert.InRange(hubs.Segments(0).Length, 5, 100);
        foreach (var room in (int[])[1, 3_000, 30_000])
        {
            for (var index = 0; index < all.Count; index++)
            {
                var (error, end, bytes) = await wire.FetchAsync(all[index].First + random.Next(all[index].Count), bytesMax: room);
                var (expected, next) = (new List<byte>(), index);
                while (expected.Count < bytes.Length) expected.AddRange(all[next++].Stored);
                Assert.Equal((None, all[^1].First + all[^1].Count), (error, end));
                Assert.NotEmpty(bytes);
                Assert.Equal(expected, bytes);
                Assert.True(bytes.Length <= room || next == index + 1, "only a first batch may go past the room");
            }
        }
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    [InlineData(long.MaxValue)]
    public async Task Fetch_OutsideTheLog_IsOutOfRange(long offset)
    {
        await using var hubs = await HubFixture.StartAsync();
        using var wire = new WireClient(hubs.Broker.Port);

        Assert.Equal(OffsetOutOfRange, (await wire.FetchAsync(offset, waitMilliseconds: 60_000)).Error);
    }

    [Fact]
    public async Task Retention_BySizeAndByTime_DeletesWholeSegmentsAndKeepsCounting()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var hubs = await HubFixture.StartAsync(
            options => options with { SegmentBytes = 400, RetentionBytes = 700, RetentionTime = TimeSpan.FromHours(1) }, time);
        using var wire = new WireClient(hubs.Broker.Port);
        for (var index = 0; index < 9; index++) await wire.ProduceAsync(Batches.Of(100)); // two to a segment

        hubs.Broker.ApplyRetention();
        Assert.Equal(2, hubs.Segments(0).Length);
        Assert.Equal(OffsetOutOfRange, (await wire.FetchAsync(5)).Error);
        Assert.Equal(None, (await wire.FetchAsync(6)).Error);

        time.Advance(TimeSpan.FromHours(2));
        hubs.Broker.ApplyRetention();
        Assert.Equal(OffsetOutOfRange, (await wire.FetchAsync(8)).Error);
        Assert.Equal((None, 9L), await wire.ProduceAsync(Batches.Of(100)));

        await hubs.RestartAsync();
        using var again = new WireClient(hubs.Broker.Port);
        Assert.Equal((None, 10L), await again.ProduceAsync(Batches.Of(100)));
    }

    private static (short Error, long End, int Bytes) Summary((short Error, long End, byte[] Batches) fetched) => (fetched.Error, fetched.End, fetched.Batches.Length);
}
