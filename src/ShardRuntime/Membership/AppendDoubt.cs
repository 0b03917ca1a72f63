namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Decides whether appends that go nowhere are this member's fault or the log's (TRACES 30). A step function: what was acknowledged, to whom and when in, a verdict out.</summary>
/// <remarks>
/// The log that was away for all comes back to one member before the other: clients of the log wait up to a second before they connect again. So the backup's first acknowledged append proves
/// nothing yet. The fault is here when a probe was not acknowledged for a lease length, and the backup's were, without a failure between, for half a lease length of that time.
/// </remarks>
/// <param name="lease">Lease length.</param>
internal sealed class AppendDoubt(TimeSpan lease)
{
    private readonly Dictionary<int, (TimeSpan Since, TimeSpan? BackupSince)> _unanswered = [];

    /// <summary>A probe was handed to the log.</summary>
    public void Probed(int partition, TimeSpan now) => _unanswered[partition] = (now, null);

    /// <summary>It was acknowledged, or failed, which ends the tenure by itself (G11).</summary>
    public void Answered(int partition) => _unanswered.Remove(partition);

    /// <summary>Whose backup is to be asked for an append of its own now.</summary>
    public IReadOnlyList<int> Due(TimeSpan now) => [.. _unanswered.Where(pair => now - pair.Value.Since >= lease / 2).Select(pair => pair.Key)];

    /// <summary>What the backup got.</summary>
    /// <param name="partition">One of <see cref="Due"/>.</param>
    /// <param name="acknowledged">Its append was acknowledged.</param>
    /// <param name="now">When that was heard.</param>
    /// <returns>How long nothing was acknowledged here, when the fault is here; else null.</returns>
    public TimeSpan? BackupAppended(int partition, bool acknowledged, TimeSpan now)
    {
        if (!_unanswered.TryGetValue(partition, out var probe)) return null;
        var since = acknowledged ? probe.BackupSince ?? now : (TimeSpan?)null;
        _unanswered[partition] = probe with { BackupSince = since };
        return now - since >= lease / 2 && now - probe.Since >= lease ? now - probe.Since : null;
    }
}
