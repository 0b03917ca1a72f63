using System.Globalization;
using System.IO.Compression;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Orchestrator.Members;

/// <summary>A member did not answer: nothing is known about whether it did what it was asked.</summary>
public sealed class MemberUnreachableException(string address, Exception inner) : ShardCloudException(
    ErrorCodes.MemberUnreachable, $"The member at {address} did not answer: {inner.Message}", "Look at the member's process and log; 'shardcloud status' shows its lease.", inner);

/// <summary>Calls of the Orchestrator to member listeners: HTTP/2 cleartext with prior knowledge, a member token of the role orchestrator.</summary>
public sealed class MemberClient(HttpClient http, ITokenSource tokens)
{
    /// <summary>How long a call may take beside the time it asks the member to wait.</summary>
    public static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(3);

    /// <summary>Longest answer of a member, in bytes, packed or not: an affinity map of the most edges that a member may keep is half as long.</summary>
    public const int AnswerBytesMax = 64 << 20;

    /// <summary>The connections behind the calls; one to each member is enough, they are multiplexed.</summary>
    public static HttpClient CreateHttpClient() => new(new SocketsHttpHandler
    {
        ConnectTimeout = TimeSpan.FromSeconds(2),
        PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
        KeepAlivePingDelay = TimeSpan.FromSeconds(5),
        KeepAlivePingTimeout = TimeSpan.FromSeconds(5),
    })
    {
        DefaultRequestVersion = HttpVersion.Version20,
        DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        Timeout = Timeout.InfiniteTimeSpan, // Every call has its own limit below.
        MaxResponseContentBufferSize = AnswerBytesMax,
    };

    /// <summary>Step 2: asks the destination to warm up. Repeated: the same.</summary>
    public Task PrepareAsync(string address, HandoffRequest request, CancellationToken cancellationToken) =>
        SendAsync(address, HttpMethod.Post, "handoffs", JsonContent.Create(request, MemberJson.Default.HandoffRequest), TimeSpan.Zero, cancellationToken);

    /// <summary>Where the handoff stands; waits at the member until it has reached a phase, or the wait is over.</summary>
    public Task<HandoffStatus> WaitForAsync(string address, HandoffId handoff, HandoffPhase phase, TimeSpan wait, CancellationToken cancellationToken) => GetAsync(
        address, $"handoffs/{handoff.Value}?waitFor={phase.ToString().ToLowerInvariant()}&timeoutMs={(long)wait.TotalMilliseconds}", MemberJson.Default.HandoffStatus, wait, cancellationToken);

    /// <summary>Step 4: the destination checks its log, lease and application.</summary>
    public Task VerifyAsync(string address, HandoffId handoff, CancellationToken cancellationToken) =>
        SendAsync(address, HttpMethod.Post, $"handoffs/{handoff.Value}/verify", null, TimeSpan.FromSeconds(10), cancellationToken);

    /// <summary>Steps 5 to 8 begin: the destination drives them. Repeated: the same.</summary>
    public Task GoAsync(string address, HandoffId handoff, CancellationToken cancellationToken) =>
        SendAsync(address, HttpMethod.Post, $"handoffs/{handoff.Value}/go", null, TimeSpan.Zero, cancellationToken);

    /// <summary>A hint; the map decides.</summary>
    public Task HintCancelledAsync(string address, HandoffId handoff, CancellationToken cancellationToken) =>
        SendAsync(address, HttpMethod.Post, $"handoffs/{handoff.Value}/cancelled", null, TimeSpan.Zero, cancellationToken);

    /// <summary>Step 8 where the source is fenced: the owner writes Retire.</summary>
    public Task RetireAsync(string address, HandoffId handoff, CancellationToken cancellationToken) =>
        SendAsync(address, HttpMethod.Post, $"handoffs/{handoff.Value}/retire", null, TimeSpan.FromSeconds(10), cancellationToken);

    /// <summary>What this proxy would do with a request for the endpoint, and whether the target answers it.</summary>
    public Task<RouteProbe> ProbeAsync(string address, string endpoint, CancellationToken cancellationToken) =>
        GetAsync(address, $"route?endpoint={Uri.EscapeDataString(endpoint)}", MemberJson.Default.RouteProbe, TimeSpan.FromSeconds(2), cancellationToken);

