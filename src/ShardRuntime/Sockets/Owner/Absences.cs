using System.Collections.Concurrent;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>Since when this owner has seen connections without a leg. Begins anew at every owner: a move or crash must not shorten a client's time to come back.</summary>
internal sealed class Absences(TimeProvider time)
{
    private readonly ConcurrentDictionary<(EndpointId Endpoint, string Connection), long> _since = new();

    /// <summary>It has no leg now.</summary>
    /// <returns>For how long that was seen.</returns>
    public TimeSpan Seen(EndpointId endpoint, string connection) => time.GetElapsedTime(_since.GetOrAdd((endpoint, connection), static (_, time) => time.GetTimestamp(), time));

    /// <summary>It is dialled, or attached. Called in the endpoint's turn by a dial, so that the sweep's own turn sees it.</summary>
    public void Ends(EndpointId endpoint, string connection) => _since.TryRemove((endpoint, connection), out _);

    /// <summary>True while no dial has come since <see cref="Seen"/>.</summary>
    public bool IsSeen(EndpointId endpoint, string connection) => _since.ContainsKey((endpoint, connection));

    /// <summary>Forgets what is not among these.</summary>
    public void KeepOnly(IReadOnlySet<(EndpointId, string)> absent)
    {
        foreach (var key in _since.Keys)
        {
            if (!absent.Contains(key)) _since.TryRemove(key, out _);
        }
    }
}
