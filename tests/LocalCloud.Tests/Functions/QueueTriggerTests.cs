using System.Diagnostics;
using System.Text.Json;
using Azure.Storage.Queues;
using ShardCloud.LocalCloud.Functions;

namespace ShardCloud.LocalCloud.Tests.Functions;

/// <summary>Queue functions over the storage emulator's queues.</summary>
public sealed class QueueTriggerTests : IClassFixture<AzuriteFixture>, IDisposable
{
    private readonly AzuriteFixture _azurite;
    private readonly AppFolder _app = new();
    private readonly QueueClient _queue, _poison;

    public QueueTriggerTests(AzuriteFixture azurite)
    {
        _azurite = azurite;
        var name = $"q{Guid.NewGuid():N}";
        _queue = new QueueClient(azurite.Azurite.ConnectionString, name, new QueueClientOptions { MessageEncoding = QueueMessageEncoding.Base64 });
        _poison = new QueueClient(azurite.Azurite.ConnectionString, name + "-poison");
        _queue.Create();
        _app.Write("host.json", """
            { "version": "2.0", "customHandler": { "description": { "defaultExecutablePath": "dotnet" } },
              "extensions": { "durableTask": { "hubName": "%TASKHUB_NAME%" },
                              "queues": { "batchSize": 4, "newBatchThreshold": 1, "maxDequeueCount": 2, "maxPollingInterval": "00:00:00.2" } } }
            """);
        _app.WriteFunction("Take", $$"""{ "type": "queueTrigger", "direction": "in", "name": "message", "queueName": "{{name}}" }""");
    }

    public void Dispose() => _app.Dispose();

    [Fact]
    public async Task Message_ReachesItsFunctionAsTheRealHostWritesIt_AndIsDeleted()
    {
        await using var host = await FunctionsHost.StartAsync(_app.Options(_azurite.Azurite)).WaitAsync(AppFolder.Deadline);
        var sent = (await _queue.SendMessageAsync("grüß")).Value;

        var line = (await _app.LinesAsync("queue"))[0];

        Assert.StartsWith("grüß ", line, StringComparison.Ordinal);
        var metadata = JsonDocument.Parse(line["grüß ".Length..]).RootElement;
        Assert.Equal(sent.MessageId, JsonSerializer.Deserialize<string>(metadata.GetProperty("Id").GetString()!));
        Assert.Equal("1", metadata.GetProperty("DequeueCount").GetString());
        Assert.Equal(sent.InsertionTime, metadata.GetProperty("InsertionTime").GetDateTimeOffset());
        Assert.Equal(sent.ExpirationTime, metadata.GetProperty("ExpirationTime").GetDateTimeOffset());
        Assert.True(metadata.GetProperty("NextVisibleTime").GetDateTimeOffset() > sent.InsertionTime.AddMinutes(9));
        Assert.NotEmpty(JsonSerializer.Deserialize<string>(metadata.GetProperty("PopReceipt").GetString()!)!);
        Assert.Equal("Take", metadata.GetProperty("sys").GetProperty("MethodName").GetString());
        await EmptyAsync(_queue);
    }

    [Fact]
    public async Task Message_ThatFailsEveryTimeOrIsNotBase64_GoesToThePoisonQueueAsItWas()
    {
        var raw = new QueueClient(_azurite.Azurite.ConnectionString, _queue.Name);
        await _queue.SendMessageAsync("bad");
        await raw.SendMessageAsync("not base64!");
        await using var host = await FunctionsHost.StartAsync(_app.Options(_azurite.Azurite)).WaitAsync(AppFolder.Deadline);

        await EmptyAsync(_queue);

        Assert.Equal(["\"1\"", "\"2\""], (await _app.LinesAsync("queue", 2)).Select(line => JsonDocument.Parse(line["bad ".Length..]).RootElement.GetProperty("DequeueCount").GetRawText()));
        var poisoned = (await _poison.ReceiveMessagesAsync(10)).Value;
        Assert.Equal(["YmFk", "not base64!"], poisoned.Select(message => message.MessageText).Order(StringComparer.Ordinal));
    }

    /// <summary>A batch of 4, and the next when one or none runs: so 5 run at most.</summary>
    [Fact]
    public async Task Batches_AreTakenWhenFewEnoughRun()
    {
        for (var i = 0; i < 9; i++) await _queue.SendMessageAsync($"hold{i}");
        await using var host = await FunctionsHost.StartAsync(_app.Options(_azurite.Azurite)).WaitAsync(AppFolder.Deadline);

        var first = await _app.LinesAsync("queue", 4);
        foreach (var line in first.Take(2)) _app.Write($"notes/{line.Split(' ')[0]}.open", "");
        await CountAsync(_queue, 7); // two are done and deleted, two run
        Assert.Equal(4, (await _app.LinesAsync("queue", 4)).Length);
        _app.Write($"notes/{first[2].Split(' ')[0]}.open", "");
        await CountAsync(_queue, 6);

        Assert.Equal(8, (await _app.LinesAsync("queue", 8)).Length);
        for (var i = 0; i < 9; i++) _app.Write($"notes/hold{i}.open", "");
        await EmptyAsync(_queue);
        Assert.Equal(9, (await _app.LinesAsync("queue", 9)).Length);
    }

    /// <summary>While its function runs a message stays hidden for longer than one lease; when the host is killed it comes again.</summary>
    [Fact]
    public async Task Host_KilledWhileAFunctionRuns_MessageComesAgain()
    {
        await _queue.SendMessageAsync("hold");
        await using (var host = await HostProcess.StartAsync(_app, _azurite.Azurite, "Queue", "--queueLease", "00:00:04"))
        {
            await _app.LinesAsync("queue");
            await _queue.SendMessageAsync("later", visibilityTimeout: TimeSpan.FromSeconds(6));
            Assert.StartsWith("later", (await _app.LinesAsync("queue", 2))[1], StringComparison.Ordinal); // 6 s have passed, and "hold" did not come again
            await CountAsync(_queue, 1); // "later" is done and deleted; otherwise it would come again as well.
            host.Child.Crash();
            await host.Child.Exited.WaitAsync(AppFolder.Deadline);
        }

        _app.Write("notes/hold.open", "");
        await using var next = await HostProcess.StartAsync(_app, _azurite.Azurite, "Queue");

        var lines = await _app.LinesAsync("queue", 3);
        Assert.StartsWith("hold", lines[2], StringComparison.Ordinal);
        Assert.Equal("2", JsonDocument.Parse(lines[2]["hold ".Length..]).RootElement.GetProperty("DequeueCount").GetString());
        await EmptyAsync(_queue);
    }

    private static Task EmptyAsync(QueueClient queue) => CountAsync(queue, 0);

    private static async Task CountAsync(QueueClient queue, int count)
    {
        var clock = Stopwatch.StartNew();
        while ((await queue.GetPropertiesAsync()).Value.ApproximateMessagesCount is var now && now != count)
            Assert.True(clock.Elapsed < AppFolder.Deadline, $"'{queue.Name}' has {now} messages, {count} are due");
    }
}
