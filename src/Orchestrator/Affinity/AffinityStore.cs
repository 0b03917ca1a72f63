using ShardCloud.Orchestrator.Members;
using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Affinity;

/// <summary>A member that was not asked with success, and why.</summary>
public sealed record LeftOut(string Member, string Why);

/// <summary>An affinity map as of now. <c>LeftOut</c>: members in office whose observations are missing from it. <c>StoredVersion</c>: of the stored map, itself or what it goes on from; 0: none.</summary>
public sealed record AffinityLook(AffinityMap Map, IReadOnlyList<LeftOut> LeftOut, long StoredVersion);

/// <summary>The affinity map: asks every member in office what it observed and merges that with what was known. Thread-safe.</summary>
/// <remarks>Merging costs the members nothing but an answer each, and may be repeated: <see cref="AffinityMerge"/>. A member that is dead or slow is left out and named; what it had told before fades by half-lives.</remarks>
public sealed class AffinityStore(AffinityBlobs blobs, MemberDirectory directory, MapReader maps, MemberClient members, TimeProvider time, ILogger<AffinityStore> logger)
{
    /// <summary>Between two merges of the timer's.</summary>
    public static readonly TimeSpan MergeEvery = TimeSpan.FromMinutes(1);

    /// <summary>Members asked at the same time.</summary>
    private const int ParallelMax = 16;

    /// <summary>All answers are there by then, or left out.</summary>
    private static readonly TimeSpan AnswersWithin = TimeSpan.FromSeconds(10);

    private readonly SemaphoreSlim _gate = new(1, 1);
    private long? _merged;

    /// <summary>The newest map that is stored; null: none yet. One that cannot be read is passed over.</summary>
    public async Task<AffinityMap?> ReadAsync(CancellationToken cancellationToken)
    {
        foreach (var version in await blobs.ListAsync(cancellationToken))
        {
            try
            {
                if (await blobs.ReadAsync(version, cancellationToken) is { } map) return map;
            }
            catch (ShardCloudException error) when (error.Code == ErrorCodes.AffinityUnreadable)
            {
                Log.AffinityUnreadable(logger, version, error.Code, error.Message);
            }
        }
        return null;
    }

    /// <summary>A map by its version; null: not kept (any more).</summary>
    /// <exception cref="ShardCloudException">SC5070: what is stored is none.</exception>
    public Task<AffinityMap?> ReadAsync(long version, CancellationToken cancellationToken) => blobs.ReadAsync(version, cancellationToken);

    /// <summary>What a merge would give now; nothing is stored.</summary>
    public async Task<AffinityLook> LookAsync(CancellationToken cancellationToken)
    {
        var (observed, leftOut) = await AskAsync(cancellationToken);
        var previous = await ReadAsync(cancellationToken);
        return new AffinityLook(AffinityMerge.Merge(previous, observed, time.GetUtcNow()), leftOut, previous?.Version ?? 0);
    }

    /// <summary>Merges what the members observed with what is stored, and stores that, unless no member had anything to tell.</summary>
    public async Task<AffinityLook> MergeAsync(CancellationToken cancellationToken)
    {
        var (observed, leftOut) = await AskAsync(cancellationToken);
        var previous = await ReadAsync(cancellationToken);
        var merged = AffinityMerge.Merge(previous, observed, time.GetUtcNow());
        if (merged == previous || observed.Values.All(map => map.Vertices.Count == 0 && map.Slots.Count == 0)) return new AffinityLook(merged, leftOut, previous?.Version ?? 0);
        if (await blobs.TryWriteAsync(merged, cancellationToken)) return new AffinityLook(merged, leftOut, merged.Version);
        // Another was faster, and asked the same members; or what is stored under this number cannot be read, and is passed by.
        if (await ReadAsync(cancellationToken) is { } faster && faster.Version >= merged.Version) return new AffinityLook(faster, leftOut, faster.Version);
        merged = AffinityMap.WithVersion(merged, (await blobs.ListAsync(cancellationToken)).Max() + 1);
        await blobs.TryWriteAsync(merged, cancellationToken);
        return new AffinityLook(merged, leftOut, merged.Version);
    }

    /// <summary>Stores a map from elsewhere as if it were observed now: it is the newest, and fades from here on.</summary>
    /// <returns>Its version.</returns>
    /// <exception cref="ShardCloudException">SC6004: others were faster five times.</exception>
    public async Task<long> PutAsync(AffinityMap map, CancellationToken cancellationToken)
    {
        for (var tries = 0; tries < 5; tries++) // Where it fails another has written a map: one comes once a minute.
        {
            var version = (await blobs.ListAsync(cancellationToken)).FirstOrDefault() + 1;
            if (await blobs.TryWriteAsync(AffinityMap.Renewed(map, version, time.GetUtcNow()), cancellationToken)) return version;
        }
        throw new ShardCloudException(ErrorCodes.StoreUnavailable, "The affinity map could not be stored: another one took its number each time.", "Try again.");
    }

    /// <summary>The timer's merge: every <see cref="MergeEvery"/>. A failure waits for the next.</summary>
    public async Task TickAsync(CancellationToken cancellationToken)
    {
        if (!await _gate.WaitAsync(TimeSpan.Zero, cancellationToken)) return; // The one before is not over.
        try
        {
            if (_merged is { } merged && time.GetElapsedTime(merged) < MergeEvery) return;
            _merged = time.GetTimestamp();
            await MergeAsync(cancellationToken);
        }
        catch (Exception error) when (error is ShardCloudException or Azure.RequestFailedException)
        {
            Log.AffinityNotMerged(logger, error.Message);
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task<(IReadOnlyDictionary<string, AffinityMap> Observed, IReadOnlyList<LeftOut> LeftOut)> AskAsync(CancellationToken cancellationToken)
    {
        if (await maps.TryReadAsync(cancellationToken) is null) return (new Dictionary<string, AffinityMap>(), []);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AnswersWithin);
        using var gate = new SemaphoreSlim(ParallelMax);
        var answers = await Task.WhenAll((await directory.ListAsync(cancellationToken)).Where(row => !row.IsFinal).Select(async row =>
        {
            try
            {
                await gate.WaitAsync(limit.Token);
                try
                {
                    return (Member: row.Incarnation.Value, Map: (AffinityMap?)await members.AffinityAsync(row.MemberAddress, limit.Token), Why: "");
                }
                finally
                {
                    gate.Release();
                }
            }
            catch (ShardCloudException error)
            {
                return (Member: row.Incarnation.Value, Map: null, Why: $"{error.Code}: {error.Message}");
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                return (Member: row.Incarnation.Value, Map: null, Why: $"no answer within {AnswersWithin.TotalSeconds:0} s");
            }
        }));
        return (answers.Where(answer => answer.Map is not null).ToDictionary(answer => answer.Member, answer => answer.Map!, StringComparer.Ordinal),
            [.. answers.Where(answer => answer.Map is null).Select(answer => new LeftOut(answer.Member, answer.Why)).OrderBy(left => left.Member, StringComparer.Ordinal)]);
    }
}
