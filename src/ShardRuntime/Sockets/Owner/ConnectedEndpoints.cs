using System.Collections.Concurrent;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>The endpoints that have attached connections here. An endpoint without any costs a failed look-up a change.</summary>
internal sealed class ConnectedEndpoints(OwnedSocketMetrics metrics)
{
    private static readonly Func<string, long> Nothing = static _ => 0;

    private readonly Lock _gate = new();
    private readonly ConcurrentDictionary<EndpointId, ConnectedEndpoint> _endpoints = new();

    /// <summary>What its connections have confirmed here.</summary>
    public Func<string, long> ConfirmedOf(EndpointId endpoint) => !_endpoints.IsEmpty && _endpoints.TryGetValue(endpoint, out var connected) ? connected.Confirmed : Nothing;

    /// <summary>A change was committed.</summary>
    public void Committed(EndpointState state, IOwnedState owned)
    {
        if (!state.HasSocketChanges) return;
        metrics.Held(state.Sockets.SendCount);
        metrics.TooSlow(state.Sockets.TooSlow);
        if (_endpoints.TryGetValue(state.Endpoint, out var connected)) connected.Changed(owned);
    }

    public ConnectedEndpoint Attach(EndpointId endpoint, StatefulLeg leg, IOwnedState owned)
    {
        lock (_gate)
        {
            var connected = _endpoints.GetOrAdd(endpoint, static _ => new ConnectedEndpoint());
            connected.Attach(leg, owned);
            return connected;
        }
    }

    public void Detach(EndpointId endpoint, StatefulLeg leg)
    {
        lock (_gate)
        {
            if (!_endpoints.TryGetValue(endpoint, out var connected) || !connected.Detach(leg)) return;
            _endpoints.TryRemove(endpoint, out _);
            connected.Dispose();
        }
    }
}
