using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>What the asker sends because this side lacks it.</summary>
internal readonly record struct PushedState(EndpointId Endpoint, EpochSequences Sequences, Delta Delta);

/// <summary>The complete side of an exchange: answers from one frozen state of its replica. A step function: bytes in, bytes out, no I/O. Steps: docs/protocol/repair.md.</summary>
/// <remarks>It keeps where the asker stands in the tree, so a message that was lost ends the exchange; the next one begins anew. Not thread-safe.</remarks>
internal sealed class ExchangeAnswerer
{
    private readonly PartitionSnapshot _state;
    private readonly DigestTree _tree;
    private readonly ExchangeMode _mode;
    private List<long> _frontier = [0];
    private int _level;
    private int _leavesDone;
    private List<PushedState> _pushed = [];

    /// <param name="state">Its accepted layer.</param>
    /// <param name="mode">From the asker's first message.</param>
    /// <param name="salt">From the asker's first message.</param>
    public ExchangeAnswerer(PartitionSnapshot state, ExchangeMode mode, long salt)
    {
        (_state, _mode) = (state, mode);
        _tree = new DigestTree(state.Endpoints, salt);
    }

    /// <summary>The offset at which its state was frozen.</summary>
    public long Position => _state.Position;

    /// <summary>What the asker's first message asks for.</summary>
    /// <exception cref="ShardCloudException">SC3010: it is not one.</exception>
    public static (ExchangeMode Mode, long Salt, long PositionMin, string LogIdentity) ReadOpen(ReadOnlySpan<byte> message)
    {
        var reader = Begin(message, out var step);
        var (mode, salt, position, log) = (reader.U8(), (long)reader.U64(), reader.Varint() - 1, reader.Text());
        if (!reader.AtEnd || step != ExchangeStep.Open || mode > 1) throw ExchangeFormat.Malformed("the first one");
        return ((ExchangeMode)mode, salt, position, log);
    }

    /// <summary>The step of a message.</summary>
    /// <exception cref="ShardCloudException">SC3010: it is of another version, or damaged.</exception>
    public static ExchangeStep StepOf(ReadOnlySpan<byte> message)
    {
        Begin(message, out var step);
        return step;
    }

    /// <summary>States that the asker pushed since the last call.</summary>
    public IReadOnlyList<PushedState> TakePushed()
    {
        var pushed = _pushed;
        _pushed = [];
        return pushed;
    }

    /// <summary>The answer to a message.</summary>
    /// <exception cref="ShardCloudException">SC3010: the message cannot be read, or is out of turn.</exception>
    public byte[] Answer(ReadOnlySpan<byte> message)
    {
        var reader = Begin(message, out var step);
        using var answer = new ByteWriter(4096);
        switch (step)
        {
            case ExchangeStep.Open: Opened(answer); return answer.ToArray();
            case ExchangeStep.Nodes when _level < _tree.Depth: Nodes(ref reader, answer); break;
            case ExchangeStep.Leaves when _level == _tree.Depth: Leaves(ref reader, answer); break;
            case ExchangeStep.Fetch: Fetch(ref reader, answer); break;
            case ExchangeStep.Head: answer.Bytes(_state.EncodeHead()); break;
            case ExchangeStep.Push when _mode == ExchangeMode.Join: Push(ref reader); break;
            case ExchangeStep.End: break;
            default: throw ExchangeFormat.Malformed($"step {step} is out of turn");
        }
        return reader.AtEnd ? answer.ToArray() : throw ExchangeFormat.Malformed($"step {step}");
    }

    private static ByteReader Begin(ReadOnlySpan<byte> message, out ExchangeStep step)
    {
        var reader = new ByteReader(message);
        if (!Checksummed.ReadHead(ref reader, message, ExchangeAsker.Version)) throw ExchangeFormat.Malformed("another version, or damaged");
        step = (ExchangeStep)reader.U8();
        return reader;
    }

    private void Opened(ByteWriter answer)
    {
        answer.Varint(_state.Position + 1);
        answer.U8((byte)_tree.Depth);
        answer.Varint(_tree.Count);
        answer.U64((ulong)_tree.Root);
        answer.U64((ulong)(_tree.Root >> 64));
        answer.U64(ExchangeFormat.HeadOf(_state));
    }

    /// <summary>The asker's digests of the children of all nodes that differ so far; a bit for each that differs from mine.</summary>
    private void Nodes(ref ByteReader reader, ByteWriter answer)
    {
        var next = new List<long>();
        _level++;
        foreach (var parent in _frontier)
        {
            byte bits = 0;
            for (var child = 0; child < 1 << DigestTree.LevelBits; child++)
            {
                var node = (parent << DigestTree.LevelBits) | (long)child;
                if (ExchangeFormat.Digest(ref reader) == ExchangeFormat.Short(_tree.DigestOf(_level, node))) continue;
                bits |= (byte)(1 << child);
                next.Add(node);
            }
            answer.U8(bits);
        }
        _frontier = next;
    }

