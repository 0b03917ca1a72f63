using Microsoft.Extensions.ObjectPool;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>Ends a leg when the client leaves, or when the leg has been silent for too long. Pooled: a leg without trouble allocates none.</summary>
internal sealed class LegWatch : CancellationTokenSource, IResettable
{
    /// <summary>Silence on a leg for longer than this ends it: above the longest parking at the receiver.</summary>
    public static readonly TimeSpan SilenceMax = TimeSpan.FromMinutes(10);

    /// <summary>Watches kept for later legs; more legs at once make their own.</summary>
    private const int KeptMax = 1_024;

    private static readonly ObjectPool<LegWatch> Kept = new DefaultObjectPoolProvider { MaximumRetained = KeptMax }.Create<LegWatch>();
    private CancellationTokenRegistration _client;

    /// <summary>Starts to watch one leg.</summary>
    /// <param name="client">Cancelled when the client leaves.</param>
    public static LegWatch Start(CancellationToken client)
    {
        var watch = Kept.Get();
        watch._client = client.UnsafeRegister(static state => ((LegWatch)state!).Cancel(), watch);
        watch.Heard();
        return watch;
    }

    /// <summary>Something came over the leg: the silence begins anew.</summary>
    public void Heard() => CancelAfter(SilenceMax);

    /// <summary>The leg may be silent from now on: pings tell whether the other side still lives.</summary>
    public void MayBeSilent() => CancelAfter(Timeout.InfiniteTimeSpan);

    /// <summary>The leg is over.</summary>
    public void End()
    {
        _client.Dispose(); // Waits for a running callback: after it nobody else cancels this watch.
        Kept.Return(this); // Keeps it only if it was never cancelled.
    }
}
