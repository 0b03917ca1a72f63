using System.Text.Json;
using Confluent.Kafka;
using ShardCloud.LocalCloud.Azurite;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>A second client, written by others in another language, must see and store the same bytes.</summary>
public sealed class KafkaJsTests
{
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "EventHubs", "kafkajs");

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task TwoIndependentClients_AgreeByteForByteInBothDirections(bool withKey)
    {
        var entry = await InstallAsync();
        using var key = new KeyFile();
        await using var hubs = await HubFixture.StartAsync(options => options with { Key = withKey ? key.Shared : null });
        var random = new Random(3);
        var sent = Enumerable.Range(0, 60).Select(index =>
        {
            var message = new Message<byte[]?, byte[]> { Key = index % 3 == 0 ? null : new byte[index], Value = new byte[index * 50], Headers = [new Header("h", [(byte)index, 0, 255])] };
            random.NextBytes(message.Value);
            return message;
        }).ToList();
        using var producer = hubs.Producer(hubs.Authenticate);
        foreach (var message in sent) await producer.ProduceAsync(new TopicPartition(HubFixture.Hub, 0), message).WaitAsync(HubFixture.Deadline);

        var read = new List<JsonElement>();
        await using var peer = ChildProcess.Start(new ChildProcessOptions
        {
            FileName = "node",
            Arguments = [Path.Combine(Folder, "peer.js"), hubs.Broker.BootstrapServers, HubFixture.Hub, $"{sent.Count}"],
            Environment = new Dictionary<string, string?> { ["NODE_PATH"] = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(entry)!, "..")), ["KAFKA_PASSWORD"] = hubs.Broker.ConnectionString },
            OnLine = line => Parse(line, read),
        });
        var exit = await peer.Exited.WaitAsync(HubFixture.Deadline);
        Assert.True(exit.ExitCode == 0, string.Join('\n', peer.LastLines));

        Assert.Equal(sent.Select(Described), read.Select(Described));
        using var consumer = hubs.Consumer(offset: 0, partition: 1, hubs.Authenticate);
        var echoed = HubFixture.Take(consumer, sent.Count);
        Assert.Equal(sent.Select(message => message.Value.Reverse()), echoed.Select(message => message.Message.Value));
        Assert.Equal(sent.Select(message => message.Key), echoed.Select(message => message.Message.Key));
    }

    private static void Parse(string line, List<JsonElement> into)
    {
        if (line.StartsWith('{')) into.Add(JsonDocument.Parse(line).RootElement);
    }

    private static string Described(Message<byte[]?, byte[]> message) =>
        $"{(message.Key is null ? "none" : Convert.ToBase64String(message.Key))} {Convert.ToBase64String(message.Value)} {Convert.ToBase64String(message.Headers[0].GetValueBytes())}";

    private static string Described(JsonElement message) =>
        $"{message.GetProperty("key").GetString() ?? "none"} {message.GetProperty("value").GetString()} {message.GetProperty("headers")[0][1].GetString()}";

    private static async Task<string> InstallAsync()
    {
        try
        {
            await AzuriteInstaller.CheckNodeAsync();
        }
        catch (ShardCloudException exception) when (exception.Code == ErrorCodes.NodeMissing)
        {
            Assert.Skip("Node is not installed.");
        }

        (string, byte[])[] packages = [.. ((string[])["package.json", "package-lock.json"]).Select(name => (name, File.ReadAllBytes(Path.Combine(Folder, name))))];
        return await NpmFolder.EnsureAsync(
            AzuriteInstaller.DefaultCacheFolder, "kafkajs", packages, Path.Combine("node_modules", "kafkajs", "index.js"), TimeSpan.FromMinutes(5), null, default);
    }
}
