using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.DurableTask.Client;
using ShardCloud.DurableTask.Handler;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Tests;

/// <summary>The handler as the host calls it: envelopes in, envelopes out.</summary>
public sealed class HandlerTests : IAsyncLifetime
{
    private const string ClientBinding = """{"taskHubName":"hub","connectionName":"Storage","rpcBaseUrl":"http://localhost:30123"}""";

    private WebApplication _app = null!;
    private HttpClient _host = null!;
    private TimerInfo? _ticked;

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateBuilder();
        builder.WebHost.UseTestServer();
        builder.Services.AddSingleton<Counter>();
        builder.Services.AddDurableTaskHandler(b => b
            .AddOrchestrator<Hello>()
            .AddActivity<Add>()
            .AddTimer("Tick", (_, info, _) =>
            {
                _ticked = info;
                return Task.CompletedTask;
            }));
        _app = builder.Build();
        _app.MapPost("/api/shards/{id}/move", async (string id, HttpRequest request, DurableTaskClient client) =>
        {
            using var reader = new StreamReader(request.Body);
            request.HttpContext.Response.Headers["X-Seen"] = $"{request.Headers["X-Trace"]} {client.GetType().Name}";
            return Results.Text($"{id} {request.Query["dry"]} {await reader.ReadToEndAsync()}", statusCode: 202);
        });
        _app.MapPost("/api/bytes", async (HttpRequest request) =>
        {
            var body = new MemoryStream();
            await request.Body.CopyToAsync(body);
            return Results.Text(string.Join(',', body.ToArray()));
        });
        _app.MapDurableTaskHandler();
        await _app.StartAsync();
        _host = _app.GetTestClient();
    }

    public async ValueTask DisposeAsync()
    {
        _host.Dispose();
        await _app.DisposeAsync();
    }

    [Fact]
    public async Task Orchestrator_Turn_AnswersWithActions()
    {
        var response = await TurnAsync(Convert.ToBase64String(TurnBuilder.FirstTurn("Hello", "\"Zoe\"").ToByteArray()));

        Assert.Equal("{\"a\":1,\"b\":2}", Assert.Single(response.Actions).ScheduleTask.Input);
    }

    [Theory, InlineData("not base64"), InlineData("//////8=")]
    public async Task Orchestrator_UnreadableTurn_StillAnswersWithAFailedCompletion(string text)
    {
        var response = await TurnAsync(text);

        Assert.Equal(OrchestrationStatus.Failed, response.Completion().OrchestrationStatus);
    }

    [Fact]
    public async Task Activity_Succeeds_ReturnsTheEnvelopeAsOneString()
    {
        var answer = await CallAsync("Add", new JsonObject { ["input"] = Literal("{\"a\":2,\"b\":3}") });

        Assert.Equal("""{"v":1,"ok":true,"value":5}""", answer.GetProperty("ReturnValue").GetString());
    }

    [Fact]
    public async Task Activity_Throws_ReportsTheFailureWithStatus200()
    {
        var answer = await CallAsync("Add", new JsonObject { ["input"] = Literal("{\"a\":-1,\"b\":3}") });

        var failure = JsonDocument.Parse(answer.GetProperty("ReturnValue").GetString()!).RootElement.GetProperty("failure");
        Assert.Equal("no negative numbers", failure.GetProperty("errorMessage").GetString());
        Assert.Equal("System.ArgumentException", failure.GetProperty("errorType").GetString());
    }

    [Fact]
    public async Task Activity_TwoCalls_AreTwoObjectsOfTheContainer()
    {
        await CallAsync("Add", new JsonObject { ["input"] = Literal("{\"a\":1,\"b\":1}") });
        await CallAsync("Add", new JsonObject { ["input"] = Literal("{\"a\":1,\"b\":1}") });

        Assert.Equal(2, _app.Services.GetRequiredService<Counter>().Created);
    }

    [Fact]
    public async Task Http_Envelope_ReachesTheAppsOwnRouteAndComesBackAsOutput()
    {
        var answer = await CallAsync("MoveShard", new JsonObject
        {
            ["req"] = new JsonObject
            {
                ["Url"] = "http://localhost:7071/api/shards/a%20b/move?dry=1&dry=2",
                ["Method"] = "POST",
                ["Body"] = "{\"to\":\"é\"}",
                ["Headers"] = new JsonObject { ["X-Trace"] = new JsonArray("t1"), ["Content-Type"] = new JsonArray("application/json") },
            },
            ["client"] = Literal(ClientBinding),
        });

        var res = answer.GetProperty("Outputs").GetProperty("res");
        Assert.Equal("202", res.GetProperty("statusCode").GetString());
        Assert.Equal("a b 1,2 {\"to\":\"é\"}", res.GetProperty("body").GetString());
        Assert.Equal("t1 GrpcDurableTaskClient", res.GetProperty("headers").GetProperty("X-Seen").GetString());
    }

    [Fact]
    public async Task Http_BinaryBody_IsDecoded()
    {
        var answer = await CallAsync("Bytes", new JsonObject
        {
            ["req"] = new JsonObject
            {
                ["Url"] = "http://localhost/api/bytes",
                ["Method"] = "POST",
                ["Body"] = Convert.ToBase64String([0, 255, 7]),
                ["Headers"] = new JsonObject { ["Content-Type"] = new JsonArray("application/octet-stream") },
            },
        });

        Assert.Equal("0,255,7", answer.GetProperty("Outputs").GetProperty("res").GetProperty("body").GetString());
    }

    [Fact]
    public async Task Timer_Envelope_RunsTheRegisteredCode()
    {
        await CallAsync("Tick", new JsonObject { ["client"] = Literal(ClientBinding), ["timer"] = Literal("""{"Schedule":{},"ScheduleStatus":null,"IsPastDue":true}""") });

        Assert.True(_ticked!.IsPastDue);
    }

    [Fact]
    public async Task UnknownFunction_IsRefused()
    {
        var response = await _host.PostAsJsonAsync("/Nobody", new { Data = new { }, Metadata = new { } });

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
    }

    private async Task<OrchestratorResponse> TurnAsync(string text)
    {
        var answer = await CallAsync("Hello", new JsonObject { ["context"] = Literal(text) });
        return OrchestratorResponse.Parser.ParseFrom(Convert.FromBase64String(answer.GetProperty("ReturnValue").GetString()!));
    }

    private async Task<JsonElement> CallAsync(string function, JsonObject data)
    {
        using var content = new StringContent(
            new JsonObject { ["Data"] = data, ["Metadata"] = new JsonObject { ["instanceId"] = Literal("i1") } }.ToJsonString(), Encoding.UTF8, "application/json");
        var response = await _host.PostAsync($"/{function}", content);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return await response.Content.ReadFromJsonAsync<JsonElement>();
    }

    /// <summary>The extra level of quoting that the host puts around strings.</summary>
    private static string Literal(string text) => JsonSerializer.Serialize(text);

    public sealed record Pair(int A, int B);

    public sealed class Counter
    {
        public int Created { get; set; }
    }

    internal sealed class Hello : TaskOrchestrator<string, int>
    {
        public override Task<int> RunAsync(TaskOrchestrationContext context, string input) => context.CallActivityAsync<int>(nameof(Add), new Pair(1, 2));
    }

    internal sealed class Add : TaskActivity<Pair, int>
    {
        public Add(Counter counter) => counter.Created++;

        public override Task<int> RunAsync(TaskActivityContext context, Pair input) =>
            input.A < 0 ? throw new ArgumentException("no negative numbers") : Task.FromResult(input.A + input.B);
    }
}
