using System.Collections.Immutable;
using System.IO.Compression;
using System.Text.Json;

namespace ShardCloud.Routing;

/// <summary>A whole map as bytes: gzip of one JSON document. Reading it equals replaying every change up to its version.</summary>
public static class MapSnapshot
{
    /// <summary>Bytes of a map; the same map gives the same bytes.</summary>
    public static byte[] Write(RoutingMap map)
    {
        var entries = new List<SnapshotEntry>();
        var indexes = new Dictionary<MapEntry, int>();
        int IndexOf(MapEntry entry)
        {
            if (indexes.TryGetValue(entry, out var index)) return index;
            entries.Add(new SnapshotEntry(entry.Owner, entry.Epoch.Value, entry.To, entry.Handoff.Value));
            return indexes[entry] = entries.Count - 1;
        }

        var parts = map.Parts;
        var slots = map.SlotRuns.Select(run => new SnapshotSlots(run.Slots, IndexOf(run.Entry))).ToList();
        var placed = map.Placed.OrderBy(p => p.Endpoint.Value, StringComparer.Ordinal).Select(p => new SnapshotPlaced(p.Endpoint, IndexOf(p.Entry))).ToList();
        var json = MapJson.WriteSnapshot(new SnapshotFile(
            MapJson.Format, map.Version, map.PartitionCount, map.LogIdentity,
            [.. map.Live.Values.OrderBy(m => m.Incarnation.Value, StringComparer.Ordinal)], map.Fenced, [.. parts.Cordoned.OrderBy(s => s.Value, StringComparer.Ordinal)],
            parts.Published.ToDictionary(p => p.Key, p => p.Value.Specs), entries, slots, placed,
            [.. map.Backups.Select(b => new SnapshotBackup(b.Partition, b.Owner, b.Backup))], map.Level));

        using var bytes = new MemoryStream();
        using (var gzip = new GZipStream(bytes, CompressionLevel.Fastest)) gzip.Write(json);
        return bytes.ToArray();
    }

    /// <summary>The map of a snapshot.</summary>
    /// <exception cref="ShardCloudException">SC1011: not a snapshot that this member understands.</exception>
    public static RoutingMap Read(Stream snapshot)
    {
        try
        {
            using var gzip = new GZipStream(snapshot, CompressionMode.Decompress);
            using var json = new MemoryStream();
            gzip.CopyTo(json);
            var file = MapJson.ReadSnapshot(json.GetBuffer().AsSpan(0, (int)json.Length));
            return file is { F: MapJson.Format } ? Build(file) : throw MapJson.Unreadable($"a snapshot has format {file?.F}", null);
        }
        catch (Exception error) when (error is JsonException or InvalidDataException or NotSupportedException or ArgumentException)
        {
            throw MapJson.Unreadable(error.Message, error);
        }
    }

    private static RoutingMap Build(SnapshotFile file)
    {
        var entries = file.Entries.Select(e => new MapEntry(e.O, new Epoch(e.E), e.T, new HandoffId(e.H))).ToArray();
        var slots = new MapEntry?[Slot.Count];
        foreach (var run in file.Slots) slots.AsSpan(run.S.First, run.S.Count).Fill(entries[run.E]);
        var live = file.Live.ToImmutableDictionary(m => m.Incarnation);
        var published = file.Templates.ToImmutableSortedDictionary(t => t.Key, t => new TemplateTable(t.Value), StringComparer.Ordinal);
        return new RoutingMap(new MapParts
        {
            Version = file.V,
            PartitionCount = file.Partitions,
            LogIdentity = file.Log,
            Level = Math.Max(1, file.Level),
            Slots = slots,
            Base = PlacedTable.Empty.With([.. file.Placed.Select(p => new PlacedItem(p.K.KeyHash, p.K, entries[p.E]))], dropRemoved: false),
            Live = live,
            Fenced = [.. file.Fenced],
            Cordoned = [.. file.Cordoned],
            Backups = file.Backups.ToImmutableDictionary(b => (b.P, b.O), b => b.B),
            Published = published,
            Templates = MapBuilder.Effective(published, live),
        });
    }
}
