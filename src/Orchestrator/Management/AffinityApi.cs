using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Affinity;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Management;

/// <summary><c>/api/affinity</c>: what is used together now, and how much of it crosses shards (docs/affinity.md). Members are asked; nothing is stored.</summary>
public sealed class AffinityApi(AffinityStore affinity, MapReader maps, MemberClient members)
{
    private const int TopDefault = 20, TopMax = 10_000, ParallelMax = 16;

    /// <summary>The view.</summary>
    public async Task<IResult> ShowAsync(HttpContext context)
    {
        var top = context.Request.Query["top"].ToString() is not { Length: > 0 } text ? TopDefault
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number is >= 1 and <= TopMax ? number
            : throw new ShardCloudException(ErrorCodes.BadValue, $"'{text}' is not a number of edges.", $"Use 1 to {TopMax}.");
        var map = await maps.ReadAsync(context.RequestAborted);
        var look = await affinity.LookAsync(context.RequestAborted);
        var calls = await CallsAsync(map, context.RequestAborted);
        return Results.Json(ViewOf(map, look, calls, top), ManagementJson.Default.AffinityView);
    }

    private static AffinityView ViewOf(RoutingMap map, AffinityLook look, MemberCalls calls, int top)
    {
        var graph = look.Map;
        string?[] shardOf = [.. graph.Vertices.Select(vertex => map.Lookup(vertex.Endpoint)?.Owner.Shard.Value)];
        bool Crosses(AffinityEdge edge) => shardOf[edge.A] != shardOf[edge.B];

        var shards = map.Live.Keys.Select(incarnation => incarnation.Shard.Value).Distinct(StringComparer.Ordinal).ToDictionary(shard => shard, shard => new ShardUse(shard, 0, 0, 0, 0, 0, 0, 0, 0), StringComparer.Ordinal);
        void Add(string? shard, EndpointLoad load, int endpoints, double within, double crossing)
        {
            if (shard is null || !shards.TryGetValue(shard, out var sum)) return;
            shards[shard] = new ShardUse(shard, sum.Endpoints + endpoints, sum.Requests + load.Requests, sum.Cpu + load.Cpu, sum.Bytes + load.Bytes, sum.Connections + load.Connections, sum.StateBytes + load.StateBytes,
                sum.Within + within, sum.Crossing + crossing);
        }
        for (var i = 0; i < shardOf.Length; i++) Add(shardOf[i], graph.Vertices[i].Load, 1, 0, 0);
        foreach (var (slot, load) in graph.Slots) Add(map.LookupSlot(slot)?.Owner.Shard.Value, load, 0, 0, 0);
        var (all, crossing) = (0.0, 0.0);
        foreach (var edge in graph.Edges)
        {
            all += edge.Weight;
            if (Crosses(edge)) crossing += edge.Weight;
            Add(shardOf[edge.A], EndpointLoad.None, 0, Crosses(edge) ? 0 : edge.Weight, Crosses(edge) ? edge.Weight : 0);
            if (Crosses(edge)) Add(shardOf[edge.B], EndpointLoad.None, 0, 0, edge.Weight);
        }
        // A stable sort: of equals the first by name.
        var strongest = graph.Edges.OrderByDescending(edge => edge.Weight).Take(top)
            .Select(edge => new UsedTogether(graph.Vertices[edge.A].Endpoint.Value, graph.Vertices[edge.B].Endpoint.Value, edge.Weight, shardOf[edge.A], shardOf[edge.B], Crosses(edge)));
        return new AffinityView(look.StoredVersion, graph.At, graph.HalfLife.TotalSeconds, graph.Vertices.Count, graph.Edges.Count, all, all > 0 ? crossing / all : 0, calls, [.. strongest],
            [.. shards.Values.OrderBy(shard => shard.Shard, StringComparer.Ordinal)], [.. look.LeftOut.Select(left => new MissingMember(left.Member, left.Why))], map.Version.Value);
    }

    /// <summary>One by one as they were made, since the members started. Who does not answer is named among those left out already.</summary>
    private async Task<MemberCalls> CallsAsync(RoutingMap map, CancellationToken cancellationToken)
    {
        using var gate = new SemaphoreSlim(ParallelMax);
        var counts = await Task.WhenAll(map.Live.Values.Select(async member =>
        {
            await gate.WaitAsync(cancellationToken);
            try
            {
                return (await members.StatusAsync(member.MemberAddress, cancellationToken)).Calls;
            }
            catch (ShardCloudException)
            {
                return null;
            }
            finally
            {
                gate.Release();
            }
        }));
        return new MemberCalls(counts.Sum(calls => calls?.Here ?? 0), counts.Sum(calls => calls?.Crossed ?? 0));
    }
}
