using System.CommandLine;
using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Azure.Identity;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.LocalCloud.Stack;

namespace ShardCloud.Cli.Api;

/// <summary>The Orchestrator's management API (docs/api/openapi.yaml), as the verbs need it.</summary>
internal sealed class ManagementClient : IDisposable
{
    private static readonly TimeSpan PollEvery = TimeSpan.FromMilliseconds(100);

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Environment: address of an Orchestrator, a bearer token for it, and the registration that tokens are asked for where none is given.</summary>
    public const string AddressVariable = "SHARDCLOUD_ORCHESTRATOR", TokenVariable = "SHARDCLOUD_TOKEN", AudienceVariable = "SHARDCLOUD_AUDIENCE";

    private readonly HttpClient _http;
    private readonly ITokenSource _tokens;

    public ManagementClient(Uri orchestrator, ITokenSource tokens, HttpMessageHandler? transport = null)
    {
        _http = new HttpClient(transport ?? new SocketsHttpHandler()) { BaseAddress = new Uri(orchestrator, "api/"), Timeout = TimeSpan.FromSeconds(100) };
        _tokens = tokens;
    }

    /// <summary>Client of what a command line names: <c>--orchestrator</c>, else <c>--data</c>, else <c>SHARDCLOUD_ORCHESTRATOR</c>, else the local cloud on the user's data folder.</summary>
    /// <exception cref="ShardCloudException">SC7008: no local cloud runs there. SC5013: there is an address and no token. SC5020: that is no address.</exception>
    public static ManagementClient Of(ParseResult parsed)
    {
        var isDataNamed = parsed.GetResult(Shared.Data) is { Implicit: false };
        var address = parsed.GetValue(Shared.Orchestrator) ?? (isDataNamed ? null : Environment.GetEnvironmentVariable(AddressVariable));
        return string.IsNullOrEmpty(address) ? Of(RunOf(parsed.GetRequiredValue(Shared.Data).FullName)) : At(address);
    }

    /// <summary>Client of the Orchestrator at an address; the token comes from the environment, since everybody can read a command line, or from Entra for who has signed in.</summary>
    private static ManagementClient At(string address)
    {
        if (!Uri.TryCreate(address.TrimEnd('/') + "/", UriKind.Absolute, out var orchestrator) || orchestrator.Scheme is not ("http" or "https"))
            throw new ShardCloudException(ErrorCodes.BadValue, $"'{address}' is not an address of an Orchestrator.", "Write it as https://HOST.");
        if (Environment.GetEnvironmentVariable(TokenVariable) is { Length: > 0 } token) return new(orchestrator, new GivenToken(token));
        if (Environment.GetEnvironmentVariable(AudienceVariable) is { Length: > 0 } audience) return new(orchestrator, new EntraTokenSource(AzureCredentials.Create(), audience));
        throw new ShardCloudException(ErrorCodes.Unauthenticated, $"There is no token for the Orchestrator at {orchestrator}.",
            $"Sign in with 'az login' and set {AudienceVariable} to the application ID URI ('shardcloud connect' says it), or set {TokenVariable} to a token.");
    }

    /// <summary>Where the local cloud on a data folder can be reached.</summary>
    /// <exception cref="ShardCloudException">SC7008: none runs there.</exception>
    public static RunInfo RunOf(string dataDirectory) =>
        DataDirectory.IsLocked(dataDirectory) && DataDirectory.TryReadRun(dataDirectory) is { } run ? run : throw Commands.DownCommand.NotRunning(dataDirectory);

    public static ManagementClient Of(RunInfo run) => new(new Uri(run.Orchestrator),
        new LocalTokenSource(new TokenIssuer(LocalKey.Load(run.KeyFile)), Environment.UserName is { Length: > 0 } user ? user : "operator", Roles.Operator));

    public Task<CloudStatus> StatusAsync(CancellationToken cancellationToken) => GetAsync("status", ManagementJson.Default.CloudStatus, cancellationToken);

    public Task<AffinityView> AffinityAsync(int top, CancellationToken cancellationToken) => GetAsync($"affinity?top={top}", ManagementJson.Default.AffinityView, cancellationToken);

    public Task<CloudLevelState> RaiseLevelAsync(int level, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Post, "level", Body(new RaiseLevelRequest(level), ManagementJson.Default.RaiseLevelRequest), ManagementJson.Default.CloudLevelState, cancellationToken);

