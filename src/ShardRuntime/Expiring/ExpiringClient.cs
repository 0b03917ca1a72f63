using System.Text.Json;
using ShardCloud.Contracts;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Expiring;

/// <summary>The user's side of sessions and cache entries: reads and changes them at their owner. What it returns counts: it survives the end of the owner.</summary>
internal sealed class ExpiringClient(OwnCalls calls)
{
    /// <summary>Reads, and so uses: the content lives on.</summary>
    /// <param name="endpoint">Of the session or cache entry.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="from">The endpoint whose handler reads; <c>default</c>: none, or it is not known.</param>
    /// <exception cref="ShardCloudException">SC4013: not in time.</exception>
    public async Task<ExpiringContent> ReadAsync(EndpointId endpoint, CancellationToken cancellationToken, EndpointId from = default)
    {
        var answer = await calls.SendAsync(HttpMethods.Get, endpoint, default, from, cancellationToken);
        if (answer.Status != StatusCodes.Status200OK) throw Unavailable(endpoint, "read", answer);
        var content = ExpiringContent.From(answer.Body);
        if (content.IsRenewalDue) await WriteAsync(endpoint, ExpiringChanges.Use, cancellationToken, from);
        return content;
    }

    /// <summary>Changes; when it returns, the changes count.</summary>
    /// <param name="endpoint">Of the session or cache entry.</param>
    /// <param name="changes">What.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="from">The endpoint whose handler writes; <c>default</c>: none, or it is not known.</param>
    /// <exception cref="ShardCloudException">SC3003, SC3004: too large, nothing was changed. SC4013: not in time; it may have taken effect.</exception>
    public async Task WriteAsync(EndpointId endpoint, ExpiringChanges changes, CancellationToken cancellationToken, EndpointId from = default)
    {
        var bytes = changes.ToBytes();
        if (bytes.Length > BuiltInEndpoints.BodyBytesMax)
            throw new ShardCloudException(ErrorCodes.DeltaTooLarge, $"The changes of one request have {bytes.Length} bytes; {Limits.DeltaBytesMax} are allowed.", "Change less in one request, or keep large content elsewhere.");
        var answer = await calls.SendAsync(HttpMethods.Put, endpoint, bytes, from, cancellationToken);
        if (answer.Status != StatusCodes.Status204NoContent) throw Unavailable(endpoint, "written", answer);
    }

    private static ShardCloudException Unavailable(EndpointId endpoint, string what, OwnAnswer answer)
    {
        var problem = ProblemOf(answer.Body);
        if (problem is { Code: ErrorCodes.DeltaTooLarge or ErrorCodes.DocumentTooLarge }) return new ShardCloudException(problem.Code, problem.Detail, problem.Remedy);
        return new ShardCloudException(ErrorCodes.SessionUnavailable, $"'{endpoint}' could not be {what}: {(problem is null ? $"its owner answered {answer.Status}" : $"{problem.Code} {problem.Detail}")}",
            "Retry; 'shardcloud status' shows which shard is missing, and whether all run a version with sessions.");
    }

    private static Problem? ProblemOf(ReadOnlyMemory<byte> body)
    {
        try
        {
            return JsonSerializer.Deserialize(body.Span, MemberJson.Default.Problem);
        }
        catch (JsonException)
        {
            return null; // An older version's own answer to a path that it does not know.
        }
    }
}
