using System.IO.Pipes;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using ShardCloud.LocalCloud.EventHubs;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>The broker as a program, with its streams at hand.</summary>
public sealed class LocalEventHubsProgramTests
{
    [Fact]
    public async Task Run_SaysItsAddressInOneLine_ServesAndStopsWithItsInput()
    {
        var folder = Directory.CreateTempSubdirectory("shardcloud-hubs-");
        var output = new Lines();
        using var parent = new AnonymousPipeServerStream(PipeDirection.Out);
        var child = new AnonymousPipeClientStream(PipeDirection.In, parent.ClientSafePipeHandle);
        var running = LocalEventHubsProgram.RunAsync(
            ["--data", folder.FullName, "--hub", $"{HubFixture.Hub}=3", "--hub", "control=1", "--sync", "always"], child, output, NullLogger.Instance, new());

        var ready = JsonDocument.Parse(await output.First.WaitAsync(HubFixture.Deadline)).RootElement;
        Assert.True(ready.GetProperty("ready").GetBoolean(), ready.ToString());
        Assert.Equal($"127.0.0.1:{ready.GetProperty("port").GetInt32()}", ready.GetProperty("address").GetString());
        using (var wire = new WireClient(ready.GetProperty("port").GetInt32())) Assert.Equal((0, 0L), await wire.ProduceAsync(Batches.Of(10), partition: 2));

        Assert.False(running.IsCompleted);
        parent.Dispose();
        Assert.Equal(0, await running.WaitAsync(HubFixture.Deadline));
        Assert.Equal(1, output.Count);
        folder.Delete(recursive: true);
    }

    [Theory]
    [InlineData("--port 9092", "--data")]
    [InlineData("--data x --data y", "repeated")]
    [InlineData("--data x --hub deltas", "NAME=PARTITIONS")]
    [InlineData("--data x --hub deltas=2 --hub deltas=2", "repeated")]
    [InlineData("--data x --port 70000", "65535")]
    [InlineData("--data x --sync sometimes", "never or always")]
    [InlineData("--data x --speed 3", "--speed")]
    [InlineData("--data x --port", "no value")]
    [InlineData("--data x --throughput-units 41", "1 to 40")]
    [InlineData("--data x --key-file /nowhere/local.key", "does not exist")]
    public async Task Run_AWrongArgument_IsSaidAndEndsIt(string args, string said)
    {
        var output = new Lines();

        Assert.Equal(1, await LocalEventHubsProgram.RunAsync(args.Split(' '), Stream.Null, output, NullLogger.Instance, new()));

        var line = JsonDocument.Parse(await output.First).RootElement;
        Assert.False(line.GetProperty("ready").GetBoolean());
        Assert.Contains(said, line.GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    private sealed class Lines : StringWriter
    {
        private readonly TaskCompletionSource<string> _first = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<string> First => _first.Task;

        public int Count { get; private set; }

        public override void WriteLine(string? value)
        {
            Count++;
            _first.TrySetResult(value!);
        }
    }
}