    public Task<ShardList> ShardsAsync(CancellationToken cancellationToken) => GetAsync("shards", ManagementJson.Default.ShardList, cancellationToken);

    public Task<MigrationList> MigrationsAsync(CancellationToken cancellationToken) => GetAsync("migrations", ManagementJson.Default.MigrationList, cancellationToken);

    public Task<Migration> MigrationAsync(string id, CancellationToken cancellationToken) =>
        GetAsync($"migrations/{Uri.EscapeDataString(id)}", ManagementJson.Default.Migration, cancellationToken);

    public Task<EndpointOwner> OwnerAsync(string endpoint, CancellationToken cancellationToken) =>
        GetAsync($"map?endpoint={Uri.EscapeDataString(endpoint)}", ManagementJson.Default.EndpointOwner, cancellationToken);

    public async Task<string> BootstrapAsync(BootstrapRequest request, CancellationToken cancellationToken) =>
        (await SendAsync(HttpMethod.Post, "bootstrap", Body(request, ManagementJson.Default.BootstrapRequest), ManagementJson.Default.OperationAccepted, cancellationToken)).Id;

    public async Task<string> ShutDownAsync(string cloud, CancellationToken cancellationToken) =>
        (await SendAsync(HttpMethod.Post, "shutdown", Body(new ShutDownRequest(cloud), ManagementJson.Default.ShutDownRequest), ManagementJson.Default.OperationAccepted, cancellationToken)).Id;

    public async Task<string> MigrateAsync(StartMigrationRequest request, string? idempotencyKey, CancellationToken cancellationToken) =>
        (await SendAsync(HttpMethod.Post, "migrations", Body(request, ManagementJson.Default.StartMigrationRequest), ManagementJson.Default.MigrationAccepted, cancellationToken, idempotencyKey)).Id;

    public Task CancelAsync(string id, CancellationToken cancellationToken) => SendAsync(HttpMethod.Post, $"migrations/{Uri.EscapeDataString(id)}/cancel", null, cancellationToken);

    public async Task<string> AddShardAsync(string? version, CancellationToken cancellationToken) =>
        (await SendAsync(HttpMethod.Post, "shards", Body(new AddShardRequest(version), ManagementJson.Default.AddShardRequest), ManagementJson.Default.OperationAccepted, cancellationToken)).Id;

    public async Task<string> RebalanceAsync(StartRebalanceRequest request, CancellationToken cancellationToken) =>
        (await SendAsync(HttpMethod.Post, "rebalance", Body(request, PlacementJson.Default.StartRebalanceRequest), PlacementJson.Default.RebalanceAccepted, cancellationToken)).Id;

    public Task<RebalanceList> RebalancesAsync(CancellationToken cancellationToken) => GetAsync("rebalances", PlacementJson.Default.RebalanceList, cancellationToken);

    public Task<RebalanceRun> RebalanceAsync(string id, CancellationToken cancellationToken) => GetAsync($"rebalances/{Uri.EscapeDataString(id)}", PlacementJson.Default.RebalanceRun, cancellationToken);

    public Task CancelRebalanceAsync(string id, CancellationToken cancellationToken) => SendAsync(HttpMethod.Post, $"rebalances/{Uri.EscapeDataString(id)}/cancel", null, cancellationToken);

    /// <summary>The bytes of a stored plan of placements with its inputs.</summary>
    public async Task<byte[]> RebalancePlanAsync(string id, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(HttpMethod.Get, $"rebalances/{Uri.EscapeDataString(id)}/plan", null, cancellationToken);
        return await response.Content.ReadAsByteArrayAsync(cancellationToken);
    }

    /// <summary>Waits until a rebalance has ended, however it did.</summary>
    public Task<RebalanceRun> WaitForRebalanceAsync(string id, Action<RebalanceRun>? progress, CancellationToken cancellationToken) =>
        WaitAsync(() => RebalanceAsync(id, cancellationToken), run => run.State == RebalanceState.Finished, progress, cancellationToken);

    public Task<RebalancePolicy> PlacementPolicyAsync(CancellationToken cancellationToken) => GetAsync("placement/policy", PlacementJson.Default.RebalancePolicy, cancellationToken);

    public Task<RebalancePolicy> SetPlacementPolicyAsync(RebalancePolicy policy, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Put, "placement/policy", Body(policy, PlacementJson.Default.RebalancePolicy), PlacementJson.Default.RebalancePolicy, cancellationToken);

    public Task<ScalingState> ScalingAsync(CancellationToken cancellationToken) => GetAsync("scaling", ScalingJson.Default.ScalingState, cancellationToken);

