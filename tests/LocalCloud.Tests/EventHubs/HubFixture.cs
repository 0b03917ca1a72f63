using Confluent.Kafka;
using ShardCloud.LocalCloud.EventHubs;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>A broker over a folder of its own, and the clients the product uses.</summary>
public sealed class HubFixture : IAsyncDisposable
{
    public const string Hub = "deltas";
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-hubs-").FullName;
    private LocalEventHubs? _broker;

    public LocalEventHubsOptions Options => field ??= new() { DataFolder = _folder, Hubs = new Dictionary<string, int> { [Hub] = 2 } };

    public LocalEventHubs Broker => _broker!;

    public static async Task<HubFixture> StartAsync(Func<LocalEventHubsOptions, LocalEventHubsOptions>? change = null, TimeProvider? time = null)
    {
        var fixture = new HubFixture();
        await fixture.RestartAsync(change, time: time);
        return fixture;
    }

    /// <summary>Ends the broker, lets the test touch its files, and starts it over them on the same port.</summary>
    public async Task RestartAsync(Func<LocalEventHubsOptions, LocalEventHubsOptions>? change = null, Action? meanwhile = null, TimeProvider? time = null)
    {
        var port = _broker?.Port ?? 0;
        if (_broker is not null) await _broker.DisposeAsync();
        meanwhile?.Invoke();
        _broker = await LocalEventHubs.StartAsync((change ?? (same => same))(Options) with { Port = port }, time);
    }

    /// <summary>A second broker over what the first has written so far, as if the first had just been killed.</summary>
    public async Task<HubFixture> CrashCopyAsync()
    {
        var copy = new HubFixture();
        foreach (var file in Directory.GetFiles(_folder, "*", SearchOption.AllDirectories).Where(path => !path.EndsWith(".lock", StringComparison.Ordinal)))
        {
            var target = Path.Combine(copy._folder, Path.GetRelativePath(_folder, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);

            // A plain copy would ask to keep the writer out, who has the file open.
            using var source = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var sink = File.Create(target);
            source.CopyTo(sink);
        }

        await copy.RestartAsync();
        return copy;
    }

    public string[] Segments(int partition) => [.. Directory.GetFiles(Path.Combine(_folder, "hubs", Hub, $"{partition}"), "*.log").Order()];

    public string HubFolder => Path.Combine(_folder, "hubs", Hub);

    public IProducer<byte[]?, byte[]> Producer(Action<ProducerConfig>? change = null)
    {
        var config = new ProducerConfig { BootstrapServers = Broker.BootstrapServers, EnableIdempotence = true, LingerMs = 0, MessageMaxBytes = 1_040_000 };
        change?.Invoke(config);
        return new ProducerBuilder<byte[]?, byte[]>(config).SetLogHandler((_, _) => { }).Build();
    }

    public IConsumer<byte[]?, byte[]> Consumer(long offset, int partition = 0, Action<ConsumerConfig>? change = null)
    {
        var config = new ConsumerConfig
        {
            BootstrapServers = Broker.BootstrapServers,
            GroupId = "none",
            EnableAutoCommit = false,
            AutoOffsetReset = AutoOffsetReset.Error,
            FetchWaitMaxMs = 500,
        };
        change?.Invoke(config);
        var consumer = new ConsumerBuilder<byte[]?, byte[]>(config).SetLogHandler((_, _) => { }).Build();
        consumer.Assign(new TopicPartitionOffset(Hub, partition, offset));
        return consumer;
    }

    /// <summary>Sets a client up with the broker's key, if it has one.</summary>
    public void Authenticate(ClientConfig config)
    {
        if (Broker.ConnectionString is { } password)
            (config.SecurityProtocol, config.SaslMechanism, config.SaslUsername, config.SaslPassword) = (SecurityProtocol.SaslPlaintext, SaslMechanism.Plain, "$ConnectionString", password);
    }

    public static List<ConsumeResult<byte[]?, byte[]>> Take(IConsumer<byte[]?, byte[]> consumer, int count) =>
        [.. Enumerable.Range(0, count).Select(index => consumer.Consume(Deadline) ?? throw new TimeoutException($"message {index} of {count} did not come"))];

    public async ValueTask DisposeAsync()
    {
        if (_broker is not null) await _broker.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}
