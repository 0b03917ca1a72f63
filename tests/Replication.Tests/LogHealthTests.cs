using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Confluent.Kafka;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.LocalCloud.EventHubs;

namespace ShardCloud.Replication.Tests;

public sealed class LogHealthTests : IDisposable
{
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch);
    private readonly Lines _lines = new();
    private readonly LogHealth _health;

    public LogHealthTests() => _health = new LogHealth(_time, _lines);

    public void Dispose() => _health.Dispose();

    [Fact]
    public void Errors_OfOneEpisode_AreToldOnce_WithTheirCountAtTheEnd()
    {
        for (var i = 0; i < 300; i++)
        {
            _health.Error("Connection refused");
            _time.Advance(TimeSpan.FromMilliseconds(100));
        }
        Assert.Equal([6004], _lines.Events);
        _time.Advance(TimeSpan.FromSeconds(20));
        Assert.Equal([6004, 6021], _lines.Events);
        Assert.Contains("300 reports in 29.9 s", _lines.Last);
        _health.Error("Connection refused");
        Assert.Equal([6004, 6021, 6004], _lines.Events);
    }

    [Fact]
    public void Throttling_InTheClientsStatistics_IsToldOnceAndMeasured()
    {
        Assert.Equal(TimeSpan.Zero, _health.Throttled);
        _health.Statistics("""{"name":"rdkafka#producer-1","brokers":{"a:9092/0":{"throttle":{"min":0,"max":1200,"avg":300}},"b":{"throttle":{"max":0}},"c":{}}}""");
        Assert.Equal(TimeSpan.FromMilliseconds(1_200), _health.Throttled);
        _health.Statistics("""{"brokers":{"a":{"throttle":{"max":40}}}}""");
        Assert.Equal(TimeSpan.FromMilliseconds(1_200), _health.Throttled); // Another producer's.
        Assert.Equal([6022], _lines.Events);
        _time.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal([6022, 6023], _lines.Events);
        Assert.Equal(TimeSpan.Zero, _health.Throttled);
    }

    [Fact]
    public async Task Producer_ThatFailedForGood_IsReplacedByOneThatAppends()
    {
        var folder = Directory.CreateTempSubdirectory("shardcloud-producer-");
        var deadline = new CancellationTokenSource(Cluster.Deadline).Token;
        var hubs = await StartAsync(port: 0);
        try
        {
            var clients = new KafkaClients(new ReplicationOptions { Application = "rooms", BootstrapServers = hubs.BootstrapServers, PartitionCount = 1, LogIdentity = "log-1" });
            using var health = new LogHealth(TimeProvider.System, NullLogger.Instance);
            using var producer = new LogProducer(clients, health, new LogMetrics(), TimeProvider.System, _lines);
            var at = new TopicPartition("deltas", new Partition(0));
            await producer.ProduceAsync(at, [1], deadline);
            await producer.ProduceAsync(at, [2], deadline);

            // Another log in its place: the producer's next sequence follows nothing there, which no retry mends.
            var port = hubs.Port;
            await hubs.DisposeAsync();
            folder.Delete(recursive: true);
            folder.Create();
            hubs = await StartAsync(port);
            await Assert.ThrowsAnyAsync<KafkaException>(() => producer.ProduceAsync(at, [3], deadline));
            for (var appended = false; !appended;)
            {
                deadline.ThrowIfCancellationRequested();
                appended = await producer.ProduceAsync(at, [4], deadline).ContinueWith(done => done.IsCompletedSuccessfully, TaskScheduler.Default);
            }
            Assert.Equal([6024], _lines.Events);
        }
        finally
        {
            await hubs.DisposeAsync();
            folder.Delete(recursive: true);
        }

        Task<LocalEventHubs> StartAsync(int port) => LocalEventHubs.StartAsync(new LocalEventHubsOptions { DataFolder = folder.FullName, Hubs = new Dictionary<string, int> { ["deltas"] = 1 }, Port = port });
    }

    [Fact]
    public void Instruments_OnTheWayOfAWrite_AllocateNothing()
    {
        var metrics = new LogMetrics();
        using var listener = new MeterListener { InstrumentPublished = (instrument, me) => { if (instrument.Meter.Name == LogMetrics.MeterName) me.EnableMeasurementEvents(instrument); } };
        long seen = 0;
        listener.SetMeasurementEventCallback<long>((_, value, _, _) => seen += value);
        listener.Start();
        Count();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1_000; i++) Count();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.True(seen >= 1_001 * 100);

        void Count()
        {
            metrics.Committed(100, 2_000);
            metrics.Appends(3, 300);
            metrics.Appended(TimeSpan.FromMilliseconds(2));
        }
    }

    /// <summary>Event ids and texts, in order.</summary>
    private sealed class Lines : ILogger
    {
        private readonly ConcurrentQueue<(int Id, string Text)> _lines = new();

        public IEnumerable<int> Events => _lines.Select(line => line.Id);

        public string Last => _lines.Last().Text;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            _lines.Enqueue((eventId.Id, formatter(state, exception)));
    }
}
