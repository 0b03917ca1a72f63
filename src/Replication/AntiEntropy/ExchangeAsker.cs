using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>The side of an exchange that asks, and ends up with what the other has. A step function: bytes in, bytes out, no I/O. Steps: docs/protocol/repair.md.</summary>
/// <remarks>
/// <para>Normal operation: one root digest is compared, and that was all. Where it differs, the digests of the tree's nodes are compared level by level, then short
/// hashes of the endpoints in the leaves that differ; of those that differ a small document travels whole, of a larger one only what the asker's causal
/// context lacks.</para>
/// <para>What is compared: the answerer's state at its offset (<see cref="Position"/>), frozen. Under <see cref="ExchangeMode.Join"/> the asker compares when it
/// has read to that offset, and leaves out every endpoint that the log has changed since; a difference in the rest is one that no log explains.</para>
/// <para>Not guaranteed in one exchange: a digest of 24 bits overlooks one difference in 16 million. Under <see cref="ExchangeMode.Adopt"/> the root of the outcome is
/// compared at the end, with 128 bits, and <see cref="IsExact"/> says so; else the next exchange, under another salt, finds it.</para>
/// </remarks>
internal sealed class ExchangeAsker(ExchangeMode mode, long salt, long positionMin, string logIdentity, bool whole = false)
{
    public const byte Version = 1;

    /// <summary>Flags of a fetch.</summary>
    public const byte NeedsName = 1, HasContext = 2;

    /// <summary>How a document travels.</summary>
    public const byte Whole = 0, DeltaWithFolded = 1, DeltaSameFolded = 2;

    private const int LeavesMax = 1024, FetchMax = 512;
    private const ExchangeStep Over = 0;

    private readonly Queue<Wanted> _fetch = new();
    private readonly Dictionary<EndpointId, SnapshotEndpoint> _taken = [];
    private readonly HashSet<EndpointId> _absent = [], _differing = [];
    private readonly Queue<PushedState> _push = new();
    private readonly List<Wanted> _asked = [];
    private ExchangeStep _step = ExchangeStep.Open;
    private PartitionSnapshot? _mine;
    private DigestTree _tree = null!;
    private UInt128 _root;
    private ulong _headHash;
    private int _depth, _level, _leavesDone, _leavesAsked, _pushed;
    private List<long> _frontier = [0];

    /// <summary>The offset at which the answerer's state was frozen; known after the first answer.</summary>
    public long Position { get; private set; } = -1;

    /// <summary>True when nothing is left but to tell the answerer so.</summary>
    public bool IsOver => _step is ExchangeStep.End or Over;

    /// <summary>Bytes of all messages and all answers so far.</summary>
    public long Bytes { get; private set; }

    /// <summary>Messages so far.</summary>
    public int Messages { get; private set; }

    /// <summary>New state of the endpoints of which the asker lacked something.</summary>
    public IReadOnlyCollection<SnapshotEndpoint> Taken => _taken.Values;

    /// <summary>Endpoints that differed.</summary>
    public IReadOnlyCollection<EndpointId> Differences => _differing;

    /// <summary>States sent because the answerer lacked them.</summary>
    public int Pushed => _pushed;

    /// <summary>Under <see cref="ExchangeMode.Adopt"/>, at the end: the answerer's state, but for what was overlooked.</summary>
    public PartitionSnapshot? Adopted { get; private set; }

    /// <summary>True when <see cref="Adopted"/> was proved to be the answerer's state to the last bit; else one more exchange is needed, from there.</summary>
    public bool IsExact { get; private set; }

    /// <summary>The next message; null when the exchange is over.</summary>
    public byte[]? Next()
    {
        using var body = new ByteWriter(4096);
        body.U8((byte)_step);
        switch (_step)
        {
            case ExchangeStep.Open:
                body.U8((byte)mode);
                body.U64((ulong)salt);
                body.Varint(positionMin + 1);
                body.Text(logIdentity);
                break;
            case ExchangeStep.Nodes: WriteNodes(body); break;
            case ExchangeStep.Leaves: WriteLeaves(body); break;
            case ExchangeStep.Fetch: WriteFetch(body); break;
            case ExchangeStep.Head or ExchangeStep.End: break;
            case ExchangeStep.Push: WritePush(body); break;
            default: return null;
        }
        var frame = new System.Buffers.ArrayBufferWriter<byte>(body.Length + 8);
        Checksummed.Write(frame, Version, body.Written);
        Bytes += frame.WrittenCount;
        Messages++;
        return frame.WrittenSpan.ToArray();
    }

