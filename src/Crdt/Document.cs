using System.Diagnostics.CodeAnalysis;
using RequestTable = ShardCloud.Crdt.SortedTable<ShardCloud.Crdt.RequestKey, ShardCloud.Crdt.RequestRecord>;

namespace ShardCloud.Crdt;

/// <summary>State document of an endpoint: named fields, completion records, and one causal context for all of them. Immutable, so safe to share.</summary>
/// <remarks>
/// Invariant: every live dot is in <see cref="Context"/>. A dot that is in the context and not live was removed; this absence replaces a tombstone.
/// </remarks>
public sealed class Document
{
    /// <summary>Nothing seen yet.</summary>
    public static readonly Document Empty = new(CausalContext.Empty, OrMap.Empty, RequestTable.Empty);

    private int _encodedSize;

    internal Document(CausalContext context, OrMap fields, RequestTable requests) => (Context, Fields, RequestTable) = (context, fields, requests);

    /// <summary>Every dot ever seen, live or removed.</summary>
    public CausalContext Context { get; }

    /// <summary>The named fields.</summary>
    public OrMap Fields { get; }

    /// <summary>All completion records, by request id.</summary>
    public IEnumerable<RequestRecord> Requests => RequestTable.Select(entry => entry.Value);

    /// <summary>How many completion records.</summary>
    public int RequestCount => RequestTable.Count;

    /// <summary>True when nothing was ever written. A document whose fields were all removed is not empty: it still knows what was removed.</summary>
    public bool IsEmpty => Context.IsEmpty;

    /// <summary>Bytes it takes encoded. Exact up to 128 epochs and without fields of unknown type; beyond that a close estimate. Cost: O(epochs) once.</summary>
    public int EncodedSize => _encodedSize != 0 ? _encodedSize :
        _encodedSize = 1 + Wire.SizeOf(Context) + Fields.Weight + Wire.SizeOf((ulong)RequestTable.Count) + RequestTable.Weight;

    internal RequestTable RequestTable { get; }

    /// <summary>The first sequence its owner may use under the epoch: one above the highest seen.</summary>
    public long NextSequence(Epoch epoch) => Context.HighestOf(epoch) + 1;

    /// <summary>The recorded answer of a request. Two answers exist only after a split; then the one with the highest dot counts. Cost: O(log records).</summary>
    public bool TryGetRequest(string id, [NotNullWhen(true)] out RequestRecord? record) => TryGetRequest(RequestTable, id, out record);

    /// <summary>Takes in a delta. Same as joining with what it carries.</summary>
    /// <remarks>Cost: O(changed entries x log n), plus one scan of the live dots when the delta removes something from a place it does not name.</remarks>
    public static Document Join(Document state, Delta delta) => Join(state, delta.Changes);

    /// <summary>Least upper bound: commutative, associative, idempotent, so deltas may be lost and resent, reordered or repeated.</summary>
    public static Document Join(Document left, Document right)
    {
        if (ReferenceEquals(left, right) || right.IsEmpty) return left;
        if (left.IsEmpty) return right;

        // Places that the right side names.
        var pass = new JoinPass(left.Context, right.Context);
        var fields = left.Fields.JoinFields(right.Fields, pass);
        var requests = DottedTables.Join(left.RequestTable, right.RequestTable, pass);

        // Places it does not name: a removal there shows only in its context.
        if (!pass.IsFinished)
        {
            var removed = new RemovedBy(right.Context, right.LiveDots());
            fields = fields.WhereFields(removed);
            requests = DottedTables.Where(requests, removed);
        }

        var context = left.Context.Union(right.Context);
        return fields == left.Fields && requests == left.RequestTable && context == left.Context ? left : new Document(context, fields, requests);
    }

    /// <summary>True when both hold the same: context, fields and records. Equal documents encode to equal bytes.</summary>
    public bool SameAs(Document other) => ReferenceEquals(this, other) ||
        (Context == other.Context && Fields.SameAs(other.Fields) && Tables.Same(RequestTable, other.RequestTable, static (l, r) => l.Equals(r)));

    /// <inheritdoc/>
    public override string ToString() => $"{Fields.Count} fields, {RequestCount} requests, seen {Context}";

    internal HashSet<Dot> LiveDots() => new(CollectDots());

    internal List<Dot> CollectDots()
    {
        var dots = new List<Dot>(Fields.Count + RequestTable.Count);
        Fields.CollectDots(dots);
        foreach (var (key, _) in RequestTable) dots.Add(key.Dot);
        return dots;
    }

    internal static bool TryGetRequest(RequestTable table, string id, [NotNullWhen(true)] out RequestRecord? record)
    {
        record = null;
        for (var entry = table.From(new RequestKey(id, default)); entry.MoveNext() && entry.Current.Key.Id == id;) record = entry.Current.Value;
        return record is not null;
    }
}
