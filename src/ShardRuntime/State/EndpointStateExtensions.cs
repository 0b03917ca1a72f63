using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime;

/// <summary>Which member runs this code.</summary>
/// <param name="Id">The shard.</param>
/// <param name="Incarnation">This start of its process.</param>
/// <param name="Version">Version of the application.</param>
public sealed record ShardInfo(ShardId Id, IncarnationId Incarnation, string Version);

/// <summary>What a handler asks the runtime for.</summary>
public static class EndpointStateExtensions
{
    /// <summary>The state of the endpoint that this request names.</summary>
    /// <exception cref="ShardCloudException">SC3006: the request's path matches no endpoint template.</exception>
    public static EndpointState EndpointState(this HttpContext context) =>
        context.Features.Get<EndpointState>() ?? context.Features.Get<LegUpgrade>()?.Run?.Read() ?? throw new ShardCloudException(ErrorCodes.NoEndpoint,
            $"'{context.Request.Path}' names no endpoint, so there is no endpoint state.",
            "Map the handler under app.MapShardEndpoint(\"/rooms/{room}\") or use another store for state that belongs to no endpoint.");

    /// <summary>The connection of a WebSocket that plain code accepts: <c>context.WebSockets</c>.</summary>
    /// <exception cref="ShardCloudException">SC4032: the request is no WebSocket's.</exception>
    public static SocketConnection ShardConnection(this HttpContext context) =>
        context.Features.Get<LegUpgrade>()?.Run is { } run ? new SocketConnection(run) : throw SocketErrors.NotAConnection(context.Request.Path);

    /// <summary>The state of the endpoint that this GET names: as it is now, and again after each change; for event streams and long polls.</summary>
    /// <param name="context">The request.</param>
    /// <param name="cancellationToken">Ends it; the client's leaving should.</param>
    /// <returns>
    /// Each element is one immutable document. Changes in quick succession may be told as one, and one state twice. It ends by itself when the endpoint is sealed for a move or no
    /// longer served here. Then the handler should end too: an event stream goes on at the next owner, and an answer of which nothing has left is discarded and the
    /// request repeated there. So a long poll returns from within the loop what it waited for, and may return anything after it. See docs/streams.md.
    /// </returns>
    /// <exception cref="ShardCloudException">SC3006: the request's path matches no endpoint template.</exception>
    /// <exception cref="InvalidOperationException">The handler is a changing one.</exception>
    public static IAsyncEnumerable<EndpointState> FollowEndpointState(this HttpContext context, CancellationToken cancellationToken = default) =>
        context.EndpointState().FollowAsync(cancellationToken);

    /// <summary>Which member runs this code.</summary>
    public static ShardInfo Shard(this HttpContext context) => context.RequestServices.GetRequiredService<ShardInfo>();
}
