using System.Diagnostics.CodeAnalysis;
using RequestTable = ShardCloud.Crdt.SortedTable<ShardCloud.Crdt.RequestKey, ShardCloud.Crdt.RequestRecord>;

namespace ShardCloud.Crdt;

/// <summary>A handler's unit of work: reads see its own changes, nobody else sees them before <see cref="Commit"/>, and a request's record commits with its changes.</summary>
/// <remarks>
/// Spends dots first, first + 1, … of one epoch. Changing one place several times spends one dot, except that what is added and removed again
/// in one transaction leaves a spent dot behind. Not thread-safe. Dropping it without a commit changes nothing.
/// </remarks>
public sealed class DocumentTransaction
{
    private readonly Document _snapshot;
    private readonly long _first;
    private readonly List<Dot> _removed = [];
    private OrMap _changes = OrMap.Empty;
    private RequestTable _requests;
    private RequestTable _changedRequests = RequestTable.Empty;
    private long _next;
    private bool _isCommitted;

    /// <summary>Starts on top of a document.</summary>
    /// <param name="snapshot">What the handler sees.</param>
    /// <param name="epoch">The owner's epoch.</param>
    /// <param name="nextSequence">First dot to spend: 1 for a new epoch, else what the last commit returned.</param>
    /// <exception cref="ArgumentOutOfRangeException">The document has already seen this or a later dot of the epoch: a dot spent twice would delete data.</exception>
    public DocumentTransaction(Document snapshot, Epoch epoch, long nextSequence)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(nextSequence, snapshot.NextSequence(epoch));
        ArgumentOutOfRangeException.ThrowIfLessThan(epoch.Value, 0, nameof(epoch));
        (_snapshot, Epoch, _first, _next) = (snapshot, epoch, nextSequence, nextSequence);
        (WorkingFields, _requests) = (snapshot.Fields, snapshot.RequestTable);
    }

    /// <summary>The epoch it writes under.</summary>
    public Epoch Epoch { get; }

    /// <summary>True when a commit would change the document.</summary>
    public bool HasChanges => _next > _first || _removed.Count > 0;

    /// <summary>The fields with this transaction's changes in them.</summary>
    public OrMap Fields => WorkingFields;

    internal OrMap WorkingFields { get; private set; }

    /// <summary>The counter of this name; it comes into being with the first change.</summary>
    /// <exception cref="ShardCloudException">SC3001: the name holds another type. SC3002: the name is empty or too long.</exception>
    public CounterHandle Counter(string name) => new(this, Open([], name, FieldKind.Counter));

    /// <summary>The set of this name.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public SetHandle Set(string name) => new(this, Open([], name, FieldKind.Set));

    /// <summary>The register of this name.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public RegisterHandle Register(string name) => new(this, Open([], name, FieldKind.Register));

    /// <summary>The map of this name.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public MapHandle Map(string name) => new(this, Open([], name, FieldKind.Map));

    /// <summary>The recorded answer of a request, one of this transaction's own included.</summary>
    public bool TryGetRequest(string id, [NotNullWhen(true)] out RequestRecord? record) => Document.TryGetRequest(_requests, id, out record);

    /// <summary>Records an answer; it replaces one of the same id.</summary>
    /// <exception cref="ShardCloudException">SC3002: the id is empty, or it or the content type is too long.</exception>
    public void AddRequestRecord(RequestRecord record)
    {
        CheckName(record.Id, "request id");
        if (record.ContentType.Length > 0) CheckName(record.ContentType, "content type");
        DropRequestRecord(record.Id);
        var key = new RequestKey(record.Id, Issue());
        _requests = _requests.Set(key, record);
        _changedRequests = _changedRequests.Set(key, record);
    }

    /// <summary>Forgets an answer.</summary>
    /// <returns>False when there was none.</returns>
    public bool DropRequestRecord(string id)
    {
        CheckOpen();
        var before = _requests;
        for (var entry = before.From(new RequestKey(id, default)); entry.MoveNext() && entry.Current.Key.Id == id;)
        {
            _requests = _requests.Remove(entry.Current.Key);
            _changedRequests = _changedRequests.Remove(entry.Current.Key);
            Removed(entry.Current.Key.Dot);
        }
        return _requests != before;
    }

    /// <summary>Closes the unit of work.</summary>
    /// <param name="next">The document with the changes: the join of the snapshot and the delta.</param>
    /// <param name="nextSequence">First dot of the next transaction under this epoch.</param>
    /// <returns>The delta; an empty one that issues no dot when nothing changed.</returns>
    /// <exception cref="ShardCloudException">
    /// SC3003: the delta is over <see cref="Limits.DeltaBytesMax"/>. SC3004: the document would be over <see cref="Limits.DocumentBytesMax"/> and
    /// larger than before (a transaction that shrinks it always passes). Nothing was changed.
    /// </exception>
    public Delta Commit(out Document next, out long nextSequence)
    {
        CheckOpen();
        if (!HasChanges)
        {
            _isCommitted = true;
            (next, nextSequence) = (_snapshot, _first);
            return Delta.Of(Document.Empty, Epoch.None, 1, 0);
        }

        // A delta that only removes spends one dot on nothing, so that every delta leaves a trace in the contiguous maximum.
        var last = Math.Max(_next, _first + 1) - 1;
        var context = CausalContext.Of(_removed).Union(CausalContext.Of(new DotRange(Epoch, _first, last)));
        var delta = Delta.Of(new Document(context, _changes, _changedRequests), Epoch, _first, last);
        if (delta.EncodedSize > Limits.DeltaBytesMax) throw Errors.DeltaTooLarge(delta.EncodedSize);

        var changed = new Document(_snapshot.Context.Union(context), WorkingFields, _requests);
        if (changed.EncodedSize > Limits.DocumentBytesMax && changed.EncodedSize > _snapshot.EncodedSize) throw Errors.DocumentTooLarge(changed.EncodedSize);

        _isCommitted = true;
        (next, nextSequence) = (changed, last + 1);
        return delta;
    }

    internal FieldKey[] Open(FieldKey[] parent, string name, FieldKind kind)
    {
        CheckOpen();
        CheckName(name, parent.Length == 0 ? "field name" : "map key");
        if (parent.Length == Limits.MapDepthMax) throw Errors.TooDeep(name);
        FieldKey[] path = [.. parent, new FieldKey(name, kind)];
        CheckKind(Parent(path), path[^1]);
        return path;
    }

    internal CrdtValue? Find(FieldKey[] path) => Parent(path).Find(path[^1].Name, path[^1].Kind);

    internal bool IsOwn(Dot dot) => dot.Epoch == Epoch && dot.Sequence >= _first;

    internal Dot Issue()
    {
        CheckOpen();
        if (_next > Dot.SequenceMax) throw new InvalidOperationException($"{Epoch} has spent all its dots.");
        return new Dot(Epoch, _next++);
    }

    /// <summary>A dot that is no longer live. One of this transaction's own needs no mention: it is spent, and in the delta's context anyway.</summary>
    internal void Removed(Dot dot)
    {
        CheckOpen();
        if (!IsOwn(dot)) _removed.Add(dot);
    }

    /// <summary>Puts a value in its place and the changed part of it in the delta; null removes.</summary>
    internal void Put(FieldKey[] path, CrdtValue? value, CrdtValue? change)
    {
        WorkingFields = Put(WorkingFields, path, 0, value);
        _changes = Put(_changes, path, 0, change);
    }

    /// <summary>What the delta holds at a place.</summary>
    internal CrdtValue? Change(FieldKey[] path)
    {
        var map = _changes;
        foreach (var key in path.AsSpan(..^1)) map = map.Map(key.Name);
        return map.Find(path[^1].Name, path[^1].Kind);
    }

    /// <summary>A handle may be older than a change of the name's type in this transaction: checked again before a write.</summary>
    internal void CheckWritable(FieldKey[] path)
    {
        CheckOpen();
        var map = WorkingFields;
        foreach (var key in path)
        {
            CheckKind(map, key);
            map = map.Map(key.Name);
        }
    }

    private static OrMap Put(OrMap map, FieldKey[] path, int depth, CrdtValue? value) => depth == path.Length - 1
        ? map.With(path[depth], value)
        : map.With(path[depth], Put(map.Map(path[depth].Name), path, depth + 1, value));

    private static void CheckKind(OrMap map, FieldKey key)
    {
        if (map.Find(key.Name, key.Kind) is not null) return;
        var existing = map.Entries.From(new FieldKey(key.Name, default));
        if (existing.MoveNext() && existing.Current.Key.Name == key.Name) throw Errors.WrongType(key.Name, existing.Current.Key.Kind, key.Kind);
    }

    private static void CheckName(string name, string what)
    {
        if (name.Length == 0 || Value.Utf8.GetByteCount(name) > Limits.NameBytesMax) throw Errors.BadName(what, name);
    }

    private OrMap Parent(FieldKey[] path)
    {
        var map = WorkingFields;
        foreach (var key in path.AsSpan(..^1)) map = map.Map(key.Name);
        return map;
    }

    private void CheckOpen()
    {
        if (_isCommitted) throw new InvalidOperationException("The transaction is committed; start a new one.");
    }
}
