using System.Collections.Concurrent;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>The legs attached at this member, by connection.</summary>
internal sealed class OwnedLegs(IMapView maps, IHandoffTable handoffs, IEndpointStates states, ILeaseView lease, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, Attached> _legs = new(StringComparer.Ordinal);

    /// <summary>Attached now.</summary>
    public int Count => _legs.Count;

    /// <summary>Attaches a leg; an earlier one of the same connection is ended first.</summary>
    /// <param name="leg">The leg.</param>
    /// <param name="endpoint">Its endpoint; <c>default</c>: none.</param>
    /// <param name="owned">What the endpoint is held under; null for none.</param>
    public async Task AttachAsync(OwnedLeg leg, EndpointId endpoint, IOwnedState? owned)
    {
        var (id, attached) = (leg.Dial.Connection, new Attached(leg, endpoint, owned));
        while (!_legs.TryAdd(id, attached))
        {
            if (!_legs.TryGetValue(id, out var earlier)) continue;
            if (IsOlder(leg, earlier.Leg))
            {
                leg.Lose();
                return;
            }
            if (!_legs.TryUpdate(id, attached, earlier)) continue;
            earlier.Leg.Lose();
            // What still runs for it ends first, or has had the time to: two handlers of one connection would see its messages twice.
            await Task.WhenAny(earlier.Leg.Ended, Task.Delay(OwnedLeg.AnswerWithin, time, leg.Over));
            break;
        }
        // Whom a seal's drain did not see here sees the seal.
        if (owned is not null && handoffs.Look(endpoint).Role is HandoffRole.SealedSource) leg.Move(maps.Current.Version);
        else if (IsClosing) leg.Move(MapVersion.None);
    }

    /// <summary>The leg is over.</summary>
    public void Detach(OwnedLeg leg)
    {
        if (_legs.TryGetValue(leg.Dial.Connection, out var attached) && attached.Leg == leg) _legs.TryRemove(new(leg.Dial.Connection, attached));
    }

    /// <summary>How many are attached to each endpoint now.</summary>
    public IReadOnlyDictionary<EndpointId, int> CountByEndpoint() =>
        _legs.Values.Where(attached => attached.Owned is not null).GroupBy(attached => attached.Endpoint).ToDictionary(of => of.Key, of => of.Count());

    /// <summary>True while the connection has a leg here.</summary>
    public bool Has(string connection) => _legs.ContainsKey(connection);

    /// <summary>(7) Moves the legs of the covered endpoints.</summary>
    /// <returns>Those that were told.</returns>
    public IReadOnlyList<OwnedLeg> Move(Func<EndpointId, bool> covers)
    {
        List<OwnedLeg> moved = [.. _legs.Values.Where(a => a.Owned is not null && covers(a.Endpoint)).Select(a => a.Leg)];
        foreach (var leg in moved) leg.Move(maps.Current.Version);
        return moved;
    }

    /// <summary>This process ends and attaches none any more.</summary>
    public bool IsClosing { get; private set; }

    /// <summary>This process ends: every carrier goes elsewhere, and who dials here again is refused, or its legs would hold the listeners until the end.</summary>
    public void MoveAll()
    {
        IsClosing = true;
        foreach (var attached in _legs.Values) attached.Leg.Move(MapVersion.None);
    }

    /// <summary>Ends the legs of endpoints that this member holds no longer. What a leg shows rests on releases, so this only lets go what is over already.</summary>
    public void LoseWhatIsGone()
    {
        foreach (var attached in _legs.Values)
        {
            if (attached.Owned is { } owned && !IsHeld(attached.Endpoint, owned)) attached.Leg.Lose();
        }
    }

    private bool IsHeld(EndpointId endpoint, IOwnedState owned) =>
        handoffs.Look(endpoint).Role is HandoffRole.SealedSource // Its drain ends them, with Moved.
        || (states.TryOpen(endpoint, out var now) && now.Epoch == owned.Epoch && now.MayServe(lease));

    /// <summary>Dials of one carrier are counted; a client that resumes comes through another one, which begins anew.</summary>
    private static bool IsOlder(OwnedLeg leg, OwnedLeg than) => !leg.Dial.Flags.HasFlag(Legs.DialFlags.HasToken) && leg.Dial.Attempt < than.Dial.Attempt;

    private sealed record Attached(OwnedLeg Leg, EndpointId Endpoint, IOwnedState? Owned);
}
