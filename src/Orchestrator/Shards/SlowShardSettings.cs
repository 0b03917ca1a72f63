using System.ComponentModel.DataAnnotations;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>When a shard that renews its lease counts as slow, and how long it is waited for. Section <c>ShardCloud:SlowShards</c>.</summary>
public sealed class SlowShardSettings
{
    /// <summary>Between two looks at one drained shard; the Monitor's own looks come with its timer, as often.</summary>
    public static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(10);

    /// <summary>False: nobody is drained. Default true.</summary>
    public bool Drain { get; set; } = true;

    /// <summary>A shard that has not said its status by then does not answer. Default 3 s, 0.05 to 3 s: a status takes a few milliseconds, and a full collection or a burst of work
    /// on a busy machine under a second; clients notice long before 3 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00.050", "00:00:03")]
    public TimeSpan AnswerWithin { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>A shard that answers within this is quick, and may vote about others. Default 1 s: well below <see cref="AnswerWithin"/>, so that one at the edge does not go to and fro.</summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "00:00:03")]
    public TimeSpan PromptWithin { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>Looks in a row until a shard counts as slow, and until it counts as quick again. Default 3, so half a minute: longer than a start, a large snapshot or the noise of a
    /// neighbour, and a drain costs moves.</summary>
    [Range(2, 100)]
    public int Looks { get; set; } = 3;

    /// <summary>How long a drained shard may stay slow until it is replaced. Default 2 min: it owns nothing, so nothing is urgent, and a machine that swaps or a noisy neighbour gets
    /// a chance to recover; but what it owned costs the others.</summary>
    [Range(typeof(TimeSpan), "00:00:10", "1.00:00:00")]
    public TimeSpan GiveUpAfter { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>Pause between two drains of one incarnation. Default 10 min: one whose handoffs got nowhere, or that is slow now and then, must not keep the others busy with moves.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "1.00:00:00")]
    public TimeSpan RetryAfter { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>All in range.</summary>
    internal bool IsValid => Validator.TryValidateObject(this, new ValidationContext(this), null, validateAllProperties: true) && PromptWithin <= AnswerWithin;
}
