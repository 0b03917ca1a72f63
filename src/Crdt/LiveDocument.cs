using RequestTable = ShardCloud.Crdt.TableValue<ShardCloud.Crdt.RequestKey, ShardCloud.Crdt.RequestRecord>;

namespace ShardCloud.Crdt;

/// <summary>A document under change by one holder: deltas are joined into it in place, readers get immutable snapshots.</summary>
/// <remarks>
/// Joining a delta that replaces what is there allocates nothing (<c>JoinBenchmarks</c>; a test counts). A snapshot is O(1): it takes the parts as
/// they are, and the next join copies the parts it changes, each once. So who reads after every join pays for one path of copies, and who reads
/// seldom pays for none. Not thread-safe: one holder at a time; snapshots are for everyone.
/// </remarks>
public sealed class LiveDocument
{
    private CausalContext _context;
    private MapValue _root;
    private RequestTable _requests;
    private Document? _snapshot; // What the parts were last handed out as; null once they changed.
    private long _stamp; // 0 while every part may be shared.

    /// <summary>Nothing seen yet.</summary>
    public LiveDocument()
        : this(Document.Empty)
    {
    }

    /// <summary>Starts from a document, which stays as it is and is not held: a replica full of quiet endpoints keeps one object less for each.</summary>
    public LiveDocument(Document start)
        : this(start, snapshot: null)
    {
    }

    internal LiveDocument(Document start, Document? snapshot) =>
        (_context, _root, _requests, _snapshot) = (start.Context, start.Root, start.RequestTable, snapshot);

    /// <summary>Every dot seen.</summary>
    public CausalContext Context => _context;

    /// <summary>The fields now, to look at; not to be kept, the next join changes them.</summary>
    public OrMap Fields => new(_root);

    /// <summary>See <see cref="Document.IsSpent"/>.</summary>
    public bool IsSpent => _root.Entries.Count == 0 && _requests.Entries.Count == 0;

    /// <summary>Takes in a delta.</summary>
    /// <remarks>
    /// Cost: O(changed entries x log n); plus one scan of the live dots when the delta removes something from a place it does not name.
    /// </remarks>
    public void Join(Delta delta) => Join(delta.Changes);

    /// <summary>Becomes the least upper bound of itself and the other.</summary>
    public void Join(Document right)
    {
        if (right.IsEmpty) return;
        if (_stamp == 0) _stamp = Stamps.Next();

        // Places that the right side names.
        var pass = new JoinPass(_context, right.Context, _stamp);
        _root = (MapValue)_root.Join(right.Root, ref pass);
        if (right.RequestCount > 0) _requests = (RequestTable)_requests.Join(right.RequestTable, ref pass);

        // Places it does not name: a removal there shows only in its context.
        if (!pass.IsFinished) RemoveElsewhere(right, ref pass);

        var context = _context.Union(right.Context);
        if (!pass.IsChanged && context == _context) return;
        _context = context;
        _snapshot = null;
    }

    /// <summary>Folds closed epochs, as <see cref="Document.Fold"/> does. The caller vouches for the conditions of <see cref="CausalContext.Fold"/>.</summary>
    public void Fold(Epoch closed)
    {
        if (_context.IsEmpty || _context.Base >= closed) return;
        if (_stamp == 0) _stamp = Stamps.Next();
        (_context, _root, _snapshot) = (_context.Fold(closed), (MapValue)_root.Fold(closed, _stamp), null);
    }

    /// <summary>What it holds now, for any number of readers on any thread.</summary>
    public Document Snapshot()
    {
        if (_snapshot is null) (_snapshot, _stamp) = (new Document(_context, _root, _requests), 0);
        return _snapshot;
    }

    private void RemoveElsewhere(Document right, ref JoinPass pass)
    {
        var held = new DotList(default);
        right.CollectDots(ref held);
        held.Span.Sort();
        pass.StartRemoving(held.Span);
        _root = (MapValue)_root.Where(ref pass);
        _requests = (RequestTable)_requests.Where(ref pass);
        held.Dispose();
    }
}
