using System.Collections.Concurrent;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>Since when this owner has seen connections without a leg. Begins anew at every owner: a move or crash must not shorten a client's time to come back.</summary>
internal sealed class Absences(TimeProvider time)
{
    private readonly ConcurrentDictionary<(EndpointId Endpoint, string Connection), long> _since = new();
    private readonly HashSet<(EndpointId, string)> _round = [];

    /// <summary>The sweep begins to look. Its calls come one after the other; <see cref="Ends"/> comes from any thread.</summary>
    public void BeginRound() => _round.Clear();

    /// <summary>It has no leg now.</summary>
    /// <returns>For how long that was seen.</returns>
    public TimeSpan Seen(EndpointId endpoint, string connection)
    {
        _round.Add((endpoint, connection));
        return time.GetElapsedTime(_since.GetOrAdd((endpoint, connection), static (_, time) => time.GetTimestamp(), time));
    }

    /// <summary>It is dialled, or attached. Called in the endpoint's turn by a dial, so that the sweep's own turn sees it.</summary>
    public void Ends(EndpointId endpoint, string connection) => _since.TryRemove((endpoint, connection), out _);

    /// <summary>True while no dial has come since <see cref="Seen"/>.</summary>
    public bool IsSeen(EndpointId endpoint, string connection) => _since.ContainsKey((endpoint, connection));

    /// <summary>The sweep has looked everywhere: what it did not see without a leg is forgotten.</summary>
    public void EndRound()
    {
        foreach (var key in _since.Keys)
        {
            if (!_round.Contains(key)) _since.TryRemove(key, out _);
        }
    }
}
