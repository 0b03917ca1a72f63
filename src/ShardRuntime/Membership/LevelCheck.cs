using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>The first look of a member at its cloud: may its release be there? It writes nothing of this member, so one that may not has left no trace.</summary>
/// <remarks>Two members that start at one moment may not see each other here. Of two shards, the map then refuses the second one's join; routers own nothing and write nothing that others read.</remarks>
internal sealed partial class LevelCheck(MapStore maps, MemberDirectory directory, TimeProvider time, ILogger<LevelCheck> logger)
{
    private static readonly TimeSpan AgainAfter = TimeSpan.FromSeconds(1);

    private readonly Episode _waiting = new(time);

    /// <summary>Returns when the member may join.</summary>
    /// <exception cref="ShardCloudException">SC2007: its release is too far from that of a member in office, or below the cloud's level.</exception>
    public async Task CheckAsync(IncarnationId self, CloudRelease own, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await directory.EnsureCreatedAsync(cancellationToken);
                var rows = await directory.ListAsync(cancellationToken);
                var level = await LevelAsync(cancellationToken);
                var others = rows.Where(row => !row.IsFinal && row.Incarnation != self).Select(row => (row.Incarnation.Value, row.Release));
                if (CloudLevel.Refusal(self.Value, own, level ?? own.Level, others) is { } refusal) throw refusal;
                return;
            }
            catch (ShardCloudException error) when (error.Code == ErrorCodes.StoreUnavailable)
            {
                if (_waiting.Begins()) LogWaits(error);
                await Task.Delay(AgainAfter, time, cancellationToken); // Without the store it cannot join anyway.
            }
        }
    }

    // Null before the first bootstrap: nothing was written yet.
    private async Task<int?> LevelAsync(CancellationToken cancellationToken)
    {
        try
        {
            return (await maps.LoadAsync(cancellationToken)).Level;
        }
        catch (ShardCloudException error) when (error.Code == ErrorCodes.NotBootstrapped)
        {
            return null;
        }
    }

    [LoggerMessage(1014, LogLevel.Warning, "Whether this release may join is not known yet; it is looked again every second")]
    private partial void LogWaits(Exception error);
}
