using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>What the proxy says when it has no answer to pass on.</summary>
internal static class ProxyProblems
{
    private static readonly TimeSpan RetryAfterPark = TimeSpan.FromSeconds(2);

    public static Task BadPathAsync(HttpContext context) =>
        Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.BadEndpoint, "The path has no one spelling: an empty, dot or oversize segment, a bad escape or an encoded slash.",
            "Send the path in its plain form, for example /rooms/42."), StatusCodes.Status400BadRequest, "Bad path");

    public static Task TooLargeAsync(HttpContext context, long bytesMax)
    {
        context.Response.Clear();
        return Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.BodyTooLarge, $"The request's body is over {bytesMax} bytes.",
            "Send less at once, or raise ShardCloud:Proxy:BodyBytesMax on every member."), StatusCodes.Status413PayloadTooLarge, "Body too large");
    }

    /// <summary>The endpoint went away while a body that cannot be repeated was on its way; nothing ran.</summary>
    public static Task MovedAsync(HttpContext context, EndpointId endpoint) =>
        Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.NotOwner, $"Endpoint '{endpoint}' changed its owner while the body was read; the request changed nothing.",
            "Send it again."), StatusCodes.Status503ServiceUnavailable, "Endpoint moved", TimeSpan.FromSeconds(1));

    public static Task UnknownAsync(HttpContext context, EndpointId endpoint, string why) =>
        Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.OutcomeUnknown, $"Whether the request{(endpoint == default ? "" : $" for endpoint '{endpoint}'")} was carried out is unknown: {why}.",
            "Repeat it with the same Idempotency-Key if it had one, else read the state first. Bodies of at most 64 KiB are repeated by themselves."), StatusCodes.Status502BadGateway, "Outcome unknown");

    public static Task ParkingFullAsync(HttpContext context, EndpointId endpoint) =>
        Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.ParkingFull, $"Endpoint '{endpoint}' has no reachable owner just now, and too many requests wait already.",
            "Retry later with the same Idempotency-Key."), StatusCodes.Status503ServiceUnavailable, "Too many waiting requests", RetryAfterPark);

    public static Task ParkedTooLongAsync(HttpContext context, EndpointId endpoint, TimeSpan timeMax) =>
        Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.ParkedTooLong, $"Endpoint '{endpoint}' had no reachable owner for {timeMax.TotalSeconds:0.#} s.",
            "Retry with the same Idempotency-Key; 'shardcloud status' shows which shard is missing."), StatusCodes.Status503ServiceUnavailable, "No owner", RetryAfterPark);

    public static Task NoShardAsync(HttpContext context) =>
        Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.NoShard, "No shard is ready to answer a path without an endpoint.", "Retry; 'shardcloud status' lists the shards."),
            StatusCodes.Status503ServiceUnavailable, "No shard", RetryAfterPark);

    /// <summary>To another member: not here, and what this member knows better.</summary>
    public static Task NotHereAsync(HttpContext context, EndpointId endpoint, ProxyDecision decision, EntryView entry)
    {
        context.Response.Headers[ShardHeaders.Entry] = entry.ToHeader();
        var (code, status, what) = decision.Action switch
        {
            ProxyAction.TooManyHops => (ErrorCodes.TooManyHops, StatusCodes.Status503ServiceUnavailable, "has gone through too many members"),
            ProxyAction.Unavailable => (ErrorCodes.NotOwner, StatusCodes.Status503ServiceUnavailable, "cannot be served or passed on by this member now"),
            _ when decision.Reason is ProxyReason.WrongIncarnation => (ErrorCodes.WrongIncarnation, StatusCodes.Status421MisdirectedRequest, "was meant for another incarnation"),
            _ => (ErrorCodes.NotOwner, StatusCodes.Status421MisdirectedRequest, "was sent under a grant that this member does not hold"),
        };
        return Problems.WriteAsync(context, new ShardCloudException(code, $"A request for endpoint '{endpoint}' {what} ({decision.Reason}).",
            "The sender decides anew with the entry in X-Shard-Entry."), status, "Not here");
    }

    /// <summary>An error that the request itself met here.</summary>
    public static Task FailedAsync(HttpContext context, ShardCloudException error)
    {
        context.Response.Clear();
        var status = StatusOf(error.Code);
        return Problems.WriteAsync(context, error, status, "Request failed", status is StatusCodes.Status503ServiceUnavailable ? RetryAfterPark : null);
    }

    private static int StatusOf(string code) => code switch
    {
        ErrorCodes.MissingValue or ErrorCodes.BadEndpoint => StatusCodes.Status400BadRequest,
        ErrorCodes.SessionUnavailable or ErrorCodes.TooManyConnections or ErrorCodes.CallTimedOut or ErrorCodes.OutboxFull or ErrorCodes.AppUnavailable or ErrorCodes.AppBroke => StatusCodes.Status503ServiceUnavailable,
        ErrorCodes.CircularCall => StatusCodes.Status508LoopDetected,
        ErrorCodes.QueueFull => StatusCodes.Status503ServiceUnavailable, // Too much waits for the log; the commit was refused.
        ErrorCodes.DeltaTooLarge or ErrorCodes.DocumentTooLarge => StatusCodes.Status413PayloadTooLarge,
        _ => StatusCodes.Status500InternalServerError,
    };
}
