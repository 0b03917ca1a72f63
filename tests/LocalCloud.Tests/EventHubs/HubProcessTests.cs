using System.Globalization;
using System.Text.Json;
using Confluent.Kafka;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>The broker as a process of its own.</summary>
public sealed class HubProcessTests : IDisposable
{
    private const int Kills = 10;

    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-hubs-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>The producer stays open and repeats what was not acknowledged: the broker started over its files must know what it has already.</summary>
    [Fact]
    public async Task Kill_AtRandomMoments_NothingAcknowledgedIsLostRepeatedOrOutOfOrder()
    {
        var random = new Random(11);
        var (broker, port) = await StartAsync(0);
        var address = $"127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}";
        using var producer = new ProducerBuilder<byte[]?, byte[]>(new ProducerConfig
        {
            BootstrapServers = address,
            EnableIdempotence = true,
            LingerMs = 0,
            MessageTimeoutMs = 0,
            ReconnectBackoffMs = 20,
            ReconnectBackoffMaxMs = 100,
        }).SetLogHandler((_, _) => { }).Build();
        var sent = new List<Task<DeliveryResult<byte[]?, byte[]>>>();
        for (var life = 0; life <= Kills; life++)
        {
            for (var burst = random.Next(50, 400); burst > 0; burst--)
                sent.Add(producer.ProduceAsync(new TopicPartition(HubFixture.Hub, 0), new() { Value = BitConverter.GetBytes(sent.Count) }));
            if (life == Kills) break;
            await sent[^random.Next(1, 50)].WaitAsync(HubFixture.Deadline); // Some of the burst is acknowledged, the rest is anywhere.
            broker.Crash();
            await broker.Exited;
            await broker.DisposeAsync();
            (broker, _) = await StartAsync(port);
        }
        var acknowledged = await Task.WhenAll(sent).WaitAsync(HubFixture.Deadline);

        using var consumer = new ConsumerBuilder<byte[]?, byte[]>(new ConsumerConfig { BootstrapServers = address, GroupId = "none", EnableAutoCommit = false }).SetLogHandler((_, _) => { }).Build();
        consumer.Assign(new TopicPartitionOffset(HubFixture.Hub, 0, 0));
        var read = HubFixture.Take(consumer, sent.Count);

        Assert.Equal(Enumerable.Range(0, sent.Count), read.Select(message => BitConverter.ToInt32(message.Message.Value)));
        Assert.Equal(acknowledged.Select(result => result.Offset), read.Select(message => message.Offset));
        Assert.Equal(0, (await broker.StopAsync()).ExitCode);
        await broker.DisposeAsync();
    }

    private async Task<(ChildProcess Broker, int Port)> StartAsync(int port)
    {
        var line = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
        var child = ChildProcess.Start(new ChildProcessOptions
        {
            FileName = "dotnet",
            Arguments = [Path.Combine(AppContext.BaseDirectory, "ShardCloud.LocalCloud.TestHandler.dll"), "event-hubs", "--data", _folder, "--hub", HubFixture.Hub + "=1", "--port", port.ToString(CultureInfo.InvariantCulture)],
            OnLine = text =>
            {
                if (text.StartsWith("{\"ready\"", StringComparison.Ordinal)) line.TrySetResult(JsonSerializer.Deserialize<JsonElement>(text));
            },
        });
        return (child, (await line.Task.WaitAsync(HubFixture.Deadline)).GetProperty("port").GetInt32());
    }
}
