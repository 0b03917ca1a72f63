using System.Diagnostics;
using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>A member's first-hand word about another: who is asked tries at once (docs/protocol/take-over.md, A slow shard, step 1).</summary>
internal sealed class ReachPlane(IMapView map, MemberPings pings) : IControlPlane
{
    private static readonly TimeSpan WithinMax = TimeSpan.FromSeconds(3);

    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapGet("/_shard/reach", Control.Answer(async context =>
    {
        var query = context.Request.Query;
        if (query["member"] is not [{ Length: > 0 } text] || !int.TryParse(query["timeoutMs"], CultureInfo.InvariantCulture, out var timeoutMs) || timeoutMs < 1)
            throw new ShardCloudException(ErrorCodes.MissingValue, "The query names no member, or no time.", "Ask for /_shard/reach?member=shard-1~suffix&timeoutMs=3000.");
        var member = new IncarnationId(text);
        if (!map.Current.Live.ContainsKey(member))
            throw new ShardCloudException(ErrorCodes.NotLive, $"The map that this member has does not list '{member}'.", "Ask for a live member.");
        var answered = await pings.AskAsync(member, TimeSpan.FromMilliseconds(Math.Min(timeoutMs, WithinMax.TotalMilliseconds)), context.RequestAborted);
        await Control.WriteAsync(context, StatusCodes.Status200OK, new ReachReport(member.Value, answered?.TotalMilliseconds), MemberJson.Default.ReachReport);
    }));
}

/// <summary>Asks other members for their status, over the connections that legs use.</summary>
internal sealed class MemberPings(IMapView map, MemberClient members)
{
    /// <summary>How soon a member answered under the incarnation that the map names; null when it did not.</summary>
    public async Task<TimeSpan?> AskAsync(IncarnationId target, TimeSpan within, CancellationToken cancellationToken)
    {
        if (!map.Current.Live.TryGetValue(target, out var member)) return null;
        var asked = Stopwatch.GetTimestamp();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(within);
        try
        {
            var status = await members.GetAsync(member.MemberAddress, "/_shard/status", MemberJson.Default.MemberStatus, limit.Token);
            return status.Incarnation == target.Value ? Stopwatch.GetElapsedTime(asked) : null;
        }
        catch (Exception error) when (error is HttpRequestException or ShardCloudException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return null;
        }
    }
}
