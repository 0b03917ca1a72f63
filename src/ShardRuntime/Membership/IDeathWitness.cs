using System.Net.Http.Headers;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Whoever runs the members' processes and sees them end. The one thing beside a lease that tells that a member serves nothing any more.</summary>
internal interface IDeathWitness
{
    /// <summary>True when the process behind a row was seen to end. A stop that was asked for, a process that does not answer, an unknown one: false.</summary>
    Task<bool> HasSeenEndAsync(MemberRow row, CancellationToken cancellationToken);
}

/// <summary>Nobody sees processes end, as on App Service: only leases tell.</summary>
internal sealed class NoWitness : IDeathWitness
{
    public Task<bool> HasSeenEndAsync(MemberRow row, CancellationToken cancellationToken) => Task.FromResult(false);
}

/// <summary>A shard host that has the capability <c>ConfirmsDeath</c>, asked over HTTP by the handle in the row: <c>GET shards/{handle}</c>.</summary>
/// <remarks>The handle stands for one process. Its id is compared too, so that a process which another one registered for (a wrapper, a restarted shard) confirms nothing.</remarks>
internal sealed class HostWitness(WitnessSettings settings, ITokenSource tokens) : IDeathWitness, IDisposable
{
    private readonly HttpClient _http = new() { BaseAddress = settings.Url, Timeout = settings.Timeout };

    public async Task<bool> HasSeenEndAsync(MemberRow row, CancellationToken cancellationToken)
    {
        if (row.HostHandle.Length == 0) return false;
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, $"shards/{Uri.EscapeDataString(row.HostHandle)}");
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", await tokens.GetTokenAsync(Audiences.Members, cancellationToken));
            using var response = await _http.SendAsync(request, cancellationToken);
            if (!response.IsSuccessStatusCode) return false; // Not known there, or forgotten.
            var instance = await response.Content.ReadFromJsonAsync(ShardHostJson.Default.ShardInstance, cancellationToken);
            return instance is { ConfirmedEnded: true } && instance.Pid == row.Pid;
        }
        catch (Exception error) when (error is HttpRequestException or System.Text.Json.JsonException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return false; // Says nothing; the lease decides.
        }
    }

    public void Dispose() => _http.Dispose();
}