    /// <summary>The asker's endpoints in the leaves that differ, as short hashes; the ones I have, and mine that it lacks.</summary>
    private void Leaves(ref ByteReader reader, ByteWriter answer)
    {
        var leaves = reader.Count();
        if (leaves > _frontier.Count - _leavesDone) throw ExchangeFormat.Malformed("more leaves than differ");
        using var parts = new ByteWriter(64 * 1024);
        using var state = new ByteWriter(256);
        var answered = 0;
        for (var leaf = 0; leaf < leaves; leaf++)
        {
            var theirs = new uint[reader.Count(ExchangeFormat.DigestBytes)];
            for (var i = 0; i < theirs.Length; i++) theirs[i] = ExchangeFormat.Digest(ref reader);
            if (parts.Length > ExchangeFormat.AnswerBytesMax) continue; // Read to the end, answered next time.
            Leaf(_frontier[_leavesDone + leaf], theirs, parts, state);
            answered = leaf + 1;
        }
        answer.Varint(answered);
        answer.Raw(parts.Written);
        _leavesDone += answered;
    }

    private void Leaf(long node, uint[] theirs, ByteWriter parts, ByteWriter state)
    {
        var (first, end) = _tree.Range(_level, node);
        var (own, mine) = (new HashSet<uint>(), new List<int>());
        for (var i = first; i < end; i++)
        {
            var digest = ExchangeFormat.Short(_tree.HashAt(i));
            own.Add(digest);
            if (!theirs.Contains(digest)) mine.Add(i);
        }

        var unmatched = 0;
        for (var i = 0; i < theirs.Length; i += 8)
        {
            byte bits = 0;
            for (var bit = 0; bit < 8 && i + bit < theirs.Length; bit++)
            {
                if (own.Contains(theirs[i + bit])) bits |= (byte)(1 << bit);
                else unmatched++;
            }
            parts.U8(bits);
        }

        parts.Varint(mine.Count);
        foreach (var index in mine)
        {
            // Its name costs more than its hash, and where the asker has something of its own it most likely knows it.
            if (unmatched > 0) parts.U64(_tree.KeyAt(index));
            else parts.Text(_tree[index].Endpoint.Value);
            state.Reset();
            DocumentCodec.Encode(_tree[index].Document, state);
            if (state.Length > ExchangeFormat.WholeBytesMax)
            {
                parts.Varint(0);
                continue;
            }
            parts.Bytes(state.Written);
            WriteNumbers(parts, _tree[index]);
        }
    }

    /// <summary>Endpoints one by one, by key hash: what the asker lacks of their documents, or all of them.</summary>
    private void Fetch(ref ByteReader reader, ByteWriter answer)
    {
        var count = reader.Count(bytesEach: 9);
        using var parts = new ByteWriter(64 * 1024);
        var done = 0;
        for (var i = 0; i < count; i++)
        {
            var (key, flags) = (reader.U64(), reader.U8());
            CausalContext seen = default;
            ulong folded = 0;
            if ((flags & ExchangeAsker.HasContext) != 0)
            {
                if (!DocumentCodec.TryDecodeContext(reader.Bytes(), out seen)) throw ExchangeFormat.Malformed("a context");
                if (seen.Base != Epoch.None) folded = reader.U64();
            }
            if (parts.Length > ExchangeFormat.AnswerBytesMax) continue;
            var index = _tree.Find(key);
            if (reader.Bad || index < 0) throw ExchangeFormat.Malformed("an endpoint that was not named");
            WriteOne(parts, index, flags, seen, folded);
            done = i + 1;
        }
        answer.Varint(done);
        answer.Raw(parts.Written);
    }

    private void WriteOne(ByteWriter parts, int index, byte flags, CausalContext seen, ulong folded)
    {
        var endpoint = _tree[index];
        if ((flags & ExchangeAsker.NeedsName) != 0) parts.Text(endpoint.Endpoint.Value);
        WriteNumbers(parts, endpoint);
        parts.U64((ulong)_tree.HashAt(index));
        var whole = DocumentCodec.ToBytes(endpoint.Document);
        if ((flags & ExchangeAsker.HasContext) != 0)
        {
            var sameFolded = folded != 0 && seen.Base == endpoint.Document.Context.Base && folded == ExchangeFormat.FoldedOf(endpoint.Document);
            var delta = DocumentCodec.ToBytes(endpoint.Document.Missing(seen, sameFolded));
            var context = _mode == ExchangeMode.Join ? ExchangeFormat.BytesOf(endpoint.Document.Context) : [];
            if (delta.Length + context.Length < whole.Length)
            {
                parts.U8(sameFolded ? ExchangeAsker.DeltaSameFolded : ExchangeAsker.DeltaWithFolded);
                parts.Bytes(delta);
                if (_mode == ExchangeMode.Join) parts.Bytes(context);
                return;
            }
        }
        parts.U8(ExchangeAsker.Whole);
        parts.Bytes(whole);
    }

    private void Push(ref ByteReader reader)
    {
        var count = reader.Count(bytesEach: 5);
        for (var i = 0; i < count; i++)
        {
            var endpoint = reader.Endpoint();
            var sequences = EpochSequences.Read(ref reader);
            var bytes = reader.Bytes();
            if (reader.Bad || !DocumentCodec.TryDecodeDelta(bytes, out var delta)) throw ExchangeFormat.Malformed("a pushed delta");
            _pushed.Add(new PushedState(endpoint, sequences, delta));
        }
    }

    private static void WriteNumbers(ByteWriter parts, in SnapshotEndpoint endpoint)
    {
        endpoint.Sequences.Write(parts);
        parts.Varint(endpoint.ChangedAt + 1);
    }
}
