using System.Runtime.InteropServices;
using RequestTable = ShardCloud.Crdt.TableValue<ShardCloud.Crdt.RequestKey, ShardCloud.Crdt.RequestRecord>;

namespace ShardCloud.Crdt;

/// <summary>A handler's unit of work: reads see its own changes, nobody else sees them before <see cref="Commit"/>, and a request's record commits with its changes.</summary>
/// <remarks>
/// Spends dots first, first + 1, … of one epoch. Changing one place several times spends one dot, except that what is added and removed again
/// in one transaction leaves a spent dot behind. Not thread-safe. Dropping it without a commit changes nothing.
/// </remarks>
public sealed class DocumentTransaction
{
    private readonly Document _snapshot;
    private readonly Func<ShardCloudException>? _readOnly;
    private readonly long _first;
    private readonly long _stamp = Stamps.Next();
    private List<Dot>? _removed;
    private MapValue _working;
    private MapValue _changes = MapValue.Empty;
    private RequestTable _requests;
    private RequestTable _changedRequests = Document.Empty.RequestTable;
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
        (_working, _requests) = (snapshot.Root, snapshot.RequestTable);
    }

    private DocumentTransaction(Document snapshot, Func<ShardCloudException> readOnly)
        : this(snapshot, Epoch.None, Dot.SequenceMax + 1) => _readOnly = readOnly;

    /// <summary>The epoch it writes under.</summary>
    public Epoch Epoch { get; }

    /// <summary>True when a commit would change the document.</summary>
    public bool HasChanges => _next > _first || _removed is { Count: > 0 };

    /// <summary>The fields with this transaction's changes in them.</summary>
    public OrMap Fields => new(_working);

    /// <summary>A view that reads like a transaction and refuses every write.</summary>
    /// <param name="snapshot">What it shows.</param>
    /// <param name="refusal">Makes the error of a write.</param>
    public static DocumentTransaction ReadOnly(Document snapshot, Func<ShardCloudException> refusal) => new(snapshot, refusal);

    /// <summary>Throws what any write would throw here.</summary>
    public void RequireWritable() => CheckOpen();

    /// <summary>The counter of this name; it comes into being with the first change.</summary>
    /// <exception cref="ShardCloudException">SC3001: the name holds another type. SC3002: the name is empty or too long.</exception>
    public CounterHandle Counter(string name) => new(this, Open([], name, FieldKind.Counter));

    /// <summary>The counter of this name that only grows.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public GrowCounterHandle GrowCounter(string name) => new(this, Open([], name, FieldKind.GrowCounter));

    /// <summary>The counter of this name that stays between a floor and a ceiling, both included.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public BoundedCounterHandle BoundedCounter(string name, long floor = 0, long ceiling = long.MaxValue) =>
        new(this, Open([], name, FieldKind.BoundedCounter), floor, ceiling);

    /// <summary>The set of this name in which adds win.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public SetHandle Set(string name) => new(this, Open([], name, FieldKind.Set));

    /// <summary>The set of this name in which removals win.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public RemoveWinsSetHandle RemoveWinsSet(string name) => new(this, Open([], name, FieldKind.RemoveWinsSet));

    /// <summary>The register of this name; the last write wins.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public RegisterHandle Register(string name) => new(this, Open([], name, FieldKind.Register));

    /// <summary>The register of this name that keeps concurrent writes.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public MultiValueRegisterHandle MultiValueRegister(string name) => new(this, Open([], name, FieldKind.MultiValueRegister));

    /// <summary>The flag of this name; enabling wins.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public FlagHandle Flag(string name) => new(this, Open([], name, FieldKind.Flag));

    /// <summary>The flag of this name; disabling wins.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public FlagHandle DisableWinsFlag(string name) => new(this, Open([], name, FieldKind.DisableWinsFlag));

    /// <summary>The map of this name.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public MapHandle Map(string name) => new(this, Open([], name, FieldKind.Map));

    /// <summary>The list of this name.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public ListHandle List(string name) => new(this, Open([], name, FieldKind.List));

    /// <summary>The map of this name whose entries have deadlines.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public ExpiringMapHandle ExpiringMap(string name) => new(this, Open([], name, FieldKind.ExpiringMap));

    /// <summary>The recorded answer of a request, own changes included.</summary>
    public bool TryGetRequest(string id, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out RequestRecord? record) => Document.TryGetRequest(_requests, id, out record);

    /// <summary>Records the answer of a request in the same delta as its changes. An earlier record of the id is replaced.</summary>
    /// <exception cref="ShardCloudException">SC3002: id or content type is longer than allowed, or the id is empty.</exception>
    public void AddRequestRecord(RequestRecord record)
    {
        CheckOpen();
        CheckName(record.Id, "request id");
        if (Value.Utf8.GetByteCount(record.ContentType) > Limits.NameBytesMax) throw Errors.BadName("content type", record.ContentType);
        var requests = new Edit<RequestTable>(_requests.OwnedBy(_stamp), _changedRequests.OwnedBy(_stamp), 0, 0);
        var dot = Drop(requests, new RequestKey(record.Id, default)) ?? Issue();
        Insert(requests, new RequestKey(record.Id, dot), record);
        (_requests, _changedRequests) = (requests.Working, requests.Change);
    }

    /// <summary>Forgets an answer.</summary>
    /// <returns>False when there was none.</returns>
    public bool DropRequestRecord(string id)
    {
        CheckOpen();
        if (!Document.TryGetRequest(_requests, id, out _)) return false;
        var requests = new Edit<RequestTable>(_requests.OwnedBy(_stamp), _changedRequests.OwnedBy(_stamp), 0, 0);
        Drop(requests, new RequestKey(id, default));
        (_requests, _changedRequests) = (requests.Working, requests.Change);
        return true;
    }

    /// <summary>(1) Closes the unit of work.</summary>
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
        var context = RemovedDots().Union(CausalContext.Of(new DotRange(Epoch, _first, last)));
        var delta = Delta.Of(new Document(context, _changes, _changedRequests), Epoch, _first, last);
        if (delta.EncodedSize > Limits.DeltaBytesMax) throw Errors.DeltaTooLarge(delta.EncodedSize);

        var changed = new Document(_snapshot.Context.Union(context), _working, _requests);
        if (changed.EncodedSize > Limits.DocumentBytesMax && changed.EncodedSize > _snapshot.EncodedSize) throw Errors.DocumentTooLarge(changed.EncodedSize);

        _isCommitted = true; // The stamp is spent with it: from here on every part is immutable.
        (next, nextSequence) = (changed, last + 1);
        return delta;
    }

    internal FieldKey[] Open(FieldKey[] parent, string name, FieldKind kind)
    {
        if (_isCommitted) throw Committed();
        CheckName(name, parent.Length == 0 ? "field name" : "map key");
        if (parent.Length == Limits.MapDepthMax) throw Errors.TooDeep(name);
        FieldKey[] path = [.. parent, new FieldKey(name, kind)];
        CheckKind(Parent(_working, path), path[^1]);
        return path;
    }

    internal CrdtValue? Find(FieldKey[] path) => Parent(_working, path).Find(path[^1].Name, path[^1].Kind);

    /// <summary>A value to read its dots from; a blank one when there is none.</summary>
    internal T Read<T>(FieldKey[] path)
        where T : CrdtValue => (T)(Find(path) ?? Kinds.New(path[^1].Kind, 0));

    /// <summary>Takes what is seen at the place away and puts one new payload there; <paramref name="ownEpochOnly"/> leaves other epochs' entries.</summary>
    internal void Write<T>(FieldKey[] path, T payload, bool ownEpochOnly = false)
        where T : IPayload<T>
    {
        CheckWritable(path);
        var edit = Begin<DotValue<T>>(path);
        Dot? own = null;
        for (var i = 0; i < edit.Working.Entries.Length;)
        {
            var dot = edit.Working.Entries[i].Dot;
            if (ownEpochOnly && dot.Epoch != Epoch)
            {
                i++;
                continue;
            }
            if (IsOwn(dot)) own = dot;
            else Removed(dot);
            edit.Working.RemoveAt(i);
        }
        var written = new Dotted<T>(own ?? Issue(), payload);
        var at = 0;
        while (at < edit.Working.Entries.Length && edit.Working.Entries[at].Dot.CompareTo(written.Dot) < 0) at++;
        edit.Working.Insert(at, written);
        edit.Change.Set([written]);
        End(path, edit);
    }

    /// <summary>Takes what is seen of one element away and puts one new payload there.</summary>
    internal void Write<TKey, T>(FieldKey[] path, TKey element, T payload)
        where TKey : struct, IDottedKey<TKey>
        where T : IPayload<T>
    {
        CheckWritable(path);
        var edit = Begin<TableValue<TKey, T>>(path);
        var dot = Drop(edit, element) ?? Issue();
        Insert(edit, element.WithDot(dot), payload);
        End(path, edit);
    }

    /// <summary>Appends to a list.</summary>
    internal void Append(FieldKey[] path, Value item)
    {
        CheckWritable(path);
        var edit = Begin<TableValue<ListKey, Held>>(path);
        Insert(edit, new ListKey(Issue()), new Held(item));
        End(path, edit);
    }

    /// <summary>Takes what is seen of one element away.</summary>
    /// <returns>False when it was not there.</returns>
    internal bool Remove<TKey, T>(FieldKey[] path, TKey element)
        where TKey : struct, IDottedKey<TKey>
        where T : IPayload<T>
    {
        CheckOpen();
        if (Find(path) is not TableValue<TKey, T> seen) return false;
        seen.Entries.Find(element, out var at);
        if (!seen.Entries.IsAt(at) || !seen.Entries[at].Key.SameElement(element)) return false;
        var edit = Begin<TableValue<TKey, T>>(path);
        Drop(edit, element);
        End(path, edit);
        return true;
    }

    /// <summary>Takes everything that is seen at a place away.</summary>
    /// <returns>False when there was nothing, or nothing whose dots this build can read.</returns>
    internal bool Clear(FieldKey[] path)
    {
        CheckOpen();
        if (Find(path) is not { } value) return false;
        var dots = new DotList(stackalloc Dot[32]);
        value.CollectDots(ref dots);
        var any = dots.Count > 0;
        foreach (var dot in dots.Span) Removed(dot);
        dots.Dispose();
        if (!any) return false;

        var blank = Kinds.New(path[^1].Kind, _stamp);
        _working = _working.Put(path, blank, value.Weight, _stamp);
        _changes = _changes.Put(path, blank, Change(path)?.Weight ?? 0, _stamp);
        return true;
    }

    private static MapValue Parent(MapValue map, FieldKey[] path)
    {
        foreach (var key in path.AsSpan(..^1)) map = map.Find(key.Name, FieldKind.Map) as MapValue ?? MapValue.Empty;
        return map;
    }

    private static void CheckKind(MapValue map, FieldKey key)
    {
        if (map.Find(key.Name, key.Kind) is null && map.KindOf(key.Name) is { } existing) throw Errors.WrongType(key.Name, existing, key.Kind);
    }

    private static void CheckName(string name, string what)
    {
        if (name.Length == 0 || Value.Utf8.GetByteCount(name) > Limits.NameBytesMax) throw Errors.BadName(what, name);
    }

    private static InvalidOperationException Committed() => new("The transaction is committed; start a new one.");

    private void Insert<TKey, T>(Edit<TableValue<TKey, T>> edit, TKey key, T payload)
        where TKey : struct, IDottedKey<TKey>
        where T : IPayload<T>
    {
        edit.Working.Entries.Find(key, out var at);
        edit.Working.Entries.Insert(at, key, payload, _stamp);
        edit.Change.Entries.Find(key, out at);
        edit.Change.Entries.Insert(at, key, payload, _stamp);
    }

    /// <summary>Drops the element's dots.</summary>
    /// <returns>A dot of this transaction's own among them, to be used again.</returns>
    private Dot? Drop<TKey, T>(Edit<TableValue<TKey, T>> edit, TKey element)
        where TKey : struct, IDottedKey<TKey>
        where T : IPayload<T>
    {
        Dot? own = null;
        edit.Working.Entries.Find(TKey.IsByDot ? element : element.WithDot(default), out var at);
        while (edit.Working.Entries.IsAt(at) && edit.Working.Entries[at].Key is var key && key.SameElement(element))
        {
            if (IsOwn(key.Dot))
            {
                own = key.Dot;
                if (edit.Change.Entries.Find(key, out var changed)) edit.Change.Entries.Remove(changed, _stamp);
            }
            else
            {
                Removed(key.Dot);
            }
            at = edit.Working.Entries.Remove(at, _stamp);
        }
        return own;
    }

    private Edit<T> Begin<T>(FieldKey[] path)
        where T : CrdtValue
    {
        var (working, change) = (Find(path), Change(path));
        return new Edit<T>(
            (T)(working?.OwnedBy(_stamp) ?? Kinds.New(path[^1].Kind, _stamp)), (T)(change?.OwnedBy(_stamp) ?? Kinds.New(path[^1].Kind, _stamp)),
            working?.Weight ?? 0, change?.Weight ?? 0);
    }

    private void End<T>(FieldKey[] path, Edit<T> edit)
        where T : CrdtValue
    {
        _working = _working.Put(path, edit.Working, edit.WorkingWeightBefore, _stamp);
        _changes = _changes.Put(path, edit.Change, edit.ChangeWeightBefore, _stamp);
    }

    /// <summary>What the delta holds at a place.</summary>
    private CrdtValue? Change(FieldKey[] path) => Parent(_changes, path).Find(path[^1].Name, path[^1].Kind);

    private bool IsOwn(Dot dot) => dot.Epoch == Epoch && dot.Sequence >= _first;

    private Dot Issue()
    {
        if (_next > Dot.SequenceMax) throw new InvalidOperationException($"{Epoch} has spent all its dots.");
        return new Dot(Epoch, _next++);
    }

    /// <summary>A dot that is no longer live. One of this transaction's own needs no mention: it is spent, and in the delta's context anyway.</summary>
    private void Removed(Dot dot)
    {
        if (!IsOwn(dot)) (_removed ??= []).Add(dot);
    }

    private CausalContext RemovedDots()
    {
        if (_removed is null) return CausalContext.Empty;
        var context = CausalContext.Empty;
        if (_removed.Count > 4) return CausalContext.Of(_removed);
        CollectionsMarshal.AsSpan(_removed).Sort();
        foreach (var dot in _removed) context = context.Add(dot);
        return context;
    }

    /// <summary>A handle may be older than a change of the name's type in this transaction: checked again before a write.</summary>
    private void CheckWritable(FieldKey[] path)
    {
        CheckOpen();
        var map = _working;
        foreach (var key in path)
        {
            CheckKind(map, key);
            map = map.Find(key.Name, FieldKind.Map) as MapValue ?? MapValue.Empty;
        }
    }

    private void CheckOpen()
    {
        if (_readOnly is not null) throw _readOnly();
        if (_isCommitted) throw Committed();
    }

    /// <summary>A value under change, in the working document and in the delta, with the weights that their maps count for them.</summary>
    private readonly record struct Edit<T>(T Working, T Change, int WorkingWeightBefore, int ChangeWeightBefore)
        where T : CrdtValue;
}
