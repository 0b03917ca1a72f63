using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Grpc.Core;
using ShardCloud.DurableTask.Client;
using ShardCloud.DurableTask.Protocol;
using ShardCloud.LocalCloud.Functions;
using ShardCloud.LocalCloud.Functions.Hub;

namespace ShardCloud.LocalCloud.Tests.Functions;

/// <summary>The whole host with a real handler process and the storage emulator.</summary>
public sealed class FunctionsHostTests(AzuriteFixture azurite, ITestOutputHelper output) : IClassFixture<AzuriteFixture>, IDisposable
{
    private static readonly TimeSpan Deadline = AppFolder.Deadline;

    private readonly AppFolder _app = new();
    private readonly HttpClient _http = new();

    public void Dispose()
    {
        _http.Dispose();
        _app.Dispose();
    }

    [Fact]
    public async Task Http_RequestThroughRoute_KeepsMethodQueryHeadersAndBody()
    {
        await using var host = await StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Put, new Uri(host.HttpAddress, "api/echo/a%20b?q=1"));
        request.Headers.Add("x-functions-key", "secret");
        request.Headers.Add("X-In", "in");
        request.Content = new StringContent("grüß", Encoding.UTF8, "text/plain");

        using var response = await _http.SendAsync(request);

        Assert.Equal(HttpStatusCode.NonAuthoritativeInformation, response.StatusCode);
        Assert.Equal("PUT a b 1 grüß", await response.Content.ReadAsStringAsync());
        Assert.Equal("in", response.Headers.GetValues("X-Echo").Single());
    }

    [Fact]
    public async Task Http_BodyWithoutLength_IsRefusedInsteadOfLost()
    {
        await using var host = await StartAsync();

        using var response = await _http.PostAsJsonAsync(new Uri(host.HttpAddress, "api/start/Chain/c"), 1); // chunked

        Assert.Equal(HttpStatusCode.LengthRequired, response.StatusCode);
    }

    [Theory, InlineData(null), InlineData("wrong")]
    public async Task Http_FunctionLevelWithoutItsKey_IsRefused(string? key)
    {
        await using var host = await StartAsync();

        using var response = await _http.GetAsync(new Uri(host.HttpAddress, "api/echo/x" + (key is null ? "" : "?code=" + key)));

        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
    }

    [Fact]
    public async Task Orchestrations_OfEveryKind_EndAsTheyShould()
    {
        await using var host = await StartAsync();
        var client = Client(host);

        Assert.Equal(55, await RunAsync<int>(host, client, "Chain", "c", 10));
        Assert.Equal(45150, await RunAsync<int>(host, client, "FanOut", "f", 300)); // more rows than one transaction takes
        Assert.Equal("awake", await RunAsync<string>(host, client, "Sleep", "s", 50));
        Assert.Equal("child says awake", await RunAsync<string>(host, client, "Parent", "p", "Sleep"));
        Assert.Equal("child failed: bad state", await RunAsync<string>(host, client, "Parent", "p2", "Throws"));
        Assert.StartsWith("child failed: The orchestrator function 'Nobody'", await RunAsync<string>(host, client, "Parent", "p3", "Nobody"), StringComparison.Ordinal);
        Assert.Equal(3, await RunAsync<int>(host, client, "Retry", "r", null));
    }

    [Fact]
    public async Task Orchestration_PayloadsLargerThanARow_ComeThrough()
    {
        await using var host = await StartAsync();

        var result = await RunAsync<string>(host, Client(host), "Large", "l", 400_000); // several megabytes as escaped JSON

        Assert.Equal(400_001, result!.Length);
    }

    [Fact]
    public async Task Client_EventsSuspendTerminateQueryPurge_BehaveAsDocumented()
    {
        await using var host = await StartAsync();
        var client = Client(host);
        await client.ScheduleNewOrchestrationInstanceAsync("Approval", null, "a1");
        await client.WaitForInstanceStartAsync("a1").WaitAsync(Deadline);

        await Assert.ThrowsAsync<OrchestrationAlreadyExistsException>(() => client.ScheduleNewOrchestrationInstanceAsync("Approval", null, "a1"));
        Assert.Equal("\"waiting\"", (await client.GetInstanceAsync("a1", getInputsAndOutputs: true))!.SerializedCustomStatus);
        Assert.Equal(0, await client.PurgeInstanceAsync("a1"));

        await client.SuspendInstanceAsync("a1", "pause");
        await UntilAsync(client, "a1", OrchestrationStatus.Suspended);
        await client.RaiseEventAsync("a1", "Answer", "go");
        await client.ResumeInstanceAsync("a1");
        var done = await client.WaitForInstanceCompletionAsync("a1", getInputsAndOutputs: true).WaitAsync(Deadline);
        Assert.Equal("yes: go", done.ReadOutputAs<string>());

        await client.ScheduleNewOrchestrationInstanceAsync("Approval", null, "a2");
        await client.TerminateInstanceAsync("a2", "enough");
        var ended = await client.WaitForInstanceCompletionAsync("a2", getInputsAndOutputs: true).WaitAsync(Deadline);
        Assert.Equal(OrchestrationStatus.Terminated, ended.RuntimeStatus);
        Assert.Equal("\"enough\"", ended.SerializedOutput);

        Assert.Equal(StatusCode.Unknown, (await Assert.ThrowsAsync<RpcException>(() => client.RaiseEventAsync("a2", "Answer", "late"))).StatusCode);
        Assert.Equal(StatusCode.Unknown, (await Assert.ThrowsAsync<RpcException>(() => client.TerminateInstanceAsync("nobody"))).StatusCode);
        Assert.Equal(StatusCode.Internal, (await Assert.ThrowsAsync<RpcException>(() => client.ScheduleNewOrchestrationInstanceAsync("Nobody"))).StatusCode);
        Assert.Equal(StatusCode.Internal, (await Assert.ThrowsAsync<RpcException>(() => client.ScheduleNewOrchestrationInstanceAsync("Chain", 1, "a/b"))).StatusCode);

        List<string> ids = [];
        await foreach (var instance in client.GetAllInstancesAsync(new OrchestrationQuery { InstanceIdPrefix = "a", PageSize = 1 })) ids.Add(instance.InstanceId);
        Assert.Equal(["a1", "a2"], ids);
        Assert.Equal(1, await client.PurgeInstanceAsync("a1"));
        Assert.Null(await client.GetInstanceAsync("a1"));
        Assert.Equal(1, await client.PurgeAllInstancesAsync(new PurgeInstancesFilter(DateTimeOffset.UnixEpoch, Statuses: [OrchestrationStatus.Terminated])));
    }

    [Fact]
    public async Task ContinueAsNew_EventsInABurst_AreAllCountedOnce()
    {
        await using var host = await StartAsync();
        var client = Client(host);
        await client.ScheduleNewOrchestrationInstanceAsync("Count", 0, "n");
        for (var i = 0; i < 6; i++) await client.RaiseEventAsync("n", "Next", 1);

        var done = await client.WaitForInstanceCompletionAsync("n", getInputsAndOutputs: true).WaitAsync(Deadline);

        Assert.Equal(6, done.ReadOutputAs<int>());
    }

    [Fact]
    public async Task Host_StoppedInTheMiddle_GoesOnFromItsTables()
    {
        var options = _app.Options(azurite.Azurite) with { ShutdownGrace = TimeSpan.Zero };
        await using (var first = await FunctionsHost.StartAsync(options).WaitAsync(Deadline))
        {
            var before = Client(first);
            await before.ScheduleNewOrchestrationInstanceAsync("Slow", null, "slow");
            await before.ScheduleNewOrchestrationInstanceAsync("Approval", null, "open");
            await before.ScheduleNewOrchestrationInstanceAsync("Sleep", 1_000, "sleep");
            await UntilAsync(before, "open", OrchestrationStatus.Running);
            await _app.LinesAsync("gate-slow.calls");
        }

        _app.Write("notes/gate-slow.open", "");
        await using var second = await FunctionsHost.StartAsync(options).WaitAsync(Deadline);
        var client = Client(second);
        await client.RaiseEventAsync("open", "Answer", "still here");

        Assert.Equal("opened", (await client.WaitForInstanceCompletionAsync("slow", true).WaitAsync(Deadline)).ReadOutputAs<string>());
        Assert.Equal("yes: still here", (await client.WaitForInstanceCompletionAsync("open", true).WaitAsync(Deadline)).ReadOutputAs<string>());
        Assert.Equal("awake", (await client.WaitForInstanceCompletionAsync("sleep", true).WaitAsync(Deadline)).ReadOutputAs<string>());
    }

    [Fact]
    public async Task Host_StopsWhileACallRuns_LetsItEndAndKeepsItsResult()
    {
        var options = _app.Options(azurite.Azurite);
        var first = await FunctionsHost.StartAsync(options with { ShutdownGrace = Deadline }).WaitAsync(Deadline);
        await Client(first).ScheduleNewOrchestrationInstanceAsync("Slow", null, "slow");
        await _app.LinesAsync("gate-slow.calls");
        var handler = first.Handler!;

        var stopping = first.DisposeAsync().AsTask();
        await Assert.ThrowsAnyAsync<HttpRequestException>(async () =>
        {
            while (true) await _http.GetStringAsync(new Uri(first.HttpAddress, "api/pid")); // until nothing more is taken
        });
        Assert.False(stopping.IsCompleted);
        _app.Write("notes/gate-slow.open", "");
        await stopping.WaitAsync(Deadline);

        Assert.Equal(0, (await handler.Exited.WaitAsync(Deadline)).ExitCode); // SIGTERM, not the kill
        await using var second = await FunctionsHost.StartAsync(options).WaitAsync(Deadline);
        Assert.Equal("opened", (await Client(second).WaitForInstanceCompletionAsync("slow", true).WaitAsync(Deadline)).ReadOutputAs<string>());
        Assert.Single(await _app.LinesAsync("gate-slow.calls"));
    }

    [Fact]
    public async Task Concurrency_OfTurnsAndActivities_ReachesItsLimitAndNotMore()
    {
        _app.Write("host.json", """
            { "version": "2.0", "customHandler": { "description": { "defaultExecutablePath": "dotnet" } },
              "extensions": { "durableTask": { "hubName": "%TASKHUB_NAME%", "maxConcurrentOrchestratorFunctions": 2, "maxConcurrentActivityFunctions": 3 } } }
            """);
        await using var host = await StartAsync();
        var client = Client(host);

        Assert.Equal(3, await RunAsync<int>(host, client, "Crowd", "crowd", 12));
        for (var i = 0; i < 8; i++) await client.ScheduleNewOrchestrationInstanceAsync("Crowded", null, $"crowded{i}");
        for (var i = 0; i < 8; i++) await client.WaitForInstanceCompletionAsync($"crowded{i}").WaitAsync(Deadline);
        Assert.Equal("2", await _http.GetStringAsync(new Uri(host.HttpAddress, "api/most/turns")));
    }

    [Fact]
    public async Task Handler_Crashes_IsStartedAgainAndServes()
    {
        await using var host = await StartAsync();
        var before = await _http.GetStringAsync(new Uri(host.HttpAddress, "api/pid"));
        var child = host.Handler!;

        child.Crash();
        await child.Exited.WaitAsync(Deadline);
        var after = await _http.GetStringAsync(new Uri(host.HttpAddress, "api/pid")).WaitAsync(Deadline);

        Assert.NotEqual(before, after);
        Assert.Equal(3, await RunAsync<int>(host, Client(host), "Chain", "c", 2));
    }

    [Fact]
    public async Task Instance_KeepsItsVersion_OrTheDefaultOfHostJson()
    {
        await using var host = await StartAsync();
        var (client, versioned) = (Client(host), DurableClients.Connect(new DurableClientBinding(host.TaskHubName, null, host.RpcAddress.ToString()), version: "1.1"));

        await client.ScheduleNewOrchestrationInstanceAsync("Chain", 1, "d");
        await versioned.ScheduleNewOrchestrationInstanceAsync("Chain", 1, "v");

        Assert.Equal("1.0", (await client.WaitForInstanceCompletionAsync("d").WaitAsync(Deadline)).Version);
        Assert.Equal("1.1", (await client.WaitForInstanceCompletionAsync("v").WaitAsync(Deadline)).Version);
    }

    [Fact]
    public async Task Orchestrator_AnswersNon2xx_FailsForGood()
    {
        await using var host = await StartAsync();
        var client = Client(host);
        await client.ScheduleNewOrchestrationInstanceAsync("Broken", null, "b");

        var done = await client.WaitForInstanceCompletionAsync("b", getInputsAndOutputs: true).WaitAsync(Deadline);

        Assert.Equal(OrchestrationStatus.Failed, done.RuntimeStatus);
        Assert.Contains("503", done.SerializedOutput, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Orchestrator_AnswersEmpty_HangsUntilTheFunctionTimeout()
    {
        await using var host = await StartAsync();
        var client = Client(host);
        var clock = Stopwatch.StartNew();
        await client.ScheduleNewOrchestrationInstanceAsync("Empty", null, "e");

        var done = await client.WaitForInstanceCompletionAsync("e", getInputsAndOutputs: true).WaitAsync(Deadline);

        Assert.Contains("Timeout value of 00:00:05", done.SerializedOutput, StringComparison.Ordinal);
        Assert.True(clock.Elapsed > TimeSpan.FromSeconds(4), $"it failed after {clock.Elapsed}");
    }

    [Fact]
    public async Task Timer_EverySecond_CallsTheFunction()
    {
        _app.WriteFunction("Tick", """{ "type": "timerTrigger", "direction": "in", "name": "timer", "schedule": "* * * * * *" }""");
        await using var host = await StartAsync();

        await _app.LinesAsync("ticks");
    }

    [Fact]
    public async Task Timer_TimeMissedWhileTheHostWasDown_RunsOncePastDue()
    {
        _app.WriteFunction("Tick", """{ "type": "timerTrigger", "direction": "in", "name": "timer", "schedule": "0 0 0 1 1 *" }""");
        var options = _app.Options(azurite.Azurite);
        var tables = new AzureHubTables(options.StorageConnectionString, options.AppSettings["TASKHUB_NAME"]!);
        await tables.CreateAsync(default);
        var missed = new TimerStatus(DateTime.UnixEpoch, DateTime.UtcNow.AddHours(-1));
        await missed.WriteAsync(tables, "Tick", default);

        await using var host = await FunctionsHost.StartAsync(options).WaitAsync(Deadline);
        await _app.LinesAsync("ticks");

        var clock = Stopwatch.StartNew();
        while ((await TimerStatus.ReadAsync(tables, "Tick", default))!.Next == missed.Next) Assert.True(clock.Elapsed < Deadline, "the run was not recorded");
        Assert.Equal(["True"], await File.ReadAllLinesAsync(Path.Combine(_app.Notes, "ticks")));
        Assert.True((await TimerStatus.ReadAsync(tables, "Tick", default))!.Next > DateTime.UtcNow);
    }

    [Fact]
    public async Task Start_HandlerEndsAtOnce_GivesUpWithACode()
    {
        var options = _app.Options(azurite.Azurite);
        options = options with { AppSettings = new Dictionary<string, string?>(options.AppSettings) { ["HANDLER_EXITS_AT_ONCE"] = "1" } };

        var error = await Assert.ThrowsAsync<ShardCloudException>(() => FunctionsHost.StartAsync(options).WaitAsync(Deadline));

        Assert.Equal(ErrorCodes.HandlerDidNotStart, error.Code);
    }

    [Fact]
    public async Task Chain_AHundredActivities_RoundTripsAreShort()
    {
        await using var host = await StartAsync();
        var client = Client(host);
        await RunAsync<int>(host, client, "Chain", "warm", 20);
        var clock = Stopwatch.StartNew();

        await RunAsync<int>(host, client, "Chain", "timed", 100);

        output.WriteLine($"{clock.Elapsed.TotalMilliseconds / 100:0.0} ms for each activity with its turn");
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), $"a hundred activities took {clock.Elapsed}: something polls");
    }

    private Task<FunctionsHost> StartAsync() => FunctionsHost.StartAsync(_app.Options(azurite.Azurite) with { Loggers = new OutputLoggers(output) }).WaitAsync(Deadline);

    private static DurableTaskClient Client(FunctionsHost host) => DurableClients.Connect(new DurableClientBinding(host.TaskHubName, null, host.RpcAddress.ToString()));

    /// <summary>Starts through the app's own HTTP function, so that the handler's client is used too.</summary>
    private async Task<T?> RunAsync<T>(FunctionsHost host, DurableTaskClient client, string name, string id, object? input)
    {
        using var content = new StringContent(JsonSerializer.Serialize(input), Encoding.UTF8, "application/json"); // not JsonContent: it sends no length
        using var response = await _http.PostAsync(new Uri(host.HttpAddress, $"api/start/{name}/{id}"), content);
        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        var done = await client.WaitForInstanceCompletionAsync(id, getInputsAndOutputs: true).WaitAsync(Deadline);
        Assert.True(done.RuntimeStatus == OrchestrationStatus.Completed, $"{name}: {done.RuntimeStatus} {done.SerializedOutput}");
        return done.ReadOutputAs<T>();
    }

    private static async Task UntilAsync(DurableTaskClient client, string id, OrchestrationStatus status)
    {
        var clock = Stopwatch.StartNew();
        while ((await client.GetInstanceAsync(id))?.RuntimeStatus != status)
            Assert.True(clock.Elapsed < Deadline, $"'{id}' did not become {status}");
    }
}
