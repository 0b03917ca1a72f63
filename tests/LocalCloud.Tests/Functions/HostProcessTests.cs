using System.Diagnostics;
using ShardCloud.DurableTask.Client;

namespace ShardCloud.LocalCloud.Tests.Functions;

/// <summary>The host as a process: it ends as asked, takes its handler along, and a kill -9 at any moment loses nothing.</summary>
public sealed class HostProcessTests(AzuriteFixture azurite, ITestOutputHelper output) : IClassFixture<AzuriteFixture>, IDisposable
{
    private readonly AppFolder _app = new();
    private readonly HttpClient _http = new();

    public void Dispose()
    {
        _http.Dispose();
        _app.Dispose();
    }

    [Theory, InlineData("input"), InlineData("term"), InlineData("kill")]
    public async Task End_OfAnyKind_LeavesNoHandlerBehind(string how)
    {
        await using var host = await HostProcess.StartAsync(_app, azurite.Azurite, "Ends" + how);
        using var handler = Process.GetProcessById(int.Parse(await _http.GetStringAsync(new Uri(host.Http, "api/pid")), System.Globalization.CultureInfo.InvariantCulture));

        if (how == "input") host.Child.LoseParent();
        else if (how == "kill") host.Child.Crash();
        else await host.Child.StopAsync();

        var exit = await host.Child.Exited.WaitAsync(AppFolder.Deadline);
        using var deadline = new CancellationTokenSource(AppFolder.Deadline);
        await handler.WaitForExitAsync(deadline.Token);
        if (how != "kill") Assert.Equal(0, exit.ExitCode);
    }

    [Fact]
    public async Task Start_UnknownOption_SaysSoWithACode()
    {
        await using var host = await HostProcess.StartAsync(_app, azurite.Azurite, "Unknown", "--httpPrt", "1");

        Assert.False(host.Line.GetProperty("ready").GetBoolean());
        Assert.Equal(ErrorCodes.FunctionsAppInvalid, host.Line.GetProperty("code").GetString());
        Assert.Equal(1, (await host.Child.Exited.WaitAsync(AppFolder.Deadline)).ExitCode);
    }

    // Real processes and real tables; every second life also repeats activities. The moments are random by a seed, but what runs at them is not:
    // the exhaustive walk over all storage operations is in TaskHubTests.
    [Fact]
    public async Task Kill_AtRandomMoments_EveryOrchestrationEndsRightAndNoEventIsLost()
    {
        var random = new Random(20260304);
        var raised = 0;
        for (var life = 0; life < 5; life++)
        {
            await using var host = await HostProcess.StartAsync(_app, azurite.Azurite, "Killed", "--repeatActivityEvery", "2");
            var client = Client(host);
            for (var i = 0; life == 0 && i < 4; i++)
            {
                await client.ScheduleNewOrchestrationInstanceAsync("Chain", 30, $"chain{i}");
                await client.ScheduleNewOrchestrationInstanceAsync("Parent", "Sleep", $"parent{i}");
                await client.ScheduleNewOrchestrationInstanceAsync("FanOut", 20, $"fan{i}");
            }

            if (life == 0) await client.ScheduleNewOrchestrationInstanceAsync("Count", 0, "count");
            await client.RaiseEventAsync("count", "Next", 1); // answered, so it must not be lost
            raised++;
            using var moment = new CancellationTokenSource(TimeSpan.FromMilliseconds(random.Next(1, 400)));
            await Assert.ThrowsAnyAsync<Exception>(() => client.WaitForInstanceCompletionAsync("count").WaitAsync(moment.Token));
            host.Child.Crash();
            await host.Child.Exited.WaitAsync(AppFolder.Deadline);
            output.WriteLine($"life {life} ended");
        }

        await using var last = await HostProcess.StartAsync(_app, azurite.Azurite, "Killed");
        var end = Client(last);
        for (; raised < 6; raised++) await end.RaiseEventAsync("count", "Next", 1);
        Assert.Equal(6, await ResultAsync<int>(end, "count"));
        for (var i = 0; i < 4; i++)
        {
            Assert.Equal(465, await ResultAsync<int>(end, $"chain{i}"));
            Assert.Equal("child says awake", await ResultAsync<string>(end, $"parent{i}"));
            Assert.Equal(210, await ResultAsync<int>(end, $"fan{i}"));
        }
    }

    private static DurableTaskClient Client(HostProcess host) =>
        DurableClients.Connect(new DurableClientBinding("Killed", null, host.Line.GetProperty("rpc").GetString()!));

    private static async Task<T?> ResultAsync<T>(DurableTaskClient client, string id) =>
        (await client.WaitForInstanceCompletionAsync(id, getInputsAndOutputs: true).WaitAsync(AppFolder.Deadline)).ReadOutputAs<T>();
}
