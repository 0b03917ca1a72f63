using Microsoft.AspNetCore.Http.Features;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Proxy;
using Yarp.ReverseProxy.Forwarder;

namespace ShardCloud.ShardRuntime.Sidecar;

/// <summary>One request to the application: as the client sent it, with what the runtime has to say about it.</summary>
/// <param name="endpoint">What it names; null: no endpoint.</param>
/// <param name="handle">Handle of its state, with an endpoint.</param>
internal sealed class AppLeg(EndpointId? endpoint, string? handle) : HttpTransformer
{
    public override async ValueTask TransformRequestAsync(HttpContext httpContext, HttpRequestMessage proxyRequest, string destinationPrefix, CancellationToken cancellationToken)
    {
        await base.TransformRequestAsync(httpContext, proxyRequest, destinationPrefix, cancellationToken);
        proxyRequest.RequestUri = new Uri(destinationPrefix + Arrival.RawTargetOf(httpContext), new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });
        proxyRequest.Headers.Host = httpContext.Request.Host.Value;
        if (proxyRequest.Headers.NonValidated.Contains("Expect")) proxyRequest.Headers.ExpectContinue = false; // Between the client and its first member.
        LegHeaders.DropOurs(httpContext, proxyRequest);
        LegHeaders.CarryTrace(proxyRequest.Headers);
        if (endpoint is not { } named) return;
        proxyRequest.Headers.TryAddWithoutValidation(ShardHeaders.Endpoint, named.Value);
        proxyRequest.Headers.TryAddWithoutValidation(ShardHeaders.State, handle);
    }

    public override async ValueTask<bool> TransformResponseAsync(HttpContext httpContext, HttpResponseMessage? proxyResponse, CancellationToken cancellationToken)
    {
        var copies = await base.TransformResponseAsync(httpContext, proxyResponse, cancellationToken);
        if (proxyResponse is null) return copies;
        LegHeaders.DropOurs(httpContext, proxyResponse);
        // Events are to arrive one by one; a reader's other answers are held until they are whole.
        if (proxyResponse.Content.Headers.ContentType?.MediaType is "text/event-stream") httpContext.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        return copies;
    }
}
