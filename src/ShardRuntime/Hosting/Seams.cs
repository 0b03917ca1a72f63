namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>What a handoff in progress means for a request that reached this member.</summary>
public enum HandoffRole
{
    /// <summary>No handoff touches the endpoint here, or only one that this member need not act on: the map decides.</summary>
    None,

    /// <summary>This member is the source and has sealed the endpoint: no new request is admitted, it waits for the grant or the cancel.</summary>
    SealedSource,

    /// <summary>This member is the destination and warms up: requests that routers send here are relayed to the source.</summary>
    WarmingDestination,

    /// <summary>This member is the destination and has asked the source to seal: requests wait here, they will be served here soon.</summary>
    SealingDestination,
}

/// <summary>A handoff as the proxy sees it for one endpoint.</summary>
public readonly record struct HandoffView(HandoffRole Role, HandoffId Handoff)
{
    /// <summary>Nothing to say.</summary>
    public static readonly HandoffView None = default;
}

/// <summary>Which endpoints a handoff holds here. Asked once for every request; must not block and should not allocate.</summary>
/// <remarks>
/// The source must show <see cref="HandoffRole.SealedSource"/> before it starts to drain: an unsafe request counts itself as running first and
/// looks here second, so after the seal shows, either the drain sees the request or the request sees the seal.
/// </remarks>
public interface IHandoffTable
{
    /// <summary>The handoff that holds the endpoint here, if any.</summary>
    HandoffView Look(EndpointId endpoint);
}

/// <summary>No handoff ever: a router's table, and a shard's until the handoff room registers its own.</summary>
public sealed class NoHandoffs : IHandoffTable
{
    /// <inheritdoc/>
    public HandoffView Look(EndpointId endpoint) => HandoffView.None;
}

/// <summary>Adds endpoints to the member listener, under <c>/_shard</c>. A member token has been checked before they run; see <c>HttpContext.MemberCaller()</c>.</summary>
public interface IControlPlane
{
    /// <summary>Maps the endpoints.</summary>
    void Map(IEndpointRouteBuilder endpoints);
}

/// <summary>Waits until handlers that may change state have ended.</summary>
public interface IDrain
{
    /// <summary>Completes with true when no unsafe handler runs for any covered endpoint, or with false when the budget is spent.</summary>
    /// <param name="covers">True for the endpoints to wait for; called from any thread.</param>
    /// <param name="budget">Longest wait.</param>
    /// <param name="cancellationToken">Gives up.</param>
    Task<bool> WaitForIdleAsync(Func<EndpointId, bool> covers, TimeSpan budget, CancellationToken cancellationToken);
}

/// <summary>How a stay in the parking lot ended.</summary>
public enum ParkOutcome
{
    /// <summary>Something changed; decide anew.</summary>
    Woken,

    /// <summary>The time a request may be parked is over: 503, SC4004.</summary>
    TooLong,

    /// <summary>No room: 503, SC4003.</summary>
    Full,
}

/// <summary>Where requests wait while nobody can serve their endpoint.</summary>
public interface IParkingLot
{
    /// <summary>Waits for a wake-up of the endpoint.</summary>
    /// <param name="ticket">The request's time budget; the same ticket for every stay of one request.</param>
    /// <param name="slice">Longest stay before the caller looks again by itself.</param>
    /// <param name="cancellationToken">The client left.</param>
    ValueTask<ParkOutcome> ParkAsync(ParkTicket ticket, TimeSpan slice, CancellationToken cancellationToken);

    /// <summary>Wakes what waits for this endpoint, in order of arrival.</summary>
    void Wake(EndpointId endpoint);

    /// <summary>Wakes everything: the map changed, a handoff made progress, a tenure was admitted, the lease came back.</summary>
    void WakeAll();
}
