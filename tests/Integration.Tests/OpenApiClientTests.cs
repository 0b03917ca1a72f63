using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using ShardCloud.Cli.Api;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.Tests.Shared;

namespace ShardCloud.Integration.Tests;

/// <summary>The command's client against an Orchestrator that knows nothing but docs/api/openapi.yaml.</summary>
public sealed class OpenApiClientTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task EveryCall_IsInTheDocument_AndUnderstandsAllOfItsAnswer()
    {
        var orchestrator = new DocumentedOrchestrator();
        using var api = new ManagementClient(new Uri("http://orchestrator.test/"), new NoTokens(), orchestrator);

        orchestrator.Reads(await api.StatusAsync(Cancelled), ManagementJson.Default.CloudStatus);
        orchestrator.Reads(await api.ShardsAsync(Cancelled), ManagementJson.Default.ShardList);
        orchestrator.Reads(await api.MigrationsAsync(Cancelled), ManagementJson.Default.MigrationList);
        orchestrator.Reads(await api.MigrationAsync("migrate-1", Cancelled), ManagementJson.Default.Migration);
        orchestrator.Reads(await api.OwnerAsync("rooms/1", Cancelled), ManagementJson.Default.EndpointOwner);
        await api.RebalanceAsync(new StartRebalanceRequest(Apply: true, "why"), Cancelled);
        orchestrator.Reads(await api.RebalancesAsync(Cancelled), PlacementJson.Default.RebalanceList);
        orchestrator.Reads(await api.RebalanceAsync("rebalance-1", Cancelled), PlacementJson.Default.RebalanceRun);
        await api.CancelRebalanceAsync("rebalance-1", Cancelled);
        orchestrator.Reads(await api.PlacementPolicyAsync(Cancelled), PlacementJson.Default.RebalancePolicy);
        orchestrator.Reads(await api.SetPlacementPolicyAsync(new RebalancePolicy(Pins: new Dictionary<string, string> { ["rooms/1"] = "shard-1" }, Apart: [["rooms/1", "rooms/2"]]), Cancelled), PlacementJson.Default.RebalancePolicy);
        orchestrator.Reads(await api.ScalingAsync(Cancelled), ScalingJson.Default.ScalingState);
        orchestrator.Reads(await api.SetScalingAsync(new ScalingPolicy(1, 3, PerShard: new ShardLimits(Requests: 100)), Cancelled), ScalingJson.Default.ScalingState);
        orchestrator.Reads(await api.PackagesAsync(Cancelled), ManagementJson.Default.PackageList);
        orchestrator.Reads(await api.BeginUploadAsync(Cancelled), ManagementJson.Default.PackageUpload);
        orchestrator.Reads(await api.PublishPackageAsync("0123456789abcdef0123456789abcdef", Cancelled), ManagementJson.Default.PublishedPackage);
        orchestrator.Reads(await api.UpdatesAsync(Cancelled), UpdateJson.Default.UpdateList);
        orchestrator.Reads(await api.UpdateAsync("update-2.0.0", Cancelled), UpdateJson.Default.StagedUpdate);
        await api.StartUpdateAsync(new StartUpdateRequest("2.0.0", JsonSerializer.SerializeToElement(UpdateStrategy.Default, UpdateJson.Default.UpdateStrategy)), "key", Cancelled);
        await api.ApproveUpdateAsync("update-2.0.0", 2, Cancelled);
        await api.CancelUpdateAsync("update-2.0.0", Cancelled);
        await api.BootstrapAsync(new BootstrapRequest(3, "1.0.0"), Cancelled);
        await api.MigrateAsync(new StartMigrationRequest(["rooms/1"], "shard-2", "why"), "key", Cancelled);
        await api.CancelAsync("migrate-1", Cancelled);
        await api.AddShardAsync("1.0.0", Cancelled);
        await api.RemoveShardAsync("shard-2", Cancelled);

        Assert.Empty(orchestrator.Faults);
        Assert.Equal(26, orchestrator.Calls);
    }

    [Fact]
    public async Task Problem_AsTheDocumentHasIt_BecomesTheError()
    {
        using var api = new ManagementClient(new Uri("http://orchestrator.test/"), new NoTokens(), new DocumentedOrchestrator { Refuses = true });

        var error = await Assert.ThrowsAsync<ShardCloudException>(() => api.AddShardAsync("1.0.0", Cancelled));

        Assert.Equal(("SC5012", "the facts", "the remedy"), (error.Code, error.Message, error.Remedy));
    }

    /// <summary>Answers each call with a sample of what the document says it answers, and notes whatever of the call is not in it.</summary>
    private sealed class DocumentedOrchestrator : HttpMessageHandler
    {
        private readonly OpenApiDocument _document = new(Repository.File("docs/api/openapi.yaml"));
        private JsonNode _answer = new JsonObject();

        public List<string> Faults { get; } = [];

        public int Calls { get; private set; }

        public bool Refuses { get; init; }

        /// <summary>Notes what of the last answer did not reach the client's own type: written again, it must be the same.</summary>
        public void Reads<T>(T value, JsonTypeInfo<T> type)
        {
            var written = JsonSerializer.SerializeToNode(value, type);
            if (!JsonNode.DeepEquals(written, _answer)) Faults.Add($"{typeof(T).Name} reads\n{written?.ToJsonString()}\nof\n{_answer.ToJsonString()}");
        }

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Calls++;
            if (Refuses) return Json(409, "application/problem+json", """{"type":"x","title":"t","status":409,"code":"SC5012","detail":"the facts","remedy":"the remedy"}""");
            if (_document.Find(request.Method.Method, request.RequestUri!.AbsolutePath["/api".Length..]) is not { } found)
            {
                Faults.Add($"{request.Method} {request.RequestUri} is not in the document");
                return Json(404, "application/json", "{}");
            }
            var wanted = _document.RequestSchema(found.Operation);
            if (wanted is not null && request.Content is null || wanted is null && request.Content is not null) Faults.Add($"{found.Path}: a body where none belongs, or none");
            if (wanted is not null && request.Content is { } body)
                Faults.AddRange(_document.Faults(JsonNode.Parse(await body.ReadAsStringAsync(cancellationToken)), wanted, found.Path));
            if (request.Headers.Authorization?.Scheme != "Bearer") Faults.Add($"{found.Path}: no bearer token");

            var (status, schema) = _document.Answer(found.Operation);
            _answer = _document.Sample(schema);
            return Json(status, "application/json", _answer.ToJsonString());
        }

        private static HttpResponseMessage Json(int status, string type, string text) => new((HttpStatusCode)status) { Content = new StringContent(text, Encoding.UTF8, type) };
    }

    private sealed class NoTokens : ITokenSource
    {
        public ValueTask<string> GetTokenAsync(string audience, CancellationToken cancellationToken = default) => new("token");
    }
}
