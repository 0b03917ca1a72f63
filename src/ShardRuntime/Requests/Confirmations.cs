using System.Collections.Concurrent;

namespace ShardCloud.ShardRuntime.Requests;

/// <summary>Ids whose answers have arrived, on their way to the endpoint's owner, which then drops the records. Kept by endpoint.</summary>
/// <remarks>One table for both sides of a leg: here they wait for the next leg, at the owner for the next write. Best effort: past a bound, or lost with a leg, an id is forgotten here and its record simply expires at the owner.</remarks>
public sealed class Confirmations
{
    /// <summary>Endpoints with something to confirm, at most; past it new ones are forgotten.</summary>
    public const int EndpointsMax = 10_000;

    /// <summary>Ids an endpoint, at most.</summary>
    public const int PerEndpointMax = 256;

    /// <summary>Ids in one header, at most.</summary>
    public const int PerLegMax = 32;

    private readonly ConcurrentDictionary<EndpointId, List<string>> _waiting = new();

    /// <summary>Notes that an answer arrived.</summary>
    public void Add(EndpointId endpoint, string id)
    {
        if (!_waiting.TryGetValue(endpoint, out var ids))
        {
            if (_waiting.Count >= EndpointsMax) return;
            ids = _waiting.GetOrAdd(endpoint, static _ => []);
        }
        lock (ids)
        {
            if (ids.Count < PerEndpointMax) ids.Add(id);
        }
    }

    /// <summary>Takes up to <paramref name="most"/> ids away; empty when there are none.</summary>
    public IReadOnlyList<string> Take(EndpointId endpoint, int most = PerLegMax)
    {
        if (!_waiting.TryGetValue(endpoint, out var ids)) return [];
        lock (ids)
        {
            if (ids.Count > most)
            {
                var some = ids.GetRange(0, most);
                ids.RemoveRange(0, most);
                return some;
            }
            var all = ids.ToArray();
            ids.Clear();
            // A racing Add may still hold this list: what it adds is forgotten, which the class allows.
            _waiting.TryRemove(new KeyValuePair<EndpointId, List<string>>(endpoint, ids));
            return all;
        }
    }
}
