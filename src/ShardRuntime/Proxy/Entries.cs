using System.Text.Json;
using ShardCloud.Contracts;
using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>The effective entry of an endpoint as one decision uses it: from the map, or newer from another member's refusal.</summary>
public readonly record struct EntryView(MapVersion Version, IncarnationId Owner, Epoch Epoch, IncarnationId To, HandoffId Handoff, string? OwnerAddress)
{
    /// <summary>The entry of a map.</summary>
    public static EntryView Of(RoutingMap map, ulong keyHash)
    {
        if (map.Lookup(keyHash) is not { } entry) return new EntryView(map.Version, default, default, default, default, null);
        return new EntryView(map.Version, entry.Owner, entry.Epoch, entry.To, entry.Handoff, map.Live.TryGetValue(entry.Owner, out var owner) ? owner.MemberAddress : null);
    }

    /// <summary>As it travels in <c>X-Shard-Entry</c>.</summary>
    public string ToHeader() => JsonSerializer.Serialize(new WireEntry(Version.Value, Owner.Value, Epoch.Value,
        To.IsNone ? null : To.Value, Handoff == HandoffId.None ? null : Handoff.Value, OwnerAddress), MemberJson.Default.WireEntry);

    /// <summary>Reads what <see cref="ToHeader"/> wrote; null for anything else.</summary>
    public static EntryView? FromHeader(string header)
    {
        try
        {
            if (JsonSerializer.Deserialize(header, MemberJson.Default.WireEntry) is not { } wire) return null;
            return new EntryView(new MapVersion(wire.Version), string.IsNullOrEmpty(wire.Owner) ? default : new IncarnationId(wire.Owner), new Epoch(wire.Epoch),
                wire.To is null ? default : new IncarnationId(wire.To), wire.Handoff is { } handoff ? new HandoffId(handoff) : HandoffId.None, wire.Address);
        }
        catch (Exception error) when (error is JsonException or ShardCloudException or ArgumentException)
        {
            return null; // Another version's header: the sender waits for the map instead.
        }
    }
}
