using System.Net;
using System.Text;
using System.Text.Json.Serialization.Metadata;
using ShardCloud.Contracts;
using ShardCloud.Identity;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>Calls to the member listeners of others: HTTP/2 without TLS inside the private network, with this member's token.</summary>
public sealed class MemberClient(ITokenSource tokens, IncarnationId self, ProxySettings settings) : IDisposable
{
    /// <summary>One pool for forwarded requests and control calls. No proxy, cookies, redirects or decompression: bytes go through as they are.</summary>
    internal HttpMessageInvoker Invoker { get; } = new(new SocketsHttpHandler
    {
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        EnableMultipleHttp2Connections = true,
        ConnectTimeout = settings.ConnectTimeout,
        PooledConnectionLifetime = TimeSpan.FromMinutes(15),
        // A member that vanished without closing (power, network split) is noticed by pings, not by the next request's timeout.
        KeepAlivePingDelay = TimeSpan.FromSeconds(2),
        KeepAlivePingTimeout = TimeSpan.FromSeconds(2),
        KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
        // A large body waits for the owner's word (100 Continue) before it leaves: a parked or misdirected one is then still whole.
        Expect100ContinueTimeout = TimeSpan.FromMinutes(10),
        ActivityHeadersPropagator = null,
        // As the listeners read them: by default a client's header beyond ASCII would be refused here, after it was let in.
        RequestHeaderEncodingSelector = static (_, _) => Encoding.UTF8,
    });

    /// <summary>Sends a request with the token; the caller disposes the answer. Headers only: the body is not read ahead.</summary>
    /// <exception cref="HttpRequestException">The member could not be reached.</exception>
    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string memberAddress, string pathAndQuery, HttpContent? content, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, memberAddress.TrimEnd('/') + pathAndQuery) { Content = content };
        return await SendAsync(request, cancellationToken);
    }

    /// <summary>The same of a request that is made already.</summary>
    /// <exception cref="HttpRequestException">The member could not be reached.</exception>
    public async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        (request.Version, request.VersionPolicy) = (HttpVersion.Version20, HttpVersionPolicy.RequestVersionExact);
        request.Headers.TryAddWithoutValidation(ShardHeaders.Token, await tokens.GetTokenAsync(Audiences.Members, cancellationToken));
        request.Headers.TryAddWithoutValidation(ShardHeaders.From, self.Value);
        return await Invoker.SendAsync(request, cancellationToken);
    }

    /// <summary>GET of a JSON document.</summary>
    /// <exception cref="ShardCloudException">The member answered with a problem; its code is kept.</exception>
    public async Task<T> GetAsync<T>(string memberAddress, string pathAndQuery, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(HttpMethod.Get, memberAddress, pathAndQuery, null, cancellationToken);
        await ThrowIfProblemAsync(response, memberAddress, cancellationToken);
        return (await response.Content.ReadFromJsonAsync(type, cancellationToken))!;
    }

    /// <summary>POST of a JSON document; the caller disposes the answer.</summary>
    /// <exception cref="ShardCloudException">The member answered with a problem; its code is kept.</exception>
    public async Task<HttpResponseMessage> PostAsync<T>(string memberAddress, string pathAndQuery, T body, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        var response = await SendAsync(HttpMethod.Post, memberAddress, pathAndQuery, JsonContent.Create(body, type), cancellationToken);
        try
        {
            await ThrowIfProblemAsync(response, memberAddress, cancellationToken);
            return response;
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    /// <summary>Turns a refusal into the exception it was at the other member.</summary>
    /// <exception cref="ShardCloudException">The status is not a success.</exception>
    public static async Task ThrowIfProblemAsync(HttpResponseMessage response, string memberAddress, CancellationToken cancellationToken)
    {
        if (response.IsSuccessStatusCode) return;
        if (response.Content.Headers.ContentType?.MediaType == Problem.MediaType
            && await response.Content.ReadFromJsonAsync(MemberJson.Default.Problem, cancellationToken) is { } problem)
            throw new ShardCloudException(problem.Code, problem.Detail, problem.Remedy);
        throw new ShardCloudException(ErrorCodes.NoShard, $"The member at {memberAddress} answered {(int)response.StatusCode} without a reason.",
            "See that member's log; it may run another version.");
    }

    /// <inheritdoc/>
    public void Dispose() => Invoker.Dispose();
}
