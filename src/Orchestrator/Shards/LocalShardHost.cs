using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using ShardCloud.Contracts;
using ShardCloud.Identity;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>The shard host of a local cloud: child processes of one process, reached over HTTP on loopback with a member token.</summary>
public sealed class LocalShardHost(HttpClient http, Uri address, ITokenSource tokens) : IShardHost
{
    /// <summary>Covers a graceful stop and the kill after it.</summary>
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(60);

    /// <inheritdoc/>
    public async Task<ShardHostCapabilities> GetCapabilitiesAsync(CancellationToken cancellationToken) =>
        (await SendAsync(HttpMethod.Get, "host", null, ShardHostJson.Default.ShardHostCapabilities, cancellationToken))!;

    /// <inheritdoc/>
    public async Task<ShardInstance> CreateAsync(string operation, ShardId shard, string version, CancellationToken cancellationToken)
    {
        var body = JsonContent.Create(new CreateInstanceRequest(operation, shard.Value, version), ShardHostJson.Default.CreateInstanceRequest);
        return (await SendAsync(HttpMethod.Post, "shards", body, ShardHostJson.Default.ShardInstance, cancellationToken))!;
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<ShardInstance>> ListAsync(CancellationToken cancellationToken) =>
        (await SendAsync(HttpMethod.Get, "shards", null, ShardHostJson.Default.ShardInstanceList, cancellationToken))!.Instances;

    /// <inheritdoc/>
    public async Task DeleteAsync(string handle, CancellationToken cancellationToken) =>
        await SendAsync<ShardInstance>(HttpMethod.Delete, $"shards/{Uri.EscapeDataString(handle)}", null, null, cancellationToken);

    private async Task<T?> SendAsync<T>(HttpMethod method, string path, HttpContent? body, JsonTypeInfo<T>? type, CancellationToken cancellationToken)
        where T : class
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AnswerWithin);
        using var request = new HttpRequestMessage(method, new Uri(address, path)) { Content = body };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", await tokens.GetTokenAsync(Audiences.Members, cancellationToken));
        try
        {
            using var response = await http.SendAsync(request, limit.Token);
            if (method == HttpMethod.Delete && response.StatusCode == HttpStatusCode.NotFound) return null; // Ended and forgotten: what was wanted.
            if (!response.IsSuccessStatusCode) throw await RefusalAsync(path, response, limit.Token);
            return type is null ? null : await response.Content.ReadFromJsonAsync(type, limit.Token);
        }
        catch (Exception error) when (error is HttpRequestException or JsonException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new ShardCloudException(ErrorCodes.ShardHostFailed, $"The shard host at {address} did not answer {method} {path}: {error.Message}",
                "Check that the local cloud ('shardcloud up') still runs.", error);
        }
    }

    private async Task<ShardCloudException> RefusalAsync(string path, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var isProblem = response.Content.Headers.ContentType?.MediaType == Problem.MediaType;
        var problem = isProblem ? await response.Content.ReadFromJsonAsync(ShardHostJson.Default.Problem, cancellationToken) : null;
        return problem is not null
            ? new ShardCloudException(problem.Code, problem.Detail, problem.Remedy)
            : new ShardCloudException(ErrorCodes.ShardHostFailed, $"The shard host at {address} answered {path} with {(int)response.StatusCode}.", "Look at the local cloud's log.");
    }
}