    /// <summary>Takes the answer to the last message.</summary>
    /// <exception cref="ShardCloudException">SC3010: it cannot be read; nothing was changed.</exception>
    public void Receive(ReadOnlySpan<byte> answer)
    {
        Bytes += answer.Length;
        var reader = new ByteReader(answer);
        switch (_step)
        {
            case ExchangeStep.Open: Opened(ref reader); break;
            case ExchangeStep.Nodes: ReadNodes(ref reader); break;
            case ExchangeStep.Leaves: ReadLeaves(ref reader); break;
            case ExchangeStep.Fetch: ReadFetch(ref reader); break;
            case ExchangeStep.Head: ReadHead(ref reader); break;
            case ExchangeStep.End: _step = Over; break;
        }
        if (!reader.AtEnd) throw ExchangeFormat.Malformed($"the answer to {_step}");
        if (_step != ExchangeStep.Open) GoOn();
    }

    /// <summary>Begins to compare, after the first answer.</summary>
    public void Compare(PartitionSnapshot mine)
    {
        (_mine, _tree) = (mine, new DigestTree(mine.Endpoints, salt));
        _step = ExchangeStep.Nodes;
        if (_tree.Root == _root) _frontier = [];
        GoOn();
    }

    /// <summary>The step that is next, now that the last one has its answer.</summary>
    private void GoOn()
    {
        if (_step == ExchangeStep.Nodes && (_level == _depth || _frontier.Count == 0)) _step = ExchangeStep.Leaves;
        if (_step == ExchangeStep.Leaves && _leavesDone == _frontier.Count) _step = ExchangeStep.Fetch;
        if (_step == ExchangeStep.Fetch && _fetch.Count == 0) _step = mode == ExchangeMode.Join ? ExchangeStep.Push : ExchangeStep.Head;
        if (_step == ExchangeStep.Push && _push.Count == 0) _step = ExchangeStep.End;
        if (_step == ExchangeStep.Head && ExchangeFormat.HeadOf(_mine!) == _headHash) Adopt(_mine!); // Nothing of it needs to travel.
    }

    private void Opened(ref ByteReader reader)
    {
        Position = reader.Varint() - 1;
        _depth = reader.U8();
        reader.Varint();
        var low = reader.U64();
        _root = new UInt128(reader.U64(), low);
        _headHash = reader.U64();
        if (_depth > DigestTree.DepthMax) throw ExchangeFormat.Malformed("the depth");
    }

    private void WriteNodes(ByteWriter body)
    {
        _level++;
        foreach (var parent in _frontier)
            for (var child = 0; child < 1 << DigestTree.LevelBits; child++) ExchangeFormat.Digest(body, _tree.DigestOf(_level, (parent << DigestTree.LevelBits) | (long)child));
    }

    private void ReadNodes(ref ByteReader reader)
    {
        var next = new List<long>();
        foreach (var parent in _frontier)
        {
            var bits = reader.U8();
            for (var child = 0; child < 1 << DigestTree.LevelBits; child++)
                if ((bits >> child & 1) != 0) next.Add((parent << DigestTree.LevelBits) | (long)child);
        }
        _frontier = next;
    }

    private void WriteLeaves(ByteWriter body)
    {
        _leavesAsked = Math.Min(LeavesMax, _frontier.Count - _leavesDone);
        body.Varint(_leavesAsked);
        for (var leaf = 0; leaf < _leavesAsked; leaf++)
        {
            var (first, end) = _tree.Range(_level, _frontier[_leavesDone + leaf]);
            body.Varint(end - first);
            for (var i = first; i < end; i++) ExchangeFormat.Digest(body, _tree.HashAt(i));
        }
    }

    private void ReadLeaves(ref ByteReader reader)
    {
        var answered = reader.Count();
        if (answered < 1 || answered > _leavesAsked) throw ExchangeFormat.Malformed("the count of leaves");
        for (var leaf = 0; leaf < answered && !reader.Bad; leaf++) ReadLeaf(_frontier[_leavesDone + leaf], ref reader);
        _leavesDone += answered;
    }

