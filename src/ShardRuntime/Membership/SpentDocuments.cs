namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Renews the grant of an Event Hub partition when at least half of what is held there is spent, so that spent documents leave the replicas (docs/protocol/forgetting.md).</summary>
/// <remarks>
/// A new Grant costs the endpoints of the partition the pause of a move to the same owner. So it waits for as many as <see cref="SpentSettings.Least"/>, and for <see cref="SpentSettings.Every"/>
/// between two of a partition; one partition a look. What is spent is bounded by these: as many as hold something, or that least, and what comes within that time.
/// </remarks>
internal sealed class SpentDocuments(SpentSettings settings, Func<int, (int Spent, int Kept)> count, TimeProvider time)
{
    private readonly Dictionary<int, long> _renewedAt = [];

    /// <summary>Looks until cancelled.</summary>
    /// <param name="partitions">Those that are read here.</param>
    /// <param name="renew">Asks for a new grant of a partition.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task RunAsync(Func<IReadOnlyList<int>> partitions, Action<int> renew, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(settings.Every / 20, time);
        while (await timer.WaitForNextTickAsync(cancellationToken))
            if (Next(partitions()) is { } partition) renew(partition);
    }

    /// <summary>The partition whose grant is to be renewed now; null: none.</summary>
    public int? Next(IEnumerable<int> partitions)
    {
        foreach (var partition in partitions)
        {
            if (_renewedAt.TryGetValue(partition, out var at) && time.GetElapsedTime(at) < settings.Every) continue;
            var (spent, kept) = count(partition);
            if (spent < settings.Least || spent < kept) continue;
            _renewedAt[partition] = time.GetTimestamp();
            return partition;
        }
        return null;
    }
}
