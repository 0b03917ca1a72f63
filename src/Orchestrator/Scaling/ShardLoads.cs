using System.Collections.Concurrent;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Placement.Affinity;
using ShardCloud.Placement.Scaling;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Scaling;

/// <summary>What each shard carries: processor and requests by what its status has counted since the last look, connections and state by the affinity map. Keeps the last look, and what <see cref="ScalingPlanner"/> remembers; a restart of the Orchestrator begins both anew. Thread-safe.</summary>
public sealed class ShardLoads(MemberClient members)
{
    /// <summary>Calls under way at the same time.</summary>
    private const int ParallelMax = 64;

    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(3);

    private Dictionary<string, Sample> _before = new(StringComparer.Ordinal); // Those of the last look: bounded by the shards.

    /// <summary>Counts of looks so far.</summary>
    public ScalingMemory Memory { get; set; }

    /// <summary>Asks every shard that can own endpoints. One that does not answer, or was not seen before, has no load that is known.</summary>
    /// <param name="map">Who there is.</param>
    /// <param name="affinity">What was observed of the use of endpoints; null: nothing yet.</param>
    /// <param name="limits">What one can carry.</param>
    /// <param name="needed">Shards that must stay.</param>
    /// <param name="now">Time of the look.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task<IReadOnlyList<ScalingShard>> LookAsync(RoutingMap map, AffinityMap? affinity, ShardLimits? limits, IReadOnlySet<ShardId> needed, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var shards = map.Live.Values.Where(member => member is { Ready: true, Cordoned: false }).GroupBy(member => member.Incarnation.Shard).Select(starts => starts.MaxBy(member => member.JoinedAt)!).ToList();
        var samples = new ConcurrentDictionary<string, Sample>(StringComparer.Ordinal);
        await Parallel.ForEachAsync(shards, new ParallelOptions { MaxDegreeOfParallelism = ParallelMax, CancellationToken = cancellationToken }, async (member, stop) =>
        {
            if (await AskAsync(member, stop) is { } status) samples[member.Incarnation.Value] = new Sample(now, status);
        });
        var before = Interlocked.Exchange(ref _before, new(samples, StringComparer.Ordinal));
        var owned = affinity is null ? [] : OwnedLoads.Of(map, affinity);
        return
        [
            .. shards.OrderBy(member => member.Incarnation.Shard, ShardId.InOrder).Select(member => Of(
                member.Incarnation.Shard, samples.GetValueOrDefault(member.Incarnation.Value), before.GetValueOrDefault(member.Incarnation.Value), owned.GetValueOrDefault(member.Incarnation.Shard), limits, needed)),
        ];
    }

    private static ScalingShard Of(ShardId shard, Sample? seen, Sample? before, EndpointLoad owned, ShardLimits? limits, IReadOnlySet<ShardId> needed)
    {
        const double NoLimit = double.PositiveInfinity;
        var capacity = new EndpointLoad(limits?.Requests ?? NoLimit, limits?.Cpu ?? seen?.Status.Load?.Cores ?? NoLimit, NoLimit, limits?.Connections ?? NoLimit, limits?.StateBytes ?? NoLimit);
        return new ScalingShard(shard, seen is null || before is null ? null : Between(before, seen, owned), capacity, needed.Contains(shard));
    }

    private static EndpointLoad? Between(Sample before, Sample seen, EndpointLoad owned)
    {
        var seconds = (seen.At - before.At).TotalSeconds;
        if (seconds <= 0) return null; // A clock went back.
        var requests = Math.Max(0, (seen.Status.Traffic?.Answered ?? 0) - (before.Status.Traffic?.Answered ?? 0)) / seconds;
        var cores = Math.Max(0, (seen.Status.Load?.CpuMs ?? 0) - (before.Status.Load?.CpuMs ?? 0)) / 1_000 / seconds;
        return owned with { Requests = requests, Cpu = cores };
    }

    private async Task<MemberStatus?> AskAsync(LiveMember member, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AnswerWithin);
        try
        {
            var status = await members.StatusAsync(member.MemberAddress, limit.Token);
            return status.Incarnation == member.Incarnation.Value ? status : null;
        }
        catch (Exception error) when (error is ShardCloudException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return null;
        }
    }

    private sealed record Sample(DateTimeOffset At, MemberStatus Status);
}
