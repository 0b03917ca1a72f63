using ShardCloud.ShardRuntime;

/// <summary>One mistake of a kind that an update has to find: <c>--fault NAME</c> in the command of the package chooses it. Without, 2.1.0 is sound.</summary>
/// <remarks>Each passes what comes before the check that is to find it, so that this check has to.</remarks>
internal static class Fault
{
    /// <summary>Requests before a mistake under load shows: more than probes make.</summary>
    private const int Load = 100;

    private static int _changes, _requests;

    /// <exception cref="InvalidOperationException">The fault is that it does not start, or there is none of that name.</exception>
    public static void Into(RouteGroupBuilder room)
    {
        Func<EndpointFilterInvocationContext, EndpointFilterDelegate, ValueTask<object?>>? broken =
            ((IEndpointRouteBuilder)room).ServiceProvider.GetRequiredService<IConfiguration>()["fault"] switch
            {
                null => null,
                "start" => throw new InvalidOperationException("Rooms 2.1.0 does not start."),
                "probe" => ForgetAsync,
                "shadow" => MiscountAsync,
                "errors" => FailAsync,
                "latency" => DawdleAsync,
                "arrival" => CrashAsync,
                var other => throw new InvalidOperationException($"There is no fault '{other}': use start, probe, shadow, errors, latency or arrival."),
            };
        if (broken is not null) room.AddEndpointFilter(broken); // Of all handlers of the group, those before too.
    }

    /// <summary>Answers a visit and does not count it: a contract probe finds that.</summary>
    private static ValueTask<object?> ForgetAsync(EndpointFilterInvocationContext call, EndpointFilterDelegate next) =>
        call.HttpContext.Request.Path.Value!.EndsWith("/increment", StringComparison.Ordinal) ? new(Results.Ok()) : next(call);

    /// <summary>Reads one visit too few from the third on, which a probe's empty room never has: shadow reads find that.</summary>
    private static async ValueTask<object?> MiscountAsync(EndpointFilterInvocationContext call, EndpointFilterDelegate next)
    {
        var answer = await next(call);
        return answer is RoomView { Value: > 2 } view ? view with { Value = view.Value - 1 } : answer;
    }

    /// <summary>Under load one change in twenty fails; nothing that reads does. A gate finds that.</summary>
    private static ValueTask<object?> FailAsync(EndpointFilterInvocationContext call, EndpointFilterDelegate next) =>
        !IsRead(call) && Interlocked.Increment(ref _changes) is > Load and var number && number % 20 == 0 ? new(Results.StatusCode(StatusCodes.Status500InternalServerError)) : next(call);

    /// <summary>Under load everything takes a fifth of a second longer. A gate finds that.</summary>
    private static async ValueTask<object?> DawdleAsync(EndpointFilterInvocationContext call, EndpointFilterDelegate next)
    {
        if (Interlocked.Increment(ref _requests) > Load) await Task.Delay(200, call.HttpContext.RequestAborted);
        return await next(call);
    }

    /// <summary>Ends with the process at the first change of a room that had visits elsewhere: once such a room has arrived. A gate finds that.</summary>
    private static ValueTask<object?> CrashAsync(EndpointFilterInvocationContext call, EndpointFilterDelegate next)
    {
        if (!IsRead(call) && call.HttpContext.EndpointState().Counter("visits").Value > 1) Environment.FailFast("Rooms 2.1.0 cannot do with a room that had visits elsewhere.");
        return next(call);
    }

    private static bool IsRead(EndpointFilterInvocationContext call) => HttpMethods.IsGet(call.HttpContext.Request.Method);
}
