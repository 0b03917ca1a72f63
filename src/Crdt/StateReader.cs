using System.Buffers.Binary;
using System.Text;

namespace ShardCloud.Crdt;

/// <summary>Reads the format of docs/protocol/state-codec.md from bytes that nobody vouches for.</summary>
/// <remarks>
/// Every loop consumes input, counts are checked against the bytes left before anything is allocated by them, nesting is bounded: memory and time
/// are proportional to the input, and the input is bounded. What comes out keeps the document's invariants: each live dot once, and in the context.
/// </remarks>
internal ref struct StateReader
{
    private readonly ReadOnlySpan<byte> _bytes;
    private DotList _dots;
    private Epoch[]? _epochs; // Null while the context has at most one epoch.
    private int _epochCount;
    private int _at;

    /// <param name="bytes">The input.</param>
    /// <param name="dots">Room for the first dots; more are rented. <see cref="Dispose"/> gives them back.</param>
    public StateReader(ReadOnlySpan<byte> bytes, Span<Dot> dots)
    {
        _bytes = bytes;
        _dots = new DotList(dots);
        if (bytes.Length > Limits.EncodedBytesMax) throw Corrupt($"{bytes.Length} bytes are more than the {Limits.EncodedBytesMax} allowed");
    }

    /// <summary>The context of what is read.</summary>
    public CausalContext Whole { get; private set; }

    /// <summary>The name read last: a record repeats the id that its key carries.</summary>
    public string LastName { get; private set; } = "";

    public readonly bool IsAtEnd => Left == 0;

    private readonly int Left => _bytes.Length - _at;

    public void Dispose() => _dots.Dispose();

    public readonly CorruptDeltaException Corrupt(string reason) => new(reason, _at);

    /// <returns>True for a delta, false for a document.</returns>
    public bool Header()
    {
        var header = Byte();
        if (header >> 5 != DocumentCodec.Major) throw Corrupt($"format version {header >> 5} is not {DocumentCodec.Major}");
        return (header & 1) == 1;
    }

    public void Context()
    {
        Whole = OneContext();
        _epochCount = Whole.EpochCount;
        if (_epochCount < 2) return;
        _epochs = new Epoch[_epochCount];
        var count = 0;
        foreach (var range in Whole.Ranges)
            if (count == 0 || _epochs[count - 1] != range.Epoch) _epochs[count++] = range.Epoch;
    }

    /// <summary>The dots a delta issues: the highest ones of an epoch in its context.</summary>
    public (Epoch Epoch, long First, long Last) Issued()
    {
        var count = VarInt();
        if (count == 0) return (Epoch.None, 1, 0);
        var index = VarInt();
        if (index >= (ulong)_epochCount) throw Corrupt($"epoch {index} of {_epochCount}");
        var epoch = EpochAt((int)index);
        var last = Whole.HighestOf(epoch);
        if (count > (ulong)last) throw Corrupt($"{count} dots issued, {last} possible");
        var first = last - (long)count + 1;
        foreach (var range in Whole.Ranges)
            if (range.Epoch == epoch && range.Last == last && range.First <= first) return (epoch, first, last);
        throw Corrupt("the issued dots have a gap");
    }

    public Document Content()
    {
        var root = Map(depth: 1);
        var requests = TableValue<RequestKey, RequestRecord>.Read(default, ref this, entryBytesMin: 16);
        if (Left != 0) throw Corrupt($"{Left} bytes follow the end");

        _dots.Span.Sort();
        for (var i = 1; i < _dots.Count; i++)
            if (_dots.Span[i] == _dots.Span[i - 1]) throw Corrupt($"dot {_dots.Span[i]} stands in two places");
        return new Document(Whole, root, requests);
    }

    /// <summary>A map inside a map; never empty.</summary>
    public MapValue Fields(int depth)
    {
        if (depth > Limits.MapDepthMax) throw Corrupt("maps nest too deep");
        var map = Map(depth);
        return map.IsBlank ? throw Corrupt("an empty map") : map;
    }

    public CausalContext OneContext()
    {
        var head = VarInt();
        var closed = (head & 1) == 0 ? Epoch.None : new Epoch(NotNegative());
        if ((head & 1) != 0 && closed == Epoch.None) throw Corrupt("a base of nothing");
        if (head >> 1 > (ulong)(Left / 4)) throw Corrupt($"{head >> 1} entries do not fit in {Left} bytes");

        var (epochs, epoch) = ((int)(head >> 1), closed.Value);
        if (epochs == 0) return CausalContext.Empty.Fold(closed);
        List<DotRange>? many = null;
        for (var e = 0; e < epochs; e++)
        {
            var step = VarInt();
            if ((step == 0 && (e > 0 || closed != Epoch.None)) || step > (ulong)(long.MaxValue - epoch)) throw Corrupt("epochs are not ascending");
            epoch += (long)step;
            var count = NotEmpty(Count(entryBytesMin: 2));
            var last = 0L;
            for (var r = 0; r < count; r++)
            {
                // After the first range a gap of 0 would touch the one before: two spellings of one set.
                var gap = VarInt();
                if (gap >= Dot.SequenceMax || (gap == 0 && r > 0)) throw Corrupt("ranges touch");
                var length = VarInt();
                if (length >= Dot.SequenceMax || last + (long)gap + (long)length >= Dot.SequenceMax) throw Corrupt("a sequence is too high");
                var range = new DotRange(new Epoch(epoch), last + (long)gap + 1, last + (long)gap + 1 + (long)length);
                if (epochs == 1 && count == 1) return CausalContext.Of(range).Fold(closed);
                (many ??= []).Add(range);
                last = range.Last;
            }
        }
        return CausalContext.FromSorted(many!, closed);
    }

    public Value OneValue()
    {
        var kind = Byte();
        switch ((ValueKind)kind)
        {
            case ValueKind.String: return Value.Of(Text(int.MaxValue, 0));
            case ValueKind.Int64: return Value.Of(Wire.UnZigZag(VarInt()));
            case ValueKind.Double:
                var bits = (long)Fixed();
                var number = Value.Of(BitConverter.Int64BitsToDouble(bits));
                return BitConverter.DoubleToInt64Bits(number.AsDouble()) == bits ? number : throw Corrupt("a NaN in another spelling");
            case ValueKind.Bool: return Value.Of(Bool());
            case ValueKind.Bytes: return Value.Of(Bytes());
            default: throw Corrupt($"value type {kind}");
        }
    }

    public Dot OneDot()
    {
        var epoch = OneEpoch();
        var sequence = VarInt();
        if (sequence is 0 or > (ulong)Dot.SequenceMax) throw Corrupt($"sequence {sequence}");
        var dot = new Dot(epoch, (long)sequence);
        if (!Whole.Contains(dot)) throw Corrupt($"dot {dot} is live but not in the context");
        _dots.Add(dot);
        return dot;
    }

    public byte Byte() => _at < _bytes.Length ? _bytes[_at++] : throw Corrupt("it ends too early");

    public bool Bool() => Byte() is var truth && truth <= 1 ? truth == 1 : throw Corrupt($"truth value {truth}");

    public ulong VarInt()
    {
        ulong value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var next = Byte();
            if (shift == 63 && next > 1) throw Corrupt("a number over 64 bits");
            value |= (ulong)(next & 0x7F) << shift;
            if (next >= 0x80) continue;
            return next == 0 && shift > 0 ? throw Corrupt("a number in a longer spelling") : value;
        }
    }

    public long NotNegative() => VarInt() is var value && value <= long.MaxValue ? (long)value : throw Corrupt("a number over 63 bits");

    public ulong Fixed()
    {
        if (Left < 8) throw Corrupt("it ends too early");
        var value = BinaryPrimitives.ReadUInt64LittleEndian(_bytes[_at..]);
        _at += 8;
        return value;
    }

    /// <summary>A count of entries that fit in what is left.</summary>
    public int Count(int entryBytesMin)
    {
        var count = VarInt();
        return count <= (ulong)(Left / entryBytesMin) ? (int)count : throw Corrupt($"{count} entries do not fit in {Left} bytes");
    }

    public readonly int NotEmpty(int count) => count > 0 ? count : throw Corrupt("an empty value");

    public ReadOnlySpan<byte> Bytes()
    {
        var length = VarInt();
        if (length > (ulong)Left) throw Corrupt($"{length} bytes do not fit in {Left}");
        var bytes = _bytes.Slice(_at, (int)length);
        _at += (int)length;
        return bytes;
    }

    /// <summary>A name of a field or request.</summary>
    public string Name() => LastName = Text(Limits.NameBytesMax, 1);

    public string Text(int bytesMax, int bytesMin, bool isPooled = false)
    {
        var bytes = Bytes();
        if (bytes.Length > bytesMax || bytes.Length < bytesMin) throw Corrupt($"a name of {bytes.Length} bytes");
        try
        {
            return isPooled ? NamePool.Get(bytes) : Value.Utf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw Corrupt("text that is not UTF-8");
        }
    }

    private MapValue Map(int depth)
    {
        var count = Count(entryBytesMin: 4);
        if (count == 0) return MapValue.Empty;
        var entries = new Entry<FieldKey, CrdtValue>[count];
        for (var i = 0; i < entries.Length; i++)
        {
            var name = Text(Limits.NameBytesMax, 1, isPooled: true);
            var value = Kinds.Read(Byte(), ref this, depth);
            if (value.IsBlank) throw Corrupt("an empty value");
            entries[i] = new(new FieldKey(name, value.Kind), value);
            if (i > 0 && entries[i - 1].Key.CompareTo(entries[i].Key) >= 0) throw Corrupt("fields are not ascending");
        }
        return new MapValue { Entries = Table<FieldKey, CrdtValue>.FromSorted(entries, entries.Length) };
    }

    private readonly Epoch EpochAt(int index) => _epochs is null ? Whole.Ranges[0].Epoch : _epochs[index];

    private Epoch OneEpoch()
    {
        var index = VarInt();
        if (index < (ulong)_epochCount) return EpochAt((int)index);
        if (index > (ulong)_epochCount || Whole.Base == Epoch.None) throw Corrupt($"epoch {index} of {_epochCount}");
        var below = VarInt();
        return below < (ulong)Whole.Base.Value ? new Epoch(Whole.Base.Value - (long)below) : throw Corrupt($"an epoch {below} below {Whole.Base.Value}");
    }
}
