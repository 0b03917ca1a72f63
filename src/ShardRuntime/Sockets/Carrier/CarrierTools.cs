using ShardCloud.ShardRuntime.Affinity;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>What every carrier of this member uses.</summary>
internal sealed record CarrierTools(
    ShardContext Shard, IMapView Maps, LegDialler Dialler, Reachability Reachability, CarrierRoster Roster, Parking Parking, SocketMetrics Metrics, AffinityObserver Affinity, TimeProvider Time,
    ILogger<SocketCarrier> Log)
{
    /// <summary>An answer to a close, from either side, is waited for this long.</summary>
    public static readonly TimeSpan CloseWithin = TimeSpan.FromSeconds(5);

    /// <summary>A client that broke a rule has this long to read so and to hang up.</summary>
    public static readonly TimeSpan LingerFor = TimeSpan.FromSeconds(1);

    /// <summary>An owner that the map no longer names has this long to say Moved.</summary>
    public static readonly TimeSpan MovedWithin = TimeSpan.FromSeconds(1);

    /// <summary>A leg that lived this long was a good one: the time without an owner is counted anew after it.</summary>
    public static readonly TimeSpan SteadyAfter = TimeSpan.FromSeconds(5);

    /// <summary>Largest message from an owner, in bytes.</summary>
    public const int OutBytesMax = 1024 * 1024;

    /// <summary>Settings.</summary>
    public SocketSettings Settings => Shard.Options.Sockets;

    /// <summary>Monotonic.</summary>
    public TimeSpan Now => Time.GetElapsedTime(0);
}
