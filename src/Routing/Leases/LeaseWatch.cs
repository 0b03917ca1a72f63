namespace ShardCloud.Routing;

/// <summary>Reads all member rows and fences those whose lease has ended; the shell around <see cref="LeaseObserver"/>. One caller at a time.</summary>
/// <remarks>
/// Level-triggered (G14): every poll returns all members that are final, whoever fenced them and however long ago, so that a take-over
/// which was cut short is seen again. Poll every twentieth of the shortest lease, and when <see cref="NextDue"/> says so.
/// </remarks>
public sealed class LeaseWatch(MemberDirectory directory, TimeProvider? time = null)
{
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly LeaseObserver _observer = new();

    /// <summary>The rows as read last, with the fences of that poll.</summary>
    public IReadOnlyList<MemberRow> Members { get; private set; } = [];

    /// <summary>Members that count: a lease that has not been seen to end.</summary>
    public IEnumerable<MemberRow> Alive => Members.Where(m => !m.IsFinal);

    /// <summary>How many shards seemed to be over at the last poll and are given longer, because they are most of all.</summary>
    public int Held => _observer.Held;

    /// <summary>Members whose rows have not changed for longer than renewals take.</summary>
    public IReadOnlyList<MemberRow> Silent => _observer.Silent;

    /// <summary>Until the first wait is over that is under way; null: none is.</summary>
    public TimeSpan? NextDue => _observer.NextDue;

    /// <summary>Reads, observes, fences.</summary>
    /// <param name="mayFence">Whose rows this observer may fence; null for all.</param>
    /// <param name="confirmed">Whose process was seen to end; null for none.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>Every member whose row is final now.</returns>
    /// <exception cref="ShardCloudException">SC6004: the store does not answer.</exception>
    public async Task<IReadOnlyList<MemberRow>> PollAsync(
        Func<MemberRow, bool>? mayFence = null, IReadOnlySet<IncarnationId>? confirmed = null, CancellationToken cancellationToken = default)
    {
        var rows = (await directory.ListAsync(cancellationToken)).ToList();
        foreach (var ended in _observer.Step(rows, _time.GetElapsedTime(0), confirmed))
        {
            if (mayFence?.Invoke(ended) == false || !await directory.TryFenceAsync(ended, cancellationToken)) continue;
            var at = rows.FindIndex(r => r.Incarnation == ended.Incarnation);
            rows[at] = rows[at] with { State = MemberState.Fenced };
        }
        Members = rows;
        return [.. rows.Where(r => r.IsFinal)];
    }
}
