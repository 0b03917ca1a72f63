using System.Text.Json;
using ShardCloud.DurableTask;
using ShardCloud.DurableTask.Client;
using ShardCloud.DurableTask.Handler;
using ShardCloud.LocalCloud.EventHubs;
using ShardCloud.LocalCloud.Functions;

// A small app for the tests of the local Functions host: a real custom handler in a process of its own.
// The folder HANDLER_NOTES receives one file line per activity call, so that tests can see what ran and how often.
if (args is ["host", .. var options]) return await FunctionsHostProgram.RunAsync(options); // the host itself in a process, to be killed
if (args is ["event-hubs", .. var broker]) return await LocalEventHubsProgram.RunAsync(broker);
if (Environment.GetEnvironmentVariable("HANDLER_EXITS_AT_ONCE") == "1") return 3;

var notes = Environment.GetEnvironmentVariable("HANDLER_NOTES") ?? Path.GetTempPath();
var builder = WebApplication.CreateBuilder(args);
builder.Logging.SetMinimumLevel(LogLevel.Warning);
builder.Services.AddDurableTaskHandler(b => b
    .AddOrchestratorFunc<int, int>("Chain", async (context, steps) =>
    {
        var sum = 0;
        for (var i = 1; i <= steps; i++) sum = await context.CallActivityAsync<int>("Add", new[] { sum, i });
        return sum;
    })
    .AddOrchestratorFunc<int, int>("FanOut", async (context, width) =>
        (await Task.WhenAll(Enumerable.Range(1, width).Select(i => context.CallActivityAsync<int>("Add", new[] { 0, i })))).Sum())
    .AddOrchestratorFunc<int, string>("Large", async (context, chars) => (await context.CallActivityAsync<string>("Repeat", chars)) + "!")
    .AddOrchestratorFunc<object?, string>("Approval", async (context, _) =>
    {
        context.SetCustomStatus("waiting");
        try
        {
            return "yes: " + await context.WaitForExternalEvent<string>("Answer", TimeSpan.FromMinutes(10));
        }
        catch (TaskCanceledException)
        {
            return "timeout";
        }
    })
    .AddOrchestratorFunc<int, string>("Sleep", async (context, milliseconds) =>
    {
        await context.CreateTimer(TimeSpan.FromMilliseconds(milliseconds), CancellationToken.None);
        return "awake";
    })
    .AddOrchestratorFunc<int, int>("Count", async (context, n) =>
    {
        var seen = await context.WaitForExternalEvent<int>("Next");
        if (n + seen >= 6) return n + seen;
        context.ContinueAsNew(n + seen);
        return 0;
    })
    .AddOrchestratorFunc<string, string>("Parent", async (context, child) =>
    {
        try
        {
            return "child says " + await context.CallSubOrchestratorAsync<string>(child, 30, new SubOrchestrationOptions(InstanceId: context.InstanceId + "-child"));
        }
        catch (TaskFailedException e)
        {
            return "child failed: " + e.FailureDetails.ErrorMessage;
        }
    })
    .AddOrchestratorFunc<object?, int>("Throws", (_, _) => throw new InvalidOperationException("bad state"))
    .AddOrchestratorFunc<object?, string>("Slow", async (context, _) => await context.CallActivityAsync<string>("Gate", context.InstanceId))
    .AddOrchestratorFunc<object?, int>("Retry", (context, _) => context.CallActivityAsync<int>(
        "Flaky", context.InstanceId, TaskOptions.FromRetryPolicy(new RetryPolicy(3, TimeSpan.FromMilliseconds(20)))))
    .AddActivityFunc<int[], int>("Add", (_, numbers) => Task.FromResult(numbers.Sum()))
    .AddActivityFunc<int, string>("Repeat", (_, chars) => Task.FromResult(new string('ü', chars)))
    .AddActivityFunc<string, string>("Gate", async (context, id) =>
    {
        // Open once the test has made the file: until then the activity runs.
        await File.AppendAllTextAsync(Path.Combine(notes, $"gate-{id}.calls"), "called\n", context.CancellationToken);
        using var watcher = new FileSystemWatcher(notes, $"gate-{id}.open");
        var opened = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        watcher.Created += (_, _) => opened.TrySetResult();
        watcher.EnableRaisingEvents = true;
        if (!File.Exists(Path.Combine(notes, $"gate-{id}.open"))) await opened.Task.WaitAsync(context.CancellationToken);
        return "opened";
    })
    .AddActivityFunc<string, int>("Flaky", async (context, id) =>
    {
        var file = Path.Combine(notes, $"flaky-{id}.calls");
        await File.AppendAllTextAsync(file, "called\n", context.CancellationToken);
        var calls = (await File.ReadAllLinesAsync(file, context.CancellationToken)).Length;
        return calls < 3 ? throw new IOException($"attempt {calls} failed") : calls;
    })
    .AddTimer("Tick", (_, info, stop) => File.AppendAllTextAsync(Path.Combine(notes, "ticks"), $"{info.IsPastDue}\n", stop)));

var app = builder.Build();
app.MapPost("/api/start/{name}/{id}", async (string name, string id, JsonElement? input, DurableTaskClient client) =>
{
    await client.ScheduleNewOrchestrationInstanceAsync(name, input, id);
    return Results.Text(id, statusCode: StatusCodes.Status202Accepted);
});
app.MapMethods("/api/echo/{word}", ["GET", "POST", "PUT"], async (string word, HttpRequest request) =>
{
    using var reader = new StreamReader(request.Body);
    var body = await reader.ReadToEndAsync();
    request.HttpContext.Response.Headers["X-Echo"] = request.Headers["X-In"];
    return Results.Text($"{request.Method} {word} {request.Query["q"]} {body}", "text/plain", statusCode: 203);
});
app.MapGet("/api/pid", () => Results.Text(Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture)));
// Bare functions, without the library: the traps of the protocol.
app.MapPost("/Empty", () => Results.Ok());
app.MapPost("/Broken", () => Results.StatusCode(StatusCodes.Status503ServiceUnavailable));
app.MapDurableTaskHandler();
await app.RunAsync();
return 0;
