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
    private long _heardAt;

    /// <summary>Starts to watch one leg.</summary>
    /// <param name="client">Cancelled when the client leaves.</param>
    public static LegWatch Start(CancellationToken client)
    {
        var watch = Kept.Get();
        watch._client = client.UnsafeRegister(static state => ((LegWatch)state!).Cancel(), watch);
        watch.Listen();
        return watch;
    }

    /// <summary>Something came over the leg: the silence begins anew, to the second.</summary>
    public void Heard()
    {
        if (Environment.TickCount64 - _heardAt >= 1_000) Listen(); // A timer set anew for each piece costs more than the piece.
    }

    /// <summary>The leg may be silent from now on: pings tell whether the other side still lives.</summary>
    public void MayBeSilent()
    {
        _heardAt = 0;
        CancelAfter(Timeout.InfiniteTimeSpan);
    }

    /// <summary>The leg is over.</summary>
    public void End()
    {
        _client.Dispose(); // Waits for a running callback: after it nobody else cancels this watch.
        Kept.Return(this); // Keeps it only if it was never cancelled.
    }

    private void Listen()
    {
        _heardAt = Environment.TickCount64;
        CancelAfter(SilenceMax);
    }
}