    /// <summary>Whether the member asked reaches another one, tried at once.</summary>
    public Task<ReachReport> ReachAsync(string address, IncarnationId other, TimeSpan within, CancellationToken cancellationToken) => GetAsync(
        address, $"reach?member={Uri.EscapeDataString(other.Value)}&timeoutMs={(long)within.TotalMilliseconds}", MemberJson.Default.ReachReport, within, cancellationToken);

    /// <summary>Tells of a map version, so that it need not be polled for.</summary>
    public Task PokeAsync(string address, MapVersion version, CancellationToken cancellationToken) => SendAsync(
        address, HttpMethod.Post, "map/changed", JsonContent.Create(new MapVersionNotice(version.Value), MemberJson.Default.MapVersionNotice), TimeSpan.Zero, cancellationToken);

    /// <summary>What the member says of itself.</summary>
    public Task<MemberStatus> StatusAsync(string address, CancellationToken cancellationToken) =>
        GetAsync(address, "status", MemberJson.Default.MemberStatus, TimeSpan.Zero, cancellationToken);

    /// <summary>Has a shard hold replicas of Event Hub partitions for so long, and says how far that is. Repeated: renewed.</summary>
    /// <param name="address">The shard's member address.</param>
    /// <param name="from">The member whose accepted layer it takes where it has none; null: whoever surely has it, or the Blob.</param>
    /// <param name="seconds">1 to 600.</param>
    /// <param name="partitions">Which; null: all.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public Task<WarmStatus> WarmAsync(string address, string? from, int seconds, IReadOnlyList<int>? partitions, CancellationToken cancellationToken) => AskAsync(
        address, HttpMethod.Put, "warm", JsonContent.Create(new WarmRequest(from, seconds, partitions), MemberJson.Default.WarmRequest), MemberJson.Default.WarmStatus, TimeSpan.Zero, cancellationToken);

    /// <summary>Has a shard run its application's contract probes, within 1 to 600 seconds.</summary>
    public Task<ProbeReport> ProbesAsync(string address, int seconds, CancellationToken cancellationToken) => AskAsync(
        address, HttpMethod.Post, "probes", JsonContent.Create(new ProbeRequest(seconds), MemberJson.Default.ProbeRequest), MemberJson.Default.ProbeReport, TimeSpan.FromSeconds(seconds), cancellationToken);

    /// <summary>Has an owner repeat a share (above 0, at most 1; 0 ends it) of its readers' requests at another member for 1 to 600 seconds. Repeated: renewed.</summary>
    public Task<ShadowSampling> ShadowAsync(string address, string to, double share, int seconds, CancellationToken cancellationToken) => AskAsync(
        address, HttpMethod.Put, "shadow", JsonContent.Create(new ShadowRequest(to, share, seconds), MemberJson.Default.ShadowRequest), MemberJson.Default.ShadowSampling, TimeSpan.Zero, cancellationToken);

    /// <summary>What the shadow reads that reached a member showed since it started.</summary>
    public Task<ShadowReport> ShadowReportAsync(string address, CancellationToken cancellationToken) =>
        GetAsync(address, "shadow", MemberJson.Default.ShadowReport, TimeSpan.Zero, cancellationToken);

    /// <summary>What is in use of all that a shard owns.</summary>
    /// <param name="address">The shard's member address.</param>
    /// <param name="idleSeconds">How long nothing may have run for an endpoint to be idle, 1 to 3,600.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public Task<BusyReport> BusyAsync(string address, int idleSeconds, CancellationToken cancellationToken) => GetAsync(
        address, string.Create(CultureInfo.InvariantCulture, $"busy?idleSeconds={idleSeconds}"), MemberJson.Default.BusyReport, TimeSpan.Zero, cancellationToken);

    /// <summary>What a member observed of its endpoints' use, decayed until now.</summary>
    /// <exception cref="ShardCloudException">SC5070: what it answered is no affinity map.</exception>
    public async Task<AffinityMap> AffinityAsync(string address, CancellationToken cancellationToken)
    {
        using var response = await CallAsync(address, HttpMethod.Get, "affinity", null, TimeSpan.Zero, cancellationToken, mayBePacked: true);
        if (!response.Content.Headers.ContentEncoding.Contains("br")) return AffinityFile.Read(await response.Content.ReadAsByteArrayAsync(cancellationToken)); // A member of an older release.
        try
        {
            await using var unpacked = new BrotliStream(await response.Content.ReadAsStreamAsync(cancellationToken), CompressionMode.Decompress);
            var bytes = await PackedBlobs.ReadAsync(unpacked, AnswerBytesMax, cancellationToken);
            return bytes.Length <= AnswerBytesMax ? AffinityFile.Read(bytes) : throw NoMap($"with more than {AnswerBytesMax >> 20} MiB", null);
        }
        catch (Exception error) when (error is InvalidDataException or InvalidOperationException)
        {
            throw NoMap("with something that cannot be unpacked", error);
        }

        ShardCloudException NoMap(string what, Exception? error) => new(
            ErrorCodes.AffinityUnreadable, $"The member at {address} answered /_shard/affinity {what}.", "Look at the member's log at this time.", error);
    }

    /// <summary>Asks a member that owns nothing any more to leave. Leaving is final.</summary>
    public Task LeaveAsync(string address, CancellationToken cancellationToken) =>
        SendAsync(address, HttpMethod.Post, "leave", null, TimeSpan.FromSeconds(10), cancellationToken);

    private Task<T> GetAsync<T>(string address, string path, JsonTypeInfo<T> type, TimeSpan wait, CancellationToken cancellationToken) =>
        AskAsync(address, HttpMethod.Get, path, null, type, wait, cancellationToken);

    private async Task<T> AskAsync<T>(string address, HttpMethod method, string path, HttpContent? body, JsonTypeInfo<T> type, TimeSpan wait, CancellationToken cancellationToken)
    {
        using var response = await CallAsync(address, method, path, body, wait, cancellationToken);
        return await response.Content.ReadFromJsonAsync(type, cancellationToken) ?? throw new ShardCloudException(
            ErrorCodes.MemberFailed, $"The member at {address} answered /_shard/{path} with nothing.", "Update the member: it does not speak this contract.");
    }

    private async Task SendAsync(string address, HttpMethod method, string path, HttpContent? body, TimeSpan wait, CancellationToken cancellationToken)
    {
        using var response = await CallAsync(address, method, path, body, wait, cancellationToken);
    }

    private async Task<HttpResponseMessage> CallAsync(
        string address, HttpMethod method, string path, HttpContent? body, TimeSpan wait, CancellationToken cancellationToken, bool mayBePacked = false)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(wait + AnswerWithin);
        using var request = new HttpRequestMessage(method, $"{address.TrimEnd('/')}/_shard/{path}") { Content = body };
        request.Version = HttpVersion.Version20;
        request.VersionPolicy = HttpVersionPolicy.RequestVersionExact;
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", await tokens.GetTokenAsync(Audiences.Members, cancellationToken));
        if (mayBePacked) request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("br"));
        try
        {
            var response = await http.SendAsync(request, limit.Token); // Buffers the body too, so the limit covers all of it.
            if (response.IsSuccessStatusCode) return response;
            using (response) throw await RefusalAsync(address, path, response, cancellationToken);
        }
        catch (Exception error) when (error is HttpRequestException or IOException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new MemberUnreachableException(address, error);
        }
    }

    private static async Task<ShardCloudException> RefusalAsync(string address, string path, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        try
        {
            if (await response.Content.ReadFromJsonAsync(MemberJson.Default.Problem, cancellationToken) is { Code: not null } problem)
                return new ShardCloudException(problem.Code, $"{address}: {problem.Detail}", problem.Remedy);
        }
        catch (JsonException)
        {
            // Not a problem document: the status has to do.
        }
        return new ShardCloudException(ErrorCodes.MemberFailed, $"The member at {address} answered /_shard/{path} with {(int)response.StatusCode}.",
            "Look at the member's log at this time.");
    }
}
