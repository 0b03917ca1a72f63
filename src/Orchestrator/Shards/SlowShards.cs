namespace ShardCloud.Orchestrator.Shards;

/// <summary>One ready shard as one look found it.</summary>
/// <param name="Incarnation">Which.</param>
/// <param name="Answer">How long it took to say its status; null when it did not within <see cref="SlowShardSettings.AnswerWithin"/>.</param>
/// <param name="Renews">Its lease row was written within its lease length, by the store's clock. One that does not renew is left to its lease.</param>
/// <param name="Missed">How many other shards, all of them prompt themselves, asked it at the same time and had no answer either.</param>
public sealed record ShardSight(IncarnationId Incarnation, TimeSpan? Answer, bool Renews, int Missed = 0);

/// <summary>What one look says of one shard.</summary>
public enum Sighting
{
    /// <summary>Neither: an answer that took its time, no answer to us alone, or no renewals.</summary>
    Unsure,

    /// <summary>It answered promptly.</summary>
    Quick,

    /// <summary>It renews its lease and answers neither us nor at least half of the other shards.</summary>
    Slow,

    /// <summary>Several seem slow at once: perhaps it is us. Counts neither way.</summary>
    Held,

    /// <summary>It is not on the live list any more, or not alone: nothing is said of it.</summary>
    Gone,
}

/// <summary>Looks in a row that said the same of one shard.</summary>
public readonly record struct SlowRun(int Slow, int Quick)
{
    /// <summary>With one look more.</summary>
    public SlowRun Next(Sighting sighting) => sighting switch
    {
        Sighting.Slow => new(Slow + 1, 0),
        Sighting.Quick => new(0, Quick + 1),
        Sighting.Held => this,
        _ => default,
    };
}

/// <summary>Which shards are slow, from one look after another: step 1 of docs/protocol/take-over.md, A slow shard. Has no clock and asks nobody. One caller at a time.</summary>
/// <remarks>
/// A slow one is missed by us and by half of the others, so by most who look. Where us is what is slow, or the network around us, we miss several: then nobody is slow,
/// and the first such look of an episode is told. It only ever says so; to drain or not is decided by who asks, and wrong answers cost a few moves.
/// </remarks>
public sealed class SlowShards(SlowShardSettings settings)
{
    private Dictionary<IncarnationId, SlowRun> _runs = [];

    /// <summary>How many seemed slow at once at the last look, if it was held.</summary>
    public int Held { get; private set; }

    /// <summary>Takes one look in.</summary>
    /// <returns>Who is slow now, and whether holding began with this look.</returns>
    public (IReadOnlyList<IncarnationId> Slow, bool HoldBegins) Look(IReadOnlyList<ShardSight> sights)
    {
        _runs = sights.ToDictionary(sight => sight.Incarnation, sight => _runs.GetValueOrDefault(sight.Incarnation).Next(Judge(sights, sight.Incarnation, settings)));
        var before = Held;
        Held = HeldOf(sights);
        return (Held > 0 ? [] : [.. _runs.Where(run => run.Value.Slow >= settings.Looks).Select(run => run.Key)], before == 0 && Held > 0);
    }

    /// <summary>What one look says of one of its shards.</summary>
    public static Sighting Judge(IReadOnlyList<ShardSight> sights, IncarnationId incarnation, SlowShardSettings settings)
    {
        if (sights.FirstOrDefault(known => known.Incarnation == incarnation) is not { } sight) return Sighting.Gone;
        if (HeldOf(sights) > 0) return Sighting.Held;
        if (sight.Answer is { } answer) return answer <= settings.PromptWithin ? Sighting.Quick : Sighting.Unsure;
        return sight.Renews && sight.Missed > 0 && sight.Missed * 2 >= sights.Count - 1 ? Sighting.Slow : Sighting.Unsure;
    }

    /// <summary>Shards that renew and did not answer us, where they are several.</summary>
    private static int HeldOf(IReadOnlyList<ShardSight> sights)
    {
        var silent = sights.Count(sight => sight is { Answer: null, Renews: true });
        return silent > 1 ? silent : 0;
    }
}