    private void ReadLeaf(long node, ref ByteReader reader)
    {
        var (first, end) = _tree.Range(_level, node);
        var unmatched = new HashSet<EndpointId>();
        byte bits = 0;
        for (var i = first; i < end; i++)
        {
            if (((i - first) & 7) == 0) bits = reader.U8();
            if ((bits >> ((i - first) & 7) & 1) == 0) unmatched.Add(_tree[i].Endpoint);
        }

        var isByKey = unmatched.Count > 0;
        for (var count = reader.Count(bytesEach: 2); count > 0 && !reader.Bad; count--)
        {
            var name = isByKey ? default : reader.Endpoint();
            var key = isByKey ? reader.U64() : name.KeyHash;
            var index = _tree.Find(key);
            if (index >= 0) unmatched.Remove(_tree[index].Endpoint);
            var bytes = reader.Bytes();
            var isForgotten = index < 0 && mode == ExchangeMode.Join && _mine!.ForgotAt > Position; // Or may be: not comparable this time.
            if (bytes.Length == 0)
            {
                if (!isForgotten) _fetch.Enqueue(new Wanted(key, index, index < 0 && isByKey ? default : index < 0 ? name : _tree[index].Endpoint, whole));
                continue;
            }
            var state = ReadNumbers(ref reader, index >= 0 ? _tree[index].Endpoint : name);
            if (!DocumentCodec.TryDecodeDocument(bytes, out var document)) throw ExchangeFormat.Malformed("a document");
            if (isForgotten) continue;
            if (index < 0 && isByKey) _fetch.Enqueue(new Wanted(key, index, default, true)); // Not known here: its name is asked for, and the document with it.
            else Take(state with { Document = document }, index, document.Context, sameFolded: false, hash: null);
        }

        // The answerer has nothing under these names.
        foreach (var endpoint in unmatched)
        {
            var mine = _tree[_tree.Find(endpoint.KeyHash)];
            if (mode == ExchangeMode.Join && mine.ChangedAt > Position) continue;
            _absent.Add(endpoint);
            _differing.Add(endpoint);
            if (mode == ExchangeMode.Join) Offer(mine, CausalContext.Empty, sameFolded: false);
        }
    }

    private void WriteFetch(ByteWriter body)
    {
        _asked.Clear();
        _asked.AddRange(_fetch.Take(FetchMax));
        body.Varint(_asked.Count);
        foreach (var wanted in _asked)
        {
            body.U64(wanted.Key);
            var hasContext = !wanted.IsWhole && wanted.Index >= 0;
            body.U8((byte)((wanted.Endpoint == default ? NeedsName : 0) | (hasContext ? HasContext : 0)));
            if (!hasContext) continue;
            var document = _tree[wanted.Index].Document;
            body.Bytes(ExchangeFormat.BytesOf(document.Context));
            if (document.Context.Base != Epoch.None) body.U64(ExchangeFormat.FoldedOf(document));
        }
    }

    private void ReadFetch(ref ByteReader reader)
    {
        var answered = reader.Count();
        if (answered < 1 || answered > _asked.Count) throw ExchangeFormat.Malformed("the count of endpoints");
        using var buffer = new ByteWriter(4096);
        for (var i = 0; i < answered; i++)
        {
            var wanted = _fetch.Dequeue();
            var state = ReadNumbers(ref reader, wanted.Endpoint == default ? reader.Endpoint() : wanted.Endpoint);
            var hash = reader.U64();
            var kind = reader.U8();
            var bytes = reader.Bytes();
            if (reader.Bad) return;
            if (kind == Whole)
            {
                if (!DocumentCodec.TryDecodeDocument(bytes, out var document)) throw ExchangeFormat.Malformed("a document");
                Take(state with { Document = document }, wanted.Index, document.Context, sameFolded: false, hash);
                continue;
            }
            var context = default(CausalContext);
            if (!DocumentCodec.TryDecodeDelta(bytes, out var delta) || wanted.Index < 0
                || (mode == ExchangeMode.Join && !DocumentCodec.TryDecodeContext(reader.Bytes(), out context))) throw ExchangeFormat.Malformed("a delta");
            var joined = state with { Document = Document.Join(_tree[wanted.Index].Document, delta) };

            // More here than there: what an incomplete replica took in, or read since. It takes the other's document as it is.
            if (mode == ExchangeMode.Adopt && (ulong)DigestTree.HashOf(joined, salt, buffer) != hash) _fetch.Enqueue(wanted with { IsWhole = true });
            else Take(joined, wanted.Index, context, kind == DeltaSameFolded, hash);
        }
    }

