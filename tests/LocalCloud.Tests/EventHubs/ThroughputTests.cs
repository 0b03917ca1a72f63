using Confluent.Kafka;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.LocalCloud.EventHubs;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>Throughput units: late answers with a throttle time, never an error while the client still waits.</summary>
public sealed class ThroughputTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>What 60 s let in and out, by whichever limit comes first. The first second's worth comes at once.</summary>
    [Theory]
    [InlineData(1, 1_000, 1, 1_000, 4_096)] // small records: events count
    [InlineData(1, 100_000, 10, 10, 20)] // large ones: bytes do
    [InlineData(3, 100_000, 10, 30, 60)]
    public void Meter_ASteadyStream_IsHeldToTheUnits(int units, int bytes, int events, double inPerSecond, double outPerSecond)
    {
        var time = new FakeTimeProvider();
        var meter = new ThroughputMeter(units, time);

        var admitted = Count(() => meter.TryTakeIn(bytes, events, Patience)!.Value);
        Assert.InRange(admitted, 60 * inPerSecond, (61 * inPerSecond) + 1);
        var read = Count(() =>
        {
            var delay = meter.DelayOut();
            meter.TakeOut(bytes, events);
            return delay;
        });
        Assert.InRange(read, 60 * Math.Min(outPerSecond, units * 2_000_000.0 / bytes), (61 * outPerSecond) + 2);

        int Count(Func<TimeSpan> take)
        {
            var (count, end) = (0, time.GetUtcNow() + TimeSpan.FromSeconds(60));
            while (time.GetUtcNow() < end)
            {
                time.Advance(take());
                count++;
            }

            return count;
        }
    }

    [Fact]
    public void Meter_PastTheClientsPatience_RefusesAndCountsNothing()
    {
        var meter = new ThroughputMeter(1, new FakeTimeProvider());
        Assert.Equal(TimeSpan.FromSeconds(4), meter.TryTakeIn(5_000_000, 1, Patience));

        Assert.Null(meter.TryTakeIn(2_000_000, 1, TimeSpan.FromSeconds(5)));
        Assert.Null(meter.TryTakeIn(28_000_000, 1, TimeSpan.FromHours(1)));

        Assert.Equal(TimeSpan.FromSeconds(5), meter.TryTakeIn(1_000_000, 1, Patience));
    }

    /// <summary>What is over the rate is stored at once and answered late; nothing but the clock brings the answer.</summary>
    [Fact]
    public async Task Produce_OverTheRate_IsAnsweredLateAndSaysSo()
    {
        var time = new ObservedTime();
        await using var hubs = await HubFixture.StartAsync(options => options with { ThroughputUnits = 1 }, time);
        using var wire = new WireClient(hubs.Broker.Port);
        Assert.Equal(0, await ThrottledAsync(wire, Batches.Of(900_000)));

        var late = ThrottledAsync(wire, Batches.Of(900_000));
        Assert.InRange(await time.Held.WaitAsync(HubFixture.Deadline), TimeSpan.FromMilliseconds(800), TimeSpan.FromMilliseconds(801));
        using var other = new WireClient(hubs.Broker.Port);
        Assert.Equal(2, (await other.FetchAsync(0, waitMilliseconds: 0)).End); // stored, and reads are another account
        Assert.False(late.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(1));

        Assert.InRange(await late.WaitAsync(HubFixture.Deadline), 800, 801);
    }

    [Fact]
    public async Task Produce_LongerThanTheClientWaits_IsAPolicyViolationAndNotStored()
    {
        await using var hubs = await HubFixture.StartAsync(options => options with { ThroughputUnits = 1 }, new FakeTimeProvider());
        using var wire = new WireClient(hubs.Broker.Port);
        Assert.Equal((0, 0L), await wire.ProduceAsync(Batches.Of(10, count: 1_000)));

        Assert.Equal((44, -1L), await wire.ProduceAsync(Batches.Of(10, count: 1_001))); // would be due in 1.001 s, the client waits 1 s

        Assert.Equal(1_000, (await wire.FetchAsync(0)).End);
    }

    [Fact]
    public async Task Fetch_OverTheRate_WaitsForWhatWentOutBefore()
    {
        var time = new ObservedTime();
        await using var hubs = await HubFixture.StartAsync(time: time);
        using (var writer = new WireClient(hubs.Broker.Port))
            for (var index = 0; index < 4; index++) await writer.ProduceAsync(Batches.Of(900_000));
        await hubs.RestartAsync(options => options with { ThroughputUnits = 1 }, time: time);
        using var wire = new WireClient(hubs.Broker.Port);
        for (var offset = 0; offset < 3; offset++) Assert.InRange((await wire.FetchAsync(offset)).Batches.Length, 900_000, 900_200); // 1.35 s of egress, of which 1 s may come at once

        await wire.SendFetchAsync(3, waitMilliseconds: 0);
        var late = wire.ReceiveAsync();
        Assert.InRange(await time.Held.WaitAsync(HubFixture.Deadline), TimeSpan.FromMilliseconds(350), TimeSpan.FromMilliseconds(351));
        using var other = new WireClient(hubs.Broker.Port);
        Assert.Equal((0, 4L), await other.ProduceAsync(Batches.Of(10))); // writes are another account
        Assert.False(late.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(1));

        Assert.InRange((await late.WaitAsync(HubFixture.Deadline)).Int32(), 350, 351);
    }

    /// <summary>The clients wait, and nothing is lost: 2,500 events through one unit take about 1.5 s more than a second's worth.</summary>
    [Fact]
    public async Task Confluent_OverTheRate_SlowsDownAndLosesNothing()
    {
        await using var hubs = await HubFixture.StartAsync(options => options with { ThroughputUnits = 1 });
        using var producer = hubs.Producer();
        var begun = TimeProvider.System.GetTimestamp();

        var sent = Enumerable.Range(0, 2_500).Select(index => producer.ProduceAsync(new TopicPartition(HubFixture.Hub, 0), new() { Value = BitConverter.GetBytes(index) })).ToList();
        await Task.WhenAll(sent).WaitAsync(HubFixture.Deadline);

        Assert.InRange(TimeProvider.System.GetElapsedTime(begun).TotalSeconds, 1.4, 20);
        using var consumer = hubs.Consumer(offset: 0);
        Assert.Equal(Enumerable.Range(0, 2_500), HubFixture.Take(consumer, 2_500).Select(message => BitConverter.ToInt32(message.Message.Value)));
    }

    private static async Task<int> ThrottledAsync(WireClient wire, byte[] batch)
    {
        var answer = await wire.AskAsync(0, 3, request => request
            .Text(null).Int16(-1).Int32(30_000).Int32(1).Text(HubFixture.Hub).Int32(1).Int32(0).Int32(batch.Length).Raw(batch));
        _ = (answer.Int32(), answer.Text(), answer.Int32(), answer.Int32());
        Assert.Equal(0, answer.Int16());
        _ = (answer.Int64(), answer.Int64());
        return answer.Int32();
    }

    /// <summary>A clock that tells when an answer begins to be held back.</summary>
    private sealed class ObservedTime : FakeTimeProvider
    {
        private readonly TaskCompletionSource<TimeSpan> _held = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<TimeSpan> Held => _held.Task;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = base.CreateTimer(callback, state, dueTime, period);
            if (dueTime > TimeSpan.Zero && dueTime < TimeSpan.FromSeconds(5)) _held.TrySetResult(dueTime); // what the broker does from time to time is rarer
            return timer;
        }
    }
}
