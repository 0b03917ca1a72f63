using System.Diagnostics;
using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Affinity;

/// <summary>Where this member's accesses are counted: clients' at the member that they reached first, handlers' and their calls at the owner. 0 B an access; bench/Micro times it.</summary>
internal sealed class AffinityObserver(ShardContext shard, IMapView maps, ShardMetrics metrics, TimeProvider time)
{
    private readonly AffinitySettings _settings = shard.Options.Affinity;
    private readonly AffinityObservation? _observation = !shard.Options.Affinity.Enabled ? null
        : new(new ObservationLimits(shard.Options.Affinity.Edges, shard.Options.Affinity.HalfLife, shard.Options.Affinity.Window, HasLoads: shard.Role is MemberRole.Shard), time);

    /// <summary>A client's request or socket for an endpoint, at the member that the client reached.</summary>
    public void Arrived(HttpContext context, EndpointId endpoint)
    {
        if (_observation is not { } observation) return;
        foreach (var cookies in context.Request.Headers.Cookie)
        {
            if (!ClientCookies.TryFind(cookies, _settings.ClientCookie, out var session)) continue;
            observation.Used(session, endpoint);
            return;
        }
        if (context.Request.Headers.Authorization is [{ Length: > 0 } subject]) observation.Used(subject, endpoint);
        // Behind a front end a connection is no client: it carries many.
        else if (shard.Options.Public.TrustedHops == 0 && context.Connection.Id is { } connection) observation.Used(connection, endpoint);
    }

    /// <summary>A handler here, or its endpoint's outbox, calls another endpoint.</summary>
    public void Called(EndpointId from, EndpointId to)
    {
        if (from == to) return;
        metrics.Called(crossed: EntryView.Of(maps.Current, to.KeyHash).Owner != shard.Self);
        _observation?.Called(from, to);
    }

    /// <summary>A handler is about to be called.</summary>
    public long Begin() => _observation is null ? 0 : Stopwatch.GetTimestamp();

    /// <summary>It has returned, or waits for something for the first time.</summary>
    /// <param name="began">What <see cref="Begin"/> returned.</param>
    /// <returns>Seconds: what it took of a processor, as far as that can be told without asking the system at each turn.</returns>
    public double Paused(long began) => _observation is null ? 0 : Stopwatch.GetElapsedTime(began).TotalSeconds;

    /// <summary>It has ended.</summary>
    /// <param name="endpoint">Whose.</param>
    /// <param name="cpuSeconds">What <see cref="Paused"/> returned.</param>
    /// <param name="bytes">Of request and answer.</param>
    public void Ran(EndpointId endpoint, double cpuSeconds, long bytes) => _observation?.Ran(endpoint, cpuSeconds, bytes);

    /// <summary>What was observed, see <see cref="AffinityObservation.Read"/>; an empty map where nothing is.</summary>
    public AffinityMap Read(IReadOnlyDictionary<EndpointId, int> connections, Func<EndpointId, long> stateBytes) => _observation?.Read(connections, stateBytes)
        ?? new AffinityMap { Version = 0, At = time.GetUtcNow(), HalfLife = _settings.HalfLife, Vertices = [], Edges = [], Slots = [] };
}

/// <summary>Finds one cookie without making a table of all.</summary>
internal static class ClientCookies
{
    /// <summary>The value of a cookie in a <c>Cookie</c> header (RFC 6265, 4.2.1), as it is sent; the first of that name.</summary>
    public static bool TryFind(ReadOnlySpan<char> cookies, ReadOnlySpan<char> name, out ReadOnlySpan<char> value)
    {
        while (cookies.Length > 0)
        {
            var end = cookies.IndexOf(';');
            var cookie = (end < 0 ? cookies : cookies[..end]).Trim(' ');
            if (cookie.Length > name.Length + 1 && cookie[name.Length] == '=' && cookie.StartsWith(name, StringComparison.Ordinal))
            {
                value = cookie[(name.Length + 1)..];
                return true;
            }
            if (end < 0) break;
            cookies = cookies[(end + 1)..];
        }
        value = default;
        return false;
    }
}