    private void ReadHead(ref ByteReader reader)
    {
        var bytes = reader.Bytes();
        Adopt(!reader.Bad && PartitionSnapshot.DecodeHead(bytes.ToArray()) is { } head && (head.Partition, head.PartitionCount, head.LogIdentity) == (_mine!.Partition, _mine.PartitionCount, logIdentity) ? head : throw ExchangeFormat.Malformed("the head"));
    }

    private void Adopt(PartitionSnapshot head)
    {
        _step = ExchangeStep.End;
        var endpoints = _mine!.Endpoints.Where(e => !_taken.ContainsKey(e.Endpoint) && !_absent.Contains(e.Endpoint)).Concat(_taken.Values).ToList();
        Adopted = head.With(Position, endpoints);
        IsExact = new DigestTree(endpoints, salt).Root == _root;
    }

    private void WritePush(ByteWriter body)
    {
        using var parts = new ByteWriter(64 * 1024);
        var count = 0;
        for (; _push.Count > 0 && (count == 0 || parts.Length < ExchangeFormat.AnswerBytesMax); count++)
        {
            var push = _push.Dequeue();
            parts.Text(push.Endpoint.Value);
            push.Sequences.Write(parts);
            parts.Bytes(DocumentCodec.ToBytes(push.Delta));
        }
        _pushed += count;
        body.Varint(count);
        body.Raw(parts.Written);
    }

    /// <summary>The other's state of an endpoint, or its join with mine.</summary>
    private void Take(SnapshotEndpoint theirs, int index, CausalContext theirContext, bool sameFolded, ulong? hash)
    {
        if (mode == ExchangeMode.Adopt || index < 0)
        {
            _taken[theirs.Endpoint] = theirs;
            _differing.Add(theirs.Endpoint);
            return;
        }
        var mine = _tree[index];
        if (mine.ChangedAt > Position) return; // The log has moved it on since: not comparable.
        _differing.Add(mine.Endpoint);
        var joined = new SnapshotEndpoint(mine.Endpoint, EpochSequences.Max(mine.Sequences, theirs.Sequences), Math.Max(mine.ChangedAt, theirs.ChangedAt), Document.Join(mine.Document, theirs.Document));
        if (!joined.Document.SameAs(mine.Document) || !joined.Sequences.SameAs(mine.Sequences)) _taken[mine.Endpoint] = joined;

        // Nothing that came from there goes back (BP), and nothing goes that is not new there (RR).
        using var buffer = new ByteWriter(4096);
        if ((ulong)DigestTree.HashOf(joined, salt, buffer) != (hash ?? (ulong)DigestTree.HashOf(theirs, salt, buffer))) Offer(mine with { Sequences = joined.Sequences }, theirContext, sameFolded);
    }

    private void Offer(SnapshotEndpoint mine, CausalContext theirContext, bool sameFolded)
    {
        var delta = whole ? Delta.Carrying(mine.Document) : mine.Document.Missing(theirContext, sameFolded);
        _push.Enqueue(new PushedState(mine.Endpoint, mine.Sequences, delta));
    }

    private static SnapshotEndpoint ReadNumbers(ref ByteReader reader, EndpointId endpoint) => new(endpoint, EpochSequences.Read(ref reader), reader.Varint() - 1, Document.Empty);

    /// <summary>An endpoint to ask for.</summary>
    /// <param name="Key">Hash of its name.</param>
    /// <param name="Index">Its place here; -1 when it is not.</param>
    /// <param name="Endpoint">Its name; <c>default</c> when only the other knows it.</param>
    /// <param name="IsWhole">The document as it is, not what is lacking.</param>
    private readonly record struct Wanted(ulong Key, int Index, EndpointId Endpoint, bool IsWhole);
}
