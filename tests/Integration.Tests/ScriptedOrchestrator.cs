using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using ShardCloud.Contracts;
using ShardCloud.Placement;

namespace ShardCloud.Integration.Tests;

/// <summary>A listener that speaks the management API of updates and packages, and shows one record after the other: who follows an update sees each once, the last one for good.</summary>
internal sealed class ScriptedOrchestrator : IAsyncDisposable
{
    public const string Token = "a-token-of-the-test";

    private readonly WebApplication _app;
    private readonly Queue<StagedUpdate> _records;
    private readonly List<string> _calls = [];
    private int _failures;

    private ScriptedOrchestrator(WebApplication app, IEnumerable<StagedUpdate> records) => (_app, _records) = (app, new(records));

    public string Address { get; private set; } = "";

    /// <summary>Method, path and body of every change that was asked for, in order.</summary>
    public IReadOnlyList<string> Changes { get { lock (_calls) return [.. _calls]; } }

    /// <summary>What was uploaded as a package.</summary>
    public byte[] Uploaded { get; private set; } = [];

    /// <summary>So many calls are answered with 503 before any goes through.</summary>
    public int FailFirst { init => _failures = value; }

    /// <summary>Stored plans of every update, from number 1.</summary>
    public IReadOnlyList<byte[]> Plans { get; set; } = [];

    /// <summary>Every change is refused.</summary>
    public Problem? Refuses { get; init; }

    /// <summary>An update of the records' kind: half of it done.</summary>
    public static StagedUpdate Record(UpdateState state, UpdateOutcome? outcome = null, UpdateStep step = UpdateStep.Wave, UpdateWaveState second = UpdateWaveState.Planned, params IReadOnlyList<int> approved) => new(
        "update-2.0.0", "2.0.0", "1.0.0", state, outcome, step, "moving", UpdateStrategy.Default with { Waves = [10, 100], ApproveBefore = [2] }, "somebody",
        DateTimeOffset.UnixEpoch, outcome is null ? null : DateTimeOffset.UnixEpoch.AddMinutes(3), new("shard-4", "shard-4~01", new Dictionary<string, int> { ["shard-1~01"] = 16 }),
        new(["shard-1"], [new("shard-4", "shard-4~01", new Dictionary<string, int> { ["shard-1~01"] = 16 })]),
        new(new ProbeReport([new("/rooms/{room}", "counts", "GET", "/", true, 200, null, 2.5), new("/likes/{page}", null, null, null, true, 0, null, 0)]),
            new ShadowReport(100, 1, 2, 0, [new("rooms/7", "/rooms/7", "body", "<b>|1", "2")]), UpdateVerdict.Healthy, "all passed"),
        [
            new(1, 10, UpdateWaveState.Passed, 1_638, 4, 8, ["migrate-1"], DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddMinutes(1),
                new(new(new(1_000, 1, 5, 20), new(100, 0, 5, null), 3, [], [], 0), UpdateVerdict.Healthy, "stable for 120 s", 12, DateTimeOffset.UnixEpoch)),
            new(2, 100, second, 14_746, 40, 60, [], null, null, null),
        ], approved, null, outcome == UpdateOutcome.RolledBack ? new("5 of 100 requests failed", DateTimeOffset.UnixEpoch, 1_638, 4, ["migrate-2"]) : null, new(1_642, 0, 0), null);

    public static async Task<ScriptedOrchestrator> StartAsync(IEnumerable<StagedUpdate> records, int failFirst = 0, Problem? refuses = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var orchestrator = new ScriptedOrchestrator(builder.Build(), records) { FailFirst = failFirst, Refuses = refuses };
        orchestrator.Map();
        await orchestrator._app.StartAsync();
        orchestrator.Address = orchestrator._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        return orchestrator;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private void Map()
    {
        _app.Use(async (context, next) =>
        {
            if (context.Request.Path.StartsWithSegments("/blob")) await next(context);
            else if (Interlocked.Decrement(ref _failures) >= 0) context.Response.StatusCode = 503;
            else if (context.Request.Headers.Authorization != $"Bearer {Token}") await RefuseAsync(context, new Problem("", "", 401, "No token.", "SC5013", "Log in."));
            else if (HttpMethods.IsGet(context.Request.Method)) await next(context);
            else
            {
                using var body = new StreamReader(context.Request.Body);
                var text = await body.ReadToEndAsync();
                lock (_calls) _calls.Add($"{context.Request.Method} {context.Request.Path} {text}{(context.Request.Headers.TryGetValue("Idempotency-Key", out var key) ? $" key {key}" : "")}");
                if (Refuses is { } problem) await RefuseAsync(context, problem);
                else await next(context);
            }
        });
        _app.MapPost("/api/packages/uploads", () => Json(new PackageUpload("0123", $"{Address}/blob?secret=1", DateTimeOffset.UnixEpoch, 1_000_000), ManagementJson.Default.PackageUpload));
        _app.MapPut("/blob", async (HttpContext context) =>
        {
            using var content = new MemoryStream();
            await context.Request.Body.CopyToAsync(content);
            Uploaded = content.ToArray();
            return Results.StatusCode(201);
        });
        _app.MapPost("/api/packages", () => Json(new PublishedPackage("2.0.0", 123, "abc", ["dotnet", "Rooms.dll"], DateTimeOffset.UnixEpoch), ManagementJson.Default.PublishedPackage));
        _app.MapPost("/api/updates", () => Json(new UpdateAccepted("update-2.0.0"), UpdateJson.Default.UpdateAccepted));
        _app.MapPost("/api/updates/{id}/{change}", (string id) => Json(new UpdateAccepted(id), UpdateJson.Default.UpdateAccepted));
        _app.MapGet("/api/updates/{id}", () =>
        {
            lock (_records) return Json(_records.Count > 1 ? _records.Dequeue() : _records.Peek(), UpdateJson.Default.StagedUpdate);
        });
        _app.MapGet("/api/updates/{id}/plans", () => Json(new UpdatePlanList([.. Plans.Select((bytes, i) => new UpdatePlanRef(
            i + 1, 1, DateTimeOffset.UnixEpoch, 9, 1, 164, 0, 0, 0, 0, PlanFile.HashOf(bytes), bytes.Length))]), UpdateJson.Default.UpdatePlanList));
        _app.MapGet("/api/updates/{id}/plans/{number:int}", (int number) => Results.Bytes(Plans[number - 1], "application/json"));
        _app.MapGet("/api/updates", () =>
        {
            lock (_records)
            {
                return Json(new UpdateList([.. _records.Select(update => new UpdateSummary(update.Id, update.Version, update.FromVersion, update.State, update.Outcome, update.Step, update.StepText,
                    update.RequestedBy, update.StartedAt, update.FinishedAt))]), UpdateJson.Default.UpdateList);
            }
        });
    }

    private static async Task RefuseAsync(HttpContext context, Problem problem)
    {
        context.Response.StatusCode = problem.Status;
        await context.Response.WriteAsync(JsonSerializer.Serialize(problem, ManagementJson.Default.Problem));
    }

    private static IResult Json<T>(T value, JsonTypeInfo<T> type) => Results.Text(JsonSerializer.Serialize(value, type), "application/json");
}
