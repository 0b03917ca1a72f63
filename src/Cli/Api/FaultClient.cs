using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using ShardCloud.Cli.Stack.Faults;
using ShardCloud.Identity;
using ShardCloud.LocalCloud.Stack;

namespace ShardCloud.Cli.Api;

/// <summary>Asks the running <c>up</c> of a data folder for faults.</summary>
internal sealed class FaultClient(RunInfo run) : IDisposable
{
    private readonly HttpClient _http = new() { BaseAddress = new Uri(run.Faults), Timeout = TimeSpan.FromSeconds(30) };
    private readonly LocalTokenSource _tokens = new(new TokenIssuer(LocalKey.Load(run.KeyFile)), "operator", Roles.Operator);

    /// <exception cref="ShardCloudException">SC7008: none runs there.</exception>
    public static FaultClient Of(string dataDirectory) => new(ManagementClient.RunOf(dataDirectory));

    public Task<FaultTargets> TargetsAsync(CancellationToken cancellationToken) =>
        SendAsync(new HttpRequestMessage(HttpMethod.Get, "targets"), FaultJson.Default.FaultTargets, cancellationToken);

    public Task<FaultDone> ApplyAsync(FaultRequest request, CancellationToken cancellationToken) => SendAsync(
        new HttpRequestMessage(HttpMethod.Post, "faults") { Content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(request, FaultJson.Default.FaultRequest)) },
        FaultJson.Default.FaultDone, cancellationToken);

    public void Dispose() => _http.Dispose();

    private async Task<T> SendAsync<T>(HttpRequestMessage request, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        using (request)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", await _tokens.GetTokenAsync(Audiences.Management, cancellationToken));
            try
            {
                using var response = await _http.SendAsync(request, cancellationToken);
                if (response.IsSuccessStatusCode) return (await response.Content.ReadFromJsonAsync(type, cancellationToken))!;
                var problem = await response.Content.ReadFromJsonAsync(FaultJson.Default.Problem, cancellationToken);
                throw new ShardCloudException(problem!.Code, problem.Detail, problem.Remedy);
            }
            catch (HttpRequestException error)
            {
                throw new ShardCloudException(ErrorCodes.NotRunning, $"The local cloud at {run.Faults} does not answer: {error.Message}.", "Is it still running? See 'shardcloud status'.", error);
            }
        }
    }
}
