using System.Globalization;

namespace ShardCloud.Routing;

/// <summary>What a map entry is about: one placed endpoint, or a range of slots (with every endpoint in them that is not placed).</summary>
/// <remarks>Text form: <c>rooms/1</c>, or <c>slots:0-1023</c> with both ends inclusive.</remarks>
public readonly record struct EntryKey
{
    /// <summary>Start of the text form of a slot range; no endpoint key starts so.</summary>
    public const string SlotsPrefix = "slots:";

    private EntryKey(EndpointId endpoint, SlotRange slots) => (Endpoint, Slots) = (endpoint, slots);

    /// <summary>The endpoint; default for a slot range.</summary>
    public EndpointId Endpoint { get; }

    /// <summary>The slots; empty for an endpoint.</summary>
    public SlotRange Slots { get; }

    /// <summary>True for one endpoint; false for slots, and for <c>default</c>, which is what a search finds that finds nothing.</summary>
    public bool IsEndpoint => Slots.Count == 0 && Endpoint != default;

    /// <summary>Entry of an endpoint.</summary>
    public static EntryKey Of(EndpointId endpoint) => new(endpoint, default);

    /// <summary>Entry of a slot range.</summary>
    /// <exception cref="ShardCloudException">SC1001: empty, or past the last slot.</exception>
    public static EntryKey Of(SlotRange slots) => slots is { Count: > 0, First: >= 0, End: <= Slot.Count } ? new(default, slots) : throw Bad(slots.ToString());

    /// <summary>Reads the text form; the endpoint must be normalised already.</summary>
    /// <exception cref="ShardCloudException">SC1001: neither an endpoint nor a slot range.</exception>
    public static EntryKey Parse(string text)
    {
        if (!text.StartsWith(SlotsPrefix, StringComparison.Ordinal)) return Of(new EndpointId(text));
        var range = text.AsSpan(SlotsPrefix.Length);
        var dash = range.IndexOf('-');
        return dash > 0
            && int.TryParse(range[..dash], NumberStyles.None, CultureInfo.InvariantCulture, out var first)
            && int.TryParse(range[(dash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var last) && last >= first
            ? Of(new SlotRange(first, last - first + 1))
            : throw Bad(text);
    }

    /// <summary>True when the endpoint with this key hash belongs to the entry, given that it is not placed if the entry is a slot range.</summary>
    public bool Covers(ulong keyHash) => IsEndpoint ? Endpoint.KeyHash == keyHash : Slots.Contains(Slot.Of(keyHash));

    /// <summary>Event Hub partitions that hold its endpoints, of so many.</summary>
    public IEnumerable<int> Partitions(int partitionCount) => IsEndpoint ? [Endpoint.Slot.PartitionOf(partitionCount)] : Slots.CutAtPartitions(partitionCount).Select(piece => piece.Partition);

    /// <inheritdoc/>
    public override string ToString() => IsEndpoint ? Endpoint.Value : string.Create(CultureInfo.InvariantCulture, $"{SlotsPrefix}{Slots.First}-{Slots.End - 1}");

    private static ShardCloudException Bad(string text) => new(ErrorCodes.BadEndpoint,
        $"'{text}' is not a slot range: expected slots:first-last within 0 to {Slot.Count - 1}.", "Write for example 'slots:0-1023', or name one endpoint.");
}