    public Task<ScalingState> SetScalingAsync(ScalingPolicy policy, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Put, "scaling", Body(policy, ScalingJson.Default.ScalingPolicy), ScalingJson.Default.ScalingState, cancellationToken);

    public Task<PackageList> PackagesAsync(CancellationToken cancellationToken) => GetAsync("packages", ManagementJson.Default.PackageList, cancellationToken);

    public Task<PackageUpload> BeginUploadAsync(CancellationToken cancellationToken) => SendAsync(HttpMethod.Post, "packages/uploads", null, ManagementJson.Default.PackageUpload, cancellationToken);

    public Task<PublishedPackage> PublishPackageAsync(string upload, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Post, "packages", Body(new PublishPackageRequest(upload), ManagementJson.Default.PublishPackageRequest), ManagementJson.Default.PublishedPackage, cancellationToken);

    public async Task<string> RemoveShardAsync(string shard, CancellationToken cancellationToken) =>
        (await SendAsync(HttpMethod.Delete, $"shards/{Uri.EscapeDataString(shard)}", null, ManagementJson.Default.OperationAccepted, cancellationToken)).Id;

    public async Task<string> StartUpdateAsync(StartUpdateRequest request, string? idempotencyKey, CancellationToken cancellationToken) =>
        (await SendAsync(HttpMethod.Post, "updates", Body(request, UpdateJson.Default.StartUpdateRequest), UpdateJson.Default.UpdateAccepted, cancellationToken, idempotencyKey)).Id;

    public Task<StagedUpdate> UpdateAsync(string id, CancellationToken cancellationToken) => GetAsync($"updates/{Uri.EscapeDataString(id)}", UpdateJson.Default.StagedUpdate, cancellationToken);

    public Task<UpdateList> UpdatesAsync(CancellationToken cancellationToken) => GetAsync("updates", UpdateJson.Default.UpdateList, cancellationToken);

    public Task<UpdatePlanList> PlansAsync(string id, CancellationToken cancellationToken) => GetAsync($"updates/{Uri.EscapeDataString(id)}/plans", UpdateJson.Default.UpdatePlanList, cancellationToken);

    /// <summary>The bytes of a stored plan with its inputs.</summary>
    public async Task<byte[]> PlanAsync(string id, int number, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(HttpMethod.Get, $"updates/{Uri.EscapeDataString(id)}/plans/{number}", null, cancellationToken);
        return await response.Content.ReadAsByteArrayAsync(cancellationToken);
    }

    public Task ApproveUpdateAsync(string id, int? wave, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Post, $"updates/{Uri.EscapeDataString(id)}/approve", Body(new ApproveUpdateRequest(wave), UpdateJson.Default.ApproveUpdateRequest), cancellationToken);

    public Task CancelUpdateAsync(string id, CancellationToken cancellationToken) => SendAsync(HttpMethod.Post, $"updates/{Uri.EscapeDataString(id)}/cancel", null, cancellationToken);

    public Task<Operation> OperationAsync(string id, CancellationToken cancellationToken) => GetAsync($"operations/{Uri.EscapeDataString(id)}", ManagementJson.Default.Operation, cancellationToken);

    /// <summary>Waits until an update has ended, however it did.</summary>
    public Task<StagedUpdate> WaitForUpdateAsync(string id, Action<StagedUpdate>? progress, CancellationToken cancellationToken) =>
        WaitAsync(() => UpdateAsync(id, cancellationToken), update => update.State == UpdateState.Finished, progress, cancellationToken);

    /// <summary>Waits until a migration has ended.</summary>
    public Task<Migration> WaitForMigrationAsync(string id, Action<Migration>? progress, CancellationToken cancellationToken) =>
        WaitAsync(() => MigrationAsync(id, cancellationToken), migration => migration.State == MigrationState.Finished, progress, cancellationToken);

    /// <summary>Waits until an operation has ended well.</summary>
    /// <exception cref="ShardCloudException">It failed; code and remedy are its own.</exception>
    public async Task<Operation> WaitForOperationAsync(string id, Action<Operation>? progress, CancellationToken cancellationToken)
    {
        var operation = await WaitAsync(() => OperationAsync(id, cancellationToken), operation => operation.State != OperationState.Running, progress, cancellationToken);
        if (operation.State == OperationState.Succeeded) return operation;
        throw new ShardCloudException(operation.Error?.Code ?? ErrorCodes.StoreUnavailable, operation.Error?.Message ?? $"Operation '{id}' failed.", operation.Error?.Remedy ?? "See the Orchestrator's log.");
    }

