using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Requests;

namespace ShardCloud.ShardRuntime.Calls;

/// <summary>One run of an endpoint's handler, as its calls need it: whose request it is, what was called so far.</summary>
/// <remarks>
/// The id of a call is made of the request's id and the call's ordinal among the changing calls of the handler. A handler that runs again, after a crash or
/// a seal, makes the same calls under the same ids, and what has been carried out is answered from the callee's record. Calls may be made in parallel
/// as long as each run begins them in the same order; where it cannot, the handler names them by <c>Idempotency-Key</c>.
/// </remarks>
internal sealed class CallerScope
{
    /// <summary>Calls whose records are confirmed at the end, at most; those of more simply expire.</summary>
    private const int ConfirmedMax = 256;

    private readonly Lock _gate = new();
    private readonly EndpointRequest _request;
    private readonly List<(EndpointId Callee, string Id)> _made = [];
    private int _ordinal;

    public CallerScope(HttpContext context, EndpointRequest request)
    {
        _request = request;
        Chain = CallChain.From(context.Features.Get<PassedOn>()?.Chain ?? "").With(request.Endpoint, holdsTurn: !request.IsSafe);
    }

    /// <summary>Whose handler it is.</summary>
    public EndpointId Endpoint => _request.Endpoint;

    /// <summary>This handler and those that wait for it.</summary>
    public CallChain Chain { get; }

    /// <summary>A call was made that may have changed another endpoint: the request must not run again without notice, so its answer is recorded.</summary>
    public bool HasChangedOthers { get; private set; }

    /// <summary>The id of the next call. Call it in the order in which the handler makes its calls.</summary>
    /// <exception cref="ShardCloudException">SC3005: a reader's call may not change anything.</exception>
    public string NextId(string method, EndpointId callee, string key)
    {
        if (RequestIds.IsSafe(method)) return "";
        if (_request.IsSafe)
            throw new ShardCloudException(ErrorCodes.ReadOnlyRequest, $"A reader of endpoint '{_request.Endpoint}' made a {method} call to endpoint '{callee}'.",
                "Call with GET, or move the call to a handler of POST, PUT, PATCH or DELETE: those run once, reads may run any number of times.");
        lock (_gate)
        {
            var id = key.Length > 0 ? RequestIds.Nested(_request, key) : RequestIds.Nested(_request, _ordinal++);
            HasChangedOthers = true;
            if (_made.Count < ConfirmedMax) _made.Add((callee, id));
            return id;
        }
    }

    /// <summary>A leg of a call was lost. So this run's calls are not confirmed, nor are those of another run of the same request: what the leg carried may come late.</summary>
    public void LegWasLost() => _request.LegWasLost(EndpointRequest.AnyGrant);

    /// <summary>The handler's own record counts now, so it never runs again: the callees may forget.</summary>
    public void Confirm(CompletionRecords records)
    {
        if (_request.LateUnder > Epoch.None) return;
        lock (_gate)
        {
            foreach (var (callee, id) in _made) records.Confirm(callee, id);
            _made.Clear();
        }
    }
}
