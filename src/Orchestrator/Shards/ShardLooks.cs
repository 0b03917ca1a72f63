using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Options;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Looks at all ready shards at once: their rows, how soon each says its status, and, of one that does not, whether the others reach it. The I/O around <see cref="SlowShards"/>.</summary>
/// <remarks>
/// What another shard has suspected before says little now, so it is asked to try at once: its answer is first-hand and as old as ours. An answer that comes late is
/// the voter's own slowness, and no vote. Bounded: twice <see cref="SlowShardSettings.AnswerWithin"/> and a second, <see cref="ParallelMax"/> calls at a time.
/// </remarks>
public sealed class ShardLooks(MemberDirectory directory, MemberClient members, IOptions<OrchestratorSettings> settings)
{
    /// <summary>Calls under way at the same time.</summary>
    public const int ParallelMax = 64;

    private readonly SlowShardSettings _slow = settings.Value.SlowShards;

    /// <summary>One look. A shard of which two starts are live is being restarted and is left out.</summary>
    public async Task<IReadOnlyList<ShardSight>> LookAsync(RoutingMap map, CancellationToken cancellationToken)
    {
        var shards = map.Live.Values.GroupBy(member => member.Incarnation.Shard).Where(starts => starts.Count() == 1).SelectMany(starts => starts).Where(member => member.Ready).ToList();
        var rows = (await directory.ListAsync(cancellationToken)).ToDictionary(row => row.Incarnation);
        var newest = rows.Values.Max(row => row.WrittenAt);
        bool Renews(LiveMember member) => rows.GetValueOrDefault(member.Incarnation) is { IsFinal: false } row && newest - row.WrittenAt <= row.LeaseLength;

        var answers = await AllAsync(shards, member => AnswerAsync(member, cancellationToken), cancellationToken);
        var silent = shards.Where(member => answers[member.Incarnation] is null && Renews(member)).ToList();
        var missed = silent is [var suspect] ? await CountMissesAsync(suspect, shards.Where(member => answers[member.Incarnation] <= _slow.PromptWithin), cancellationToken) : 0;
        return [.. shards.Select(member => new ShardSight(member.Incarnation, answers[member.Incarnation], Renews(member), silent.Contains(member) ? missed : 0))];
    }

    private async Task<int> CountMissesAsync(LiveMember suspect, IEnumerable<LiveMember> voters, CancellationToken cancellationToken) =>
        (await AllAsync(voters, voter => MissesAsync(voter, suspect, cancellationToken), cancellationToken)).Values.Count(misses => misses);

    private async Task<TimeSpan?> AnswerAsync(LiveMember member, CancellationToken cancellationToken)
    {
        var asked = Stopwatch.GetTimestamp();
        try
        {
            using var limit = Limit(_slow.AnswerWithin, cancellationToken);
            var status = await members.StatusAsync(member.MemberAddress, limit.Token);
            return status.Incarnation == member.Incarnation.Value ? Stopwatch.GetElapsedTime(asked) : null;
        }
        catch (Exception error) when (error is MemberUnreachableException || IsOver(error, cancellationToken))
        {
            return null;
        }
        catch (ShardCloudException)
        {
            return Stopwatch.GetElapsedTime(asked); // A refusal is an answer.
        }
    }

    private async Task<bool> MissesAsync(LiveMember voter, LiveMember suspect, CancellationToken cancellationToken)
    {
        try
        {
            using var limit = Limit(_slow.AnswerWithin + _slow.PromptWithin, cancellationToken);
            var reach = await members.ReachAsync(voter.MemberAddress, suspect.Incarnation, _slow.AnswerWithin, limit.Token);
            return reach.AnsweredMs is null;
        }
        catch (Exception error) when (error is ShardCloudException || IsOver(error, cancellationToken))
        {
            return false; // No vote.
        }
    }

    private static async Task<ConcurrentDictionary<IncarnationId, T>> AllAsync<T>(IEnumerable<LiveMember> of, Func<LiveMember, Task<T>> ask, CancellationToken cancellationToken)
    {
        var answers = new ConcurrentDictionary<IncarnationId, T>();
        await Parallel.ForEachAsync(of, new ParallelOptions { MaxDegreeOfParallelism = ParallelMax, CancellationToken = cancellationToken },
            async (member, _) => answers[member.Incarnation] = await ask(member));
        return answers;
    }

    private static CancellationTokenSource Limit(TimeSpan time, CancellationToken cancellationToken)
    {
        var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(time);
        return limit;
    }

    private static bool IsOver(Exception error, CancellationToken cancellationToken) => error is OperationCanceledException && !cancellationToken.IsCancellationRequested;
}