    private static async Task<T> WaitAsync<T>(Func<Task<T>> ask, Func<T, bool> isOver, Action<T>? progress, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(PollEvery);
        while (true)
        {
            var seen = await PatientlyAsync(ask, cancellationToken);
            progress?.Invoke(seen);
            if (isOver(seen)) return seen;
            await timer.WaitForNextTickAsync(cancellationToken);
        }
    }

    /// <summary>A question that may be repeated: the Orchestrator is on no request's path and may be away for a moment, its work goes on afterwards.</summary>
    public static async Task<T> PatientlyAsync<T>(Func<Task<T>> ask, CancellationToken cancellationToken)
    {
        var since = Stopwatch.GetTimestamp();
        using var timer = new PeriodicTimer(PollEvery);
        while (true)
        {
            try
            {
                return await ask();
            }
            catch (ShardCloudException error) when (error.Code == ErrorCodes.StoreUnavailable && Stopwatch.GetElapsedTime(since) < Patience)
            {
                await timer.WaitForNextTickAsync(cancellationToken);
            }
        }
    }

    public void Dispose() => _http.Dispose();

    /// <summary>With a Content-Length: the Functions host drops a chunked body.</summary>
    private static ByteArrayContent Body<T>(T value, JsonTypeInfo<T> type) =>
        new(JsonSerializer.SerializeToUtf8Bytes(value, type)) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };

    private Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellationToken) => SendAsync(HttpMethod.Get, path, null, type, cancellationToken);

    private async Task<T> SendAsync<T>(HttpMethod method, string path, HttpContent? body, JsonTypeInfo<T> type, CancellationToken cancellationToken, string? idempotencyKey = null)
    {
        using var response = await SendAsync(method, path, body, cancellationToken, idempotencyKey);
        return await response.Content.ReadFromJsonAsync(type, cancellationToken)
            ?? throw new ShardCloudException(ErrorCodes.StoreUnavailable, $"The Orchestrator answered {method} {path} with nothing.", "Look at its log.");
    }

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, HttpContent? body, CancellationToken cancellationToken, string? idempotencyKey = null)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", await TokenAsync(cancellationToken));
        if (idempotencyKey is not null) request.Headers.Add("Idempotency-Key", idempotencyKey);
        HttpResponseMessage response;
        try
        {
            response = await _http.SendAsync(request, cancellationToken);
        }
        catch (HttpRequestException error)
        {
            throw new ShardCloudException(ErrorCodes.StoreUnavailable, $"The Orchestrator at {_http.BaseAddress} does not answer: {error.Message}.", "Is it still running? See 'shardcloud status'.", error);
        }
        if (response.IsSuccessStatusCode) return response;
        using (response) throw await RefusalAsync(response, cancellationToken);
    }

    private async Task<string> TokenAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _tokens.GetTokenAsync(Audiences.Management, cancellationToken);
        }
        catch (AuthenticationFailedException error)
        {
            throw new ShardCloudException(ErrorCodes.Unauthenticated, $"Entra gave no token: {error.Message.Split('\n')[0].Trim()}", $"Sign in with 'az login', or set {TokenVariable}.");
        }
    }

    private sealed class GivenToken(string token) : ITokenSource
    {
        public ValueTask<string> GetTokenAsync(string audience, CancellationToken cancellationToken = default) => new(token);
    }

    private static async Task<ShardCloudException> RefusalAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var text = await response.Content.ReadAsStringAsync(cancellationToken);
        try
        {
            if (JsonSerializer.Deserialize(text, ManagementJson.Default.Problem) is { Code: not null } problem)
                return new ShardCloudException(problem.Code, problem.Detail, problem.Remedy);
        }
        catch (JsonException)
        {
            // Not a problem document: said as it is below.
        }
        return new ShardCloudException(response.StatusCode == HttpStatusCode.NotFound ? ErrorCodes.NotFound : ErrorCodes.StoreUnavailable,
            $"The Orchestrator answered {(int)response.StatusCode}: {(text.Length > 300 ? text[..300] : text)}", "Look at the Orchestrator's log.");
    }
}

[System.Text.Json.Serialization.JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[System.Text.Json.Serialization.JsonSerializable(typeof(RunInfo))]
internal sealed partial class CliJson : System.Text.Json.Serialization.JsonSerializerContext;
