using ShardCloud.ShardRuntime.Requests;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>Answer to a call of this member's own.</summary>
internal readonly record struct OwnAnswer(int Status, ReadOnlyMemory<byte> Body);

/// <summary>Calls of the runtime itself to a built-in endpoint, wherever its owner is: through the same steps as a client's request, without a socket on this side.</summary>
/// <remarks>
/// So everything that holds for requests holds here: one snapshot of the map for each round, the lane of the endpoint, parking while it has no owner, repeats when a
/// leg breaks, and the release of the answer, which is here when what it rests on counts. A call may be repeated after it took effect: its effect must
/// be the same then. Called from a handler that holds another endpoint's turn; a built-in endpoint's handler calls nothing, so no circle can close.
/// </remarks>
internal sealed class OwnCalls(ShardProxy proxy, IServiceProvider services)
{
    /// <summary>Sends and waits, at most as long as a request may be parked.</summary>
    /// <exception cref="OperationCanceledException">Given up; it may still take effect.</exception>
    public async Task<OwnAnswer> SendAsync(string method, EndpointId endpoint, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        var answer = new MemoryStream();
        var context = new DefaultHttpContext { RequestServices = services, RequestAborted = cancellationToken };
        var request = context.Request;
        (request.Method, request.Scheme, request.Host, request.Path, request.ContentLength) = (method, "http", new HostString("shard"), $"/{endpoint.Value}", body.Length);
        context.Response.Body = answer;
        await proxy.CallAsync(context, endpoint, RequestBody.Of(body));
        cancellationToken.ThrowIfCancellationRequested(); // A client that left gets no answer.
        return new OwnAnswer(context.Response.StatusCode, answer.GetBuffer().AsMemory(0, (int)answer.Length));
    }
}
