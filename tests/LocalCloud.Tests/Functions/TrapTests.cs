using System.Text.Json;
using ShardCloud.DurableTask.Client;
using ShardCloud.DurableTask.Protocol;
using ShardCloud.LocalCloud.Functions;

namespace ShardCloud.LocalCloud.Tests.Functions;

/// <summary>Traps of the real host that are not obvious from its documents; docs/local-cloud/functions-host.md lists all of them with their tests.</summary>
public sealed class TrapTests(AzuriteFixture azurite) : IClassFixture<AzuriteFixture>, IDisposable
{
    private readonly AppFolder _app = new();

    public void Dispose() => _app.Dispose();

    [Fact]
    public async Task Activity_InputHasThreeLevelsAndDatesInItsResultAreRewritten()
    {
        var result = await StrangeAsync("Bare");

        var data = JsonDocument.Parse(File.ReadAllText(Path.Combine(_app.Notes, "bare"))).RootElement.GetProperty("Data").GetProperty("input").GetString()!;
        Assert.Equal("""{"when":"2026-03-04T05:06:07.1200000Z"}""", JsonSerializer.Deserialize<string>(data));
        Assert.Equal("""{"utc":"2026-03-04T05:06:07.12Z","none":"2026-03-04T05:06:07","list":["2026-03-04"]}""", result);
    }

    [Fact]
    public async Task Activity_Non2xx_FailsWithTheHostsWordsAndWithoutItsBody()
    {
        var result = await StrangeAsync("Fails");

        Assert.Equal(
            "Microsoft.Azure.WebJobs.Host.FunctionInvocationException: Exception while executing function: Functions.Fails <- Response status code does not indicate success: 500 (Internal Server Error).",
            result);
    }

    /// <summary>An activity that is not in the app fails without details, which the library must bear.</summary>
    [Fact]
    public async Task Activity_Unknown_FailsWithoutDetails() =>
        Assert.DoesNotContain("FunctionInvocationException", await StrangeAsync("Nobody"), StringComparison.Ordinal);

    [Fact]
    public async Task Orchestrator_TakenAwayWhileInFlight_FailsItsInstances()
    {
        var options = _app.Options(azurite.Azurite);
        await using (var before = await FunctionsHost.StartAsync(options).WaitAsync(AppFolder.Deadline))
        {
            await Client(before).ScheduleNewOrchestrationInstanceAsync("Approval", null, "open");
            await Client(before).WaitForInstanceStartAsync("open").WaitAsync(AppFolder.Deadline);
        }

        Directory.Delete(Path.Combine(_app.Root, "Approval"), recursive: true);
        await using var after = await FunctionsHost.StartAsync(options).WaitAsync(AppFolder.Deadline);
        await Client(after).RaiseEventAsync("open", "Answer", "go");

        var done = await Client(after).WaitForInstanceCompletionAsync("open", getInputsAndOutputs: true).WaitAsync(AppFolder.Deadline);
        Assert.Equal(OrchestrationStatus.Failed, done.RuntimeStatus);
        Assert.Contains("'Approval' does not exist", done.SerializedOutput, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"2026-03-04T05:06:07.1200000Z\"", "\"2026-03-04T05:06:07.1200000Z\"")] // a text as the whole result is left alone
    [InlineData("{\"a\":{\"b\":[\"2026-03-04T05:06:07.5000000Z\",1]}}", "{\"a\":{\"b\":[\"2026-03-04T05:06:07.5Z\",1]}}")]
    [InlineData("[\"2026-03-04T25:06:07Z\", \"T\"]", "[\"2026-03-04T25:06:07Z\", \"T\"]")] // no date: not even the white space changes
    public void RewrittenDates_OfAResult_AreThoseOfTheRealHost(string result, string rewritten) =>
        Assert.Equal(rewritten, RewrittenDates.Of(JsonSerializer.Deserialize<JsonElement>(result)));

    private async Task<string> StrangeAsync(string activity)
    {
        await using var host = await FunctionsHost.StartAsync(_app.Options(azurite.Azurite)).WaitAsync(AppFolder.Deadline);
        await Client(host).ScheduleNewOrchestrationInstanceAsync("Strange", activity, "s");
        var done = await Client(host).WaitForInstanceCompletionAsync("s", getInputsAndOutputs: true).WaitAsync(AppFolder.Deadline);
        Assert.True(done.RuntimeStatus == OrchestrationStatus.Completed, done.SerializedOutput);
        return done.ReadOutputAs<string>()!;
    }

    private static DurableTaskClient Client(FunctionsHost host) => DurableClients.Connect(new DurableClientBinding(host.TaskHubName, null, host.RpcAddress.ToString()));
}
