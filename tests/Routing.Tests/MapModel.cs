namespace ShardCloud.Routing.Tests;

/// <summary>The routing map again, as plainly as it can be said: dictionaries, no sharing. Knows preconditions and effects.</summary>
internal sealed class MapModel
{
    public sealed record Entry(string Owner, long Epoch, string? To = null, long Handoff = 0);

    public Dictionary<int, Entry> Slots { get; } = [];
    public Dictionary<string, Entry> Placed { get; } = [];
    public HashSet<string> Live { get; } = [];
    public HashSet<string> Fenced { get; } = [];

    public Entry? Lookup(EndpointId endpoint) => Placed.GetValueOrDefault(endpoint.Value) ?? Slots.GetValueOrDefault(endpoint.Slot.Value);

    public bool Try(MapOperation operation, long version)
    {
        switch (operation)
        {
            case Join o:
                if (Fenced.Contains(o.Member.Incarnation.Value)) return false;
                Live.Add(o.Member.Incarnation.Value);
                return true;
            case Fence o:
                return Live.Remove(o.Incarnation.Value) && Fenced.Add(o.Incarnation.Value);
            case GrantSlots o:
                return Live.Contains(o.Owner.Value) && Change([EntryKey.Of(o.Slots)], e => e is null, _ => new Entry(o.Owner.Value, version));
            case PlanMove o:
                return o.From != o.To && Live.Contains(o.From.Value) && Live.Contains(o.To.Value)
                    && Change(o.Entries, e => e is { To: null } && e.Owner == o.From.Value, e => e! with { To = o.To.Value, Handoff = version });
            case GrantMove o:
                return Live.Contains(o.To.Value) && Change(o.Entries, e => e?.To == o.To.Value && e.Handoff == o.Handoff.Value, _ => new Entry(o.To.Value, version));
            case CancelMove o:
                return Change(o.Entries, e => e?.To is not null && e.Handoff == o.Handoff.Value, e => new Entry(e!.Owner, e.Epoch));
            case ReGrant o:
                return Live.Contains(o.Owner.Value) && Change(o.Entries, e => e is not null && (e.Owner == o.Owner.Value || !Live.Contains(e.Owner)), _ => new Entry(o.Owner.Value, version));
            case ReturnToSlot o:
                if (!o.Endpoints.All(e => Placed.TryGetValue(e.Value, out var p) && p.To is null && Slots.TryGetValue(e.Slot.Value, out var s) && s.To is null && s.Owner == p.Owner)) return false;
                foreach (var endpoint in o.Endpoints)
                {
                    Placed.Remove(endpoint.Value);
                    Slots[endpoint.Slot.Value] = new Entry(Slots[endpoint.Slot.Value].Owner, version);
                }
                return true;
            case Redirect o:
                if (Live.Contains(o.From.Value) || !Live.Contains(o.To.Value)) return false;
                foreach (var slot in Slots.Keys.ToList()) if (Slots[slot].Owner == o.From.Value) Slots[slot] = new Entry(o.To.Value, version);
                foreach (var name in Placed.Keys.ToList()) if (Placed[name].Owner == o.From.Value) Placed[name] = new Entry(o.To.Value, version);
                return true;
            default:
                throw new InvalidOperationException(operation.GetType().Name);
        }
    }

    private bool Change(IReadOnlyList<EntryKey> keys, Func<Entry?, bool> may, Func<Entry?, Entry> change)
    {
        foreach (var key in keys)
        {
            if (key.IsEndpoint ? !may(Lookup(key.Endpoint)) : !Enumerable.Range(key.Slots.First, key.Slots.Count).All(s => may(Slots.GetValueOrDefault(s)))) return false;
        }
        foreach (var key in keys)
        {
            if (key.IsEndpoint) Placed[key.Endpoint.Value] = change(Lookup(key.Endpoint));
            else for (var slot = key.Slots.First; slot < key.Slots.End; slot++) Slots[slot] = change(Slots.GetValueOrDefault(slot));
        }
        return true;
    }
}
