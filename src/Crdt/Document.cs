using System.Diagnostics.CodeAnalysis;
using RequestTable = ShardCloud.Crdt.TableValue<ShardCloud.Crdt.RequestKey, ShardCloud.Crdt.RequestRecord>;

namespace ShardCloud.Crdt;

/// <summary>State document of an endpoint: named fields, completion records, and one causal context for all of them. Immutable, so safe to share.</summary>
/// <remarks>
/// Invariant: every live dot is in <see cref="Context"/>. A dot that is in the context and not live was removed; this absence replaces a tombstone.
/// A document with one counter takes 240 bytes of memory (bench/Micro, documents). Who joins many deltas uses <see cref="LiveDocument"/>.
/// </remarks>
public sealed class Document
{
    /// <summary>Nothing seen yet.</summary>
    public static readonly Document Empty = new(CausalContext.Empty, MapValue.Empty, new RequestTable(default));

    private int _encodedSize;

    internal Document(CausalContext context, MapValue root, RequestTable requests) => (Context, Root, RequestTable) = (context, root, requests);

    /// <summary>Every dot ever seen, live or removed.</summary>
    public CausalContext Context { get; }

    /// <summary>The named fields.</summary>
    public OrMap Fields => new(Root);

    /// <summary>All completion records, by request id.</summary>
    public IEnumerable<RequestRecord> Requests
    {
        get
        {
            for (var at = default(Table<RequestKey, RequestRecord>.Cursor); RequestTable.Entries.IsAt(at); at = RequestTable.Entries.Next(at))
                yield return RequestTable.Entries[at].Value;
        }
    }

    /// <summary>How many completion records.</summary>
    public int RequestCount => RequestTable.Entries.Count;

    /// <summary>True when nothing was ever written. A document whose fields were all removed is not empty: it still knows what was removed.</summary>
    public bool IsEmpty => Context.IsEmpty;

    /// <summary>True when it holds nothing, or nothing any more: no field, no completion record. All that it may still know is what was removed.</summary>
    public bool IsSpent => Root.Entries.Count == 0 && RequestTable.Entries.Count == 0;

    /// <summary>Bytes it takes encoded. Exact up to 128 epochs and without folded epochs or fields of unknown type; beyond that a close estimate. Cost: O(epochs + fields) once.</summary>
    public int EncodedSize => _encodedSize != 0 ? _encodedSize : _encodedSize = 1 + Wire.SizeOf(Context) + Root.Weight + RequestTable.Weight;

    internal MapValue Root { get; }

    internal RequestTable RequestTable { get; }

    /// <summary>The first sequence its owner may use under the epoch: one above the highest seen.</summary>
    public long NextSequence(Epoch epoch) => Context.HighestOf(epoch) + 1;

    /// <summary>The recorded answer of a request. Two answers exist only after a split; then the one with the highest dot counts. Cost: O(log records).</summary>
    public bool TryGetRequest(string id, [NotNullWhen(true)] out RequestRecord? record) => TryGetRequest(RequestTable, id, out record);

    /// <summary>Takes in a delta. Same as joining with what it carries.</summary>
    public static Document Join(Document state, Delta delta) => Join(state, delta.Changes);

    /// <summary>Least upper bound: commutative, associative, idempotent, so deltas may be lost and resent, reordered or repeated.</summary>
    /// <returns>A new document, which shares with the left one what did not change; the left one itself when nothing did.</returns>
    public static Document Join(Document left, Document right)
    {
        if (ReferenceEquals(left, right) || right.IsEmpty) return left;
        if (left.IsEmpty) return right;
        var joined = new LiveDocument(left, snapshot: left);
        joined.Join(right);
        return joined.Snapshot();
    }

    /// <summary>Folds closed epochs: one number in the context instead of a range for each, one entry in each counter instead of one for each.</summary>
    /// <remarks>Reads the same as before. Allowed only under the conditions of <see cref="CausalContext.Fold"/>, which this calls.</remarks>
    public Document Fold(Epoch closed)
    {
        var context = Context.Fold(closed);
        return context == Context ? this : new Document(context, (MapValue)Root.Fold(closed, Stamps.Next()), RequestTable);
    }

    /// <summary>True when both hold the same: context, fields and records. Equal documents encode to equal bytes.</summary>
    public bool SameAs(Document other) => ReferenceEquals(this, other) ||
        (Context == other.Context && Root.SameAs(other.Root) && RequestTable.SameAs(other.RequestTable));

    /// <inheritdoc/>
    public override string ToString() => $"{Fields.Count} fields, {RequestCount} requests, seen {Context}";

    internal void CollectDots(ref DotList dots)
    {
        Root.CollectDots(ref dots);
        RequestTable.CollectDots(ref dots);
    }

    internal static bool TryGetRequest(RequestTable table, string id, [NotNullWhen(true)] out RequestRecord? record)
    {
        record = null;
        table.Entries.Find(new RequestKey(id, default), out var at);
        for (; table.Entries.IsAt(at) && table.Entries[at].Key.Id == id; at = table.Entries.Next(at)) record = table.Entries[at].Value;
        return record is not null;
    }
}
