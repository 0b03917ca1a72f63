using ShardCloud.Contracts;

namespace ShardCloud.Orchestrator.Management;

/// <summary>HTTP status and title of each error code that the management API may answer with.</summary>
public static class Problems
{
    private static readonly Dictionary<string, (int Status, string Title)> Known = new(StringComparer.Ordinal)
    {
        [ErrorCodes.BadEndpoint] = (400, "Not an endpoint"),
        [ErrorCodes.BadShard] = (400, "Not a shard name"),
        [ErrorCodes.MalformedJson] = (400, "Malformed JSON"),
        [ErrorCodes.UnknownMember] = (400, "Unknown member in the body"),
        [ErrorCodes.EmptyList] = (400, "Empty list"),
        [ErrorCodes.DuplicateEndpoint] = (400, "Endpoint named twice"),
        [ErrorCodes.MissingValue] = (400, "Value missing"),
        [ErrorCodes.BadValue] = (400, "Bad value"),
        [ErrorCodes.OverLimit] = (400, "Over a limit"),
        [ErrorCodes.PackageUnreadable] = (400, "Not a package"),
        [ErrorCodes.PackageUnsafe] = (400, "Package not safe to unpack"),
        [ErrorCodes.PackageManifestBad] = (400, "Package without a usable manifest"),
        [ErrorCodes.PackageCannotStart] = (400, "Package cannot start"),
        [ErrorCodes.AffinityUnreadable] = (400, "Not an affinity map"),
        [ErrorCodes.Unauthenticated] = (401, "Not authenticated"),
        [ErrorCodes.Forbidden] = (403, "Not allowed"),
        [ErrorCodes.NotFound] = (404, "Not found"),
        [ErrorCodes.UnknownShard] = (404, "Unknown shard"),
        [ErrorCodes.UnknownVersion] = (404, "Unknown version"),
        [ErrorCodes.MethodNotAllowed] = (405, "Method not allowed"),
        [ErrorCodes.AlreadyMoving] = (409, "Already moving"),
        [ErrorCodes.DestinationNotReady] = (409, "Destination not ready"),
        [ErrorCodes.TooLateToCancel] = (409, "Too late to cancel"),
        [ErrorCodes.LastShard] = (409, "Last shard"),
        [ErrorCodes.LevelTooFar] = (409, "Releases too far apart"),
        [ErrorCodes.NotThisCloud] = (409, "Another cloud"),
        [ErrorCodes.CloudEnded] = (409, "Cloud shut down"),
        [ErrorCodes.NotBootstrapped] = (409, "Not bootstrapped"),
        [ErrorCodes.PackageExists] = (409, "Version published before"),
        [ErrorCodes.PinsContradict] = (400, "Pins contradict"),
        [ErrorCodes.RebalanceRunning] = (409, "A rebalance runs"),
        [ErrorCodes.ShardBusy] = (409, "Shard is being changed"),
        [ErrorCodes.VersionNotNewer] = (409, "Version not newer"),
        [ErrorCodes.UpdateRunning] = (409, "An update runs"),
        [ErrorCodes.StrategyContradictory] = (400, "Contradictory strategy"),
        [ErrorCodes.SeveralVersions] = (409, "Several versions run"),
        [ErrorCodes.NothingToApprove] = (409, "Nothing to approve"),
        [ErrorCodes.UpdateTooLate] = (409, "Too late to cancel"),
        [ErrorCodes.BodyTooLarge] = (413, "Body too large"),
        [ErrorCodes.UnsupportedMediaType] = (415, "Unsupported media type"),
        [ErrorCodes.IdempotencyKeyReused] = (422, "Idempotency-Key reused"),
        [ErrorCodes.StoreUnavailable] = (503, "Store unavailable"),
    };

    /// <summary>The problem of an error; a code that is none of this API's own is a failure of ours: 500.</summary>
    public static Problem Of(ShardCloudException error)
    {
        var (status, title) = Known.GetValueOrDefault(error.Code, (500, "Internal error"));
        return Problem.Of(error, status, title, (error as InTheWayException)?.Id);
    }

    /// <summary>Writes a problem as the whole response.</summary>
    public static Task WriteAsync(HttpContext context, Problem problem)
    {
        context.Response.StatusCode = problem.Status;
        return context.Response.WriteAsJsonAsync(problem, ManagementJson.Default.Problem, Problem.MediaType, context.RequestAborted);
    }
}

/// <summary>A call that cannot be done because of another thing, which has an id.</summary>
public sealed class InTheWayException(string code, string message, string remedy, string? id) : ShardCloudException(code, message, remedy)
{
    /// <summary>The other thing: a migration or an operation.</summary>
    public string? Id { get; } = id;
}
