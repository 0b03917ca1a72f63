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

var running = new Concurrency();
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
    .AddOrchestratorFunc<int, int>("Crowd", async (context, width) =>
        (await Task.WhenAll(Enumerable.Range(0, width).Select(_ => context.CallActivityAsync<int>("Busy")))).Max())
    .AddOrchestratorFunc<string, string>("Strange", async (context, activity) =>
    {
        try
        {
            return (await context.CallActivityAsync<JsonElement>(activity, new { when = "2026-03-04T05:06:07.1200000Z" })).GetRawText();
        }
        catch (TaskFailedException e)
        {
            return $"{e.FailureDetails.ErrorType}: {e.FailureDetails.ErrorMessage} <- {e.FailureDetails.InnerFailure?.ErrorMessage}";
        }
    })
    .AddOrchestratorFunc<object?, int>("Retry", (context, _) => context.CallActivityAsync<int>(
        "Flaky", context.InstanceId, TaskOptions.FromRetryPolicy(new RetryPolicy(3, TimeSpan.FromMilliseconds(20)))))
    .AddActivityFunc<int[], int>("Add", (_, numbers) => Task.FromResult(numbers.Sum()))
    .AddActivityFunc<object?, int>("Busy", (context, _) => running.CountAsync("activities", context.CancellationToken))
    .AddActivityFunc<int, string>("Repeat", (_, chars) => Task.FromResult(new string('ü', chars)))
    .AddActivityFunc<string, string>("Gate", async (context, id) =>
    {
        await File.AppendAllTextAsync(Path.Combine(notes, $"gate-{id}.calls"), "called\n", context.CancellationToken);
        await OpenedAsync($"gate-{id}", context.CancellationToken);
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
app.MapPost("/Crowded", async (HttpContext context) =>
{
    await running.CountAsync("turns", context.RequestAborted);
    return Results.StatusCode(StatusCodes.Status503ServiceUnavailable);
});
app.MapGet("/api/most/{what}", (string what) => Results.Text($"{running.Most(what)}"));
// Two activities without the library: one keeps what it was sent and answers with an object, the other fails with a body that nobody will read.
app.MapPost("/Bare", async (HttpRequest request) =>
{
    using var reader = new StreamReader(request.Body);
    var body = await reader.ReadToEndAsync();
    await File.WriteAllTextAsync(Path.Combine(notes, "bare"), body);
    return Results.Text("""{ "ReturnValue": { "utc": "2026-03-04T05:06:07.1200000Z", "none": "2026-03-04T05:06:07", "list": [ "2026-03-04" ] } }""", "application/json");
});
app.MapPost("/Fails", () => Results.Text("the reason", statusCode: 500));
// A queue function: what it got is a line of "queue"; a message says what is to become of it.
app.MapPost("/Take", async (HttpRequest request) =>
{
    var envelope = await request.ReadFromJsonAsync<JsonElement>();
    var text = JsonSerializer.Deserialize<string>(envelope.GetProperty("Data").GetProperty("message").GetString()!)!;
    lock (running) File.AppendAllText(Path.Combine(notes, "queue"), $"{text} {envelope.GetProperty("Metadata").GetRawText()}\n"); // calls run at once, appends must not
    if (text.StartsWith("hold", StringComparison.Ordinal)) await OpenedAsync(text, request.HttpContext.RequestAborted);
    return text.StartsWith("bad", StringComparison.Ordinal) ? Results.StatusCode(500) : Results.Text("{}", "application/json");
});
app.MapPost("/Broken", () => Results.StatusCode(StatusCodes.Status503ServiceUnavailable));
app.MapDurableTaskHandler();
await app.RunAsync();
return 0;

// Waits for the file NAME.open, which the test makes.
async Task OpenedAsync(string name, CancellationToken cancellationToken)
{
    using var watcher = new FileSystemWatcher(notes, $"{name}.open");
    var opened = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    watcher.Created += (_, _) => opened.TrySetResult();
    watcher.EnableRaisingEvents = true;
    if (!File.Exists(Path.Combine(notes, $"{name}.open"))) await opened.Task.WaitAsync(cancellationToken);
}

/// <summary>The most calls that ran at once.</summary>
internal sealed class Concurrency
{
    private readonly Dictionary<string, (int Now, int Most)> _counts = [];

    public int Most(string what)
    {
        lock (_counts) return _counts.GetValueOrDefault(what).Most;
    }

    /// <summary>A call that takes a little time. Answers the most so far.</summary>
    public async Task<int> CountAsync(string what, CancellationToken cancellationToken)
    {
        Change(+1);
        await Task.Delay(30, cancellationToken);
        Change(-1);
        return Most(what);

        void Change(int by)
        {
            lock (_counts)
            {
                var (now, most) = _counts.GetValueOrDefault(what);
                _counts[what] = (now + by, Math.Max(most, now + by));
            }
        }
    }
}
