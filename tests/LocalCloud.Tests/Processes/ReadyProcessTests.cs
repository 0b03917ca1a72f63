using System.Net;
using System.Net.Sockets;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Tests.Processes;

public sealed class ReadyProcessTests
{
    /// <summary>Between two looks at the port the look is cancelled before the wait for it: then the process was taken for ended, and its end waited for, for ever.</summary>
    [Fact]
    public async Task Start_CancelledBeforeItIsReady_EndsTheProcess()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The test's program is Unix's sleep.");
        for (var i = 0; i < 20; i++)
        {
            using var held = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            held.Bind(new IPEndPoint(IPAddress.Loopback, 0)); // Nobody listens there, and nobody else can.
            var port = ((IPEndPoint)held.LocalEndPoint!).Port;
            using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(45 + (3 * i)));

            var starting = ReadyProcess.StartAsync("sleeper", new ChildProcessOptions { FileName = "sleep", Arguments = ["60"] }, port, TimeSpan.FromSeconds(60), cancel.Token);

            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => starting.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
        }
    }
}
