using ShardCloud.ShardRuntime.Calls;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime;

/// <summary>How a handler calls other endpoints: docs/calls.md.</summary>
public static class ShardClientExtensions
{
    /// <summary>A client whose addresses are paths of endpoints, e.g. <c>"/inventory/7/take"</c>, wherever their owners are. For use within this handler.</summary>
    /// <remarks>
    /// A call waits while its endpoint moves or is taken over, at most the parking time. A handler that runs again (a crash, a seal) makes the
    /// same calls under the same ids, and those that were carried out are answered from their record: each takes effect once. Between handlers of exclusive
    /// endpoints, for two minutes, and if every run makes its changing calls in the same order. Bodies and answers up to 1 MiB. Errors of the way are
    /// answers, as a client gets them (503 with SC4004, ...); these are thrown: SC1001 and SC3006 (no endpoint), SC3005 (a change from a reader), SC4006 (too
    /// large), SC4014 (a call that would wait for itself), SC4015 (no answer in time).
    /// </remarks>
    public static HttpClient ShardClient(this HttpContext context)
    {
        var scope = context.Features.Get<EndpointState>() is { Request: { } request } state ? state.Calls ??= new CallerScope(context, request) : null;
        // The handler keeps nothing that needs to be closed, and the time is the call's own.
        return new HttpClient(new ShardCallHandler(context.RequestServices.GetRequiredService<ShardCalls>(), context, scope)) { BaseAddress = ShardCallHandler.Base, Timeout = Timeout.InfiniteTimeSpan };
    }
}
