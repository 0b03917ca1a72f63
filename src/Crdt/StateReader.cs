using System.Buffers.Binary;
using System.Text;
using Totals = ShardCloud.Crdt.PnCounter.Totals;

namespace ShardCloud.Crdt;

/// <summary>Reads the format of docs/protocol/state-codec.md from bytes that nobody vouches for.</summary>
/// <remarks>
/// Every loop consumes input, counts are checked against the bytes left before anything is allocated by them, nesting is bounded: memory and time
/// are proportional to the input, and the input is bounded. What comes out keeps the document's invariants: each live dot once, and in the context.
/// </remarks>
internal ref struct StateReader
{
    private readonly ReadOnlySpan<byte> _bytes;
    private readonly List<Dot> _dots = [];
    private CausalContext _context;
    private Epoch[] _epochs = [];
    private int _at;

    public StateReader(ReadOnlySpan<byte> bytes)
    {
        _bytes = bytes;
        if (bytes.Length > Limits.EncodedBytesMax) throw Corrupt($"{bytes.Length} bytes are more than the {Limits.EncodedBytesMax} allowed");
    }

    private readonly int Left => _bytes.Length - _at;

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
        _context = OneContext();
        var epochs = new List<Epoch>();
        foreach (var range in _context.Ranges)
            if (epochs.Count == 0 || epochs[^1] != range.Epoch) epochs.Add(range.Epoch);
        _epochs = epochs.ToArray();
    }

    /// <summary>The dots a delta issues: the highest ones of an epoch in its context.</summary>
    public (Epoch Epoch, long First, long Last) Issued()
    {
        var count = VarInt();
        if (count == 0) return (Epoch.None, 1, 0);
        var epoch = OneEpoch();
        var last = _context.HighestOf(epoch);
        if (count > (ulong)last) throw Corrupt($"{count} dots issued, {last} possible");
        var first = last - (long)count + 1;
        foreach (var range in _context.Ranges)
            if (range.Epoch == epoch && range.Last == last && range.First <= first) return (epoch, first, last);
        throw Corrupt("the issued dots have a gap");
    }

    public Document Content()
    {
        var fields = new OrMap(Fields(depth: 1));
        var count = Count(entryBytesMin: 16);
        var requests = new List<KeyValuePair<RequestKey, RequestRecord>>(count);
        for (var i = 0; i < count; i++)
        {
            var key = new RequestKey(Text(Limits.NameBytesMax, 1), OneDot());
            if (i > 0 && requests[^1].Key.CompareTo(key) >= 0) throw Corrupt("request records are not ascending");
            var status = VarInt();
            if (status > ushort.MaxValue) throw Corrupt($"status {status}");
            requests.Add(new(key, new RequestRecord(key.Id, (ushort)status, Text(Limits.NameBytesMax, 0), Bytes().ToArray(), Fixed(), Wire.UnZigZag(VarInt()))));
        }
        if (Left != 0) throw Corrupt($"{Left} bytes follow the end");

        _dots.Sort();
        for (var i = 1; i < _dots.Count; i++)
            if (_dots[i] == _dots[i - 1]) throw Corrupt($"dot {_dots[i]} stands in two places");
        return new Document(_context, fields, SortedTable<RequestKey, RequestRecord>.FromSorted(requests));
    }

    private SortedTable<FieldKey, CrdtValue> Fields(int depth)
    {
        var count = Count(entryBytesMin: 4);
        var entries = new List<KeyValuePair<FieldKey, CrdtValue>>(Math.Min(count, 1024));
        for (var i = 0; i < count; i++)
        {
            var name = Text(Limits.NameBytesMax, 1);
            var kind = Byte();
            var value = Body(kind, depth);
            var key = new FieldKey(name, value.Kind);
            if (i > 0 && entries[^1].Key.CompareTo(key) >= 0) throw Corrupt("fields are not ascending");
            entries.Add(new(key, value));
        }
        return SortedTable<FieldKey, CrdtValue>.FromSorted(entries);
    }

    private CrdtValue Body(byte kind, int depth)
    {
        switch (kind)
        {
            case (byte)FieldKind.Counter: return new PnCounter(Counter());
            case (byte)FieldKind.Register: return new LwwRegister(Register());
            case (byte)FieldKind.Set: return new AddWinsSet(Set());
            case (byte)FieldKind.Map:
                if (depth == Limits.MapDepthMax) throw Corrupt("maps nest too deep");
                var entries = Fields(depth + 1);
                return entries.Count > 0 ? new OrMap(entries) : throw Corrupt("an empty map");
            case StateWriter.FragmentsKind: return Fragments();
            case >= StateWriter.FirstPrefixedKind: return new OpaqueField((FieldKind)kind, [new(_context, Bytes().ToArray())]);
            default: throw Corrupt($"field type {kind}");
        }
    }

    private Dotted<Totals>[] Counter()
    {
        var entries = new Dotted<Totals>[NotEmpty(Count(entryBytesMin: 4))];
        for (var i = 0; i < entries.Length; i++)
        {
            entries[i] = new(OneDot(), new Totals(NotNegative(), NotNegative()));
            if (i > 0 && entries[i - 1].Dot.CompareTo(entries[i].Dot) >= 0) throw Corrupt("dots are not ascending");
        }
        return entries;
    }

    private Dotted<LwwRegister.RegisterEntry>[] Register()
    {
        var entries = new Dotted<LwwRegister.RegisterEntry>[NotEmpty(Count(entryBytesMin: 4))];
        for (var i = 0; i < entries.Length; i++)
        {
            entries[i] = new(OneDot(), new(OneValue()));
            if (i > 0 && entries[i - 1].Dot.CompareTo(entries[i].Dot) >= 0) throw Corrupt("dots are not ascending");
        }
        return entries;
    }

    private SortedTable<AddWinsSet.Element, AddWinsSet.Nothing> Set()
    {
        var count = NotEmpty(Count(entryBytesMin: 4));
        var entries = new List<KeyValuePair<AddWinsSet.Element, AddWinsSet.Nothing>>(count);
        for (var i = 0; i < count; i++)
        {
            var element = new AddWinsSet.Element(OneValue(), OneDot());
            if (i > 0 && entries[^1].Key.CompareTo(element) >= 0) throw Corrupt("elements are not ascending");
            entries.Add(new(element, default));
        }
        return SortedTable<AddWinsSet.Element, AddWinsSet.Nothing>.FromSorted(entries);
    }

    private OpaqueField Fragments()
    {
        var kind = Byte();
        if (kind < StateWriter.FirstPrefixedKind) throw Corrupt($"fragments of the known type {kind}");
        var fragments = new OpaqueField.Fragment[NotEmpty(Count(entryBytesMin: 2))];
        for (var i = 0; i < fragments.Length; i++)
        {
            fragments[i] = new(OneContext(), Bytes().ToArray());
            if (i > 0 && fragments[i - 1].CompareTo(fragments[i]) >= 0) throw Corrupt("fragments are not ascending");
        }
        if (fragments is [var only] && only.Context == _context) throw Corrupt("a single fragment in the long form");
        return new OpaqueField((FieldKind)kind, fragments);
    }

    private CausalContext OneContext()
    {
        var ranges = new List<DotRange>();
        var epochs = Count(entryBytesMin: 4);
        var epoch = 0L;
        for (var e = 0; e < epochs; e++)
        {
            var step = VarInt();
            if ((step == 0 && e > 0) || step > (ulong)(long.MaxValue - epoch)) throw Corrupt("epochs are not ascending");
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
                var first = last + (long)gap + 1;
                last = first + (long)length;
                ranges.Add(new DotRange(new Epoch(epoch), first, last));
            }
        }
        return CausalContext.FromSorted(ranges);
    }

    private Value OneValue()
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
            case ValueKind.Bool:
                var truth = Byte();
                return truth <= 1 ? Value.Of(truth == 1) : throw Corrupt($"truth value {truth}");
            case ValueKind.Bytes: return Value.Of(Bytes());
            default: throw Corrupt($"value type {kind}");
        }
    }

    private Epoch OneEpoch()
    {
        var index = VarInt();
        return index < (ulong)_epochs.Length ? _epochs[index] : throw Corrupt($"epoch {index} of {_epochs.Length}");
    }

    private Dot OneDot()
    {
        var epoch = OneEpoch();
        var sequence = VarInt();
        if (sequence is 0 or > (ulong)Dot.SequenceMax) throw Corrupt($"sequence {sequence}");
        var dot = new Dot(epoch, (long)sequence);
        if (!_context.Contains(dot)) throw Corrupt($"dot {dot} is live but not in the context");
        _dots.Add(dot);
        return dot;
    }

    private byte Byte() => _at < _bytes.Length ? _bytes[_at++] : throw Corrupt("it ends too early");

    private ulong VarInt()
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

    private long NotNegative() => VarInt() is var value && value <= long.MaxValue ? (long)value : throw Corrupt("a total over 63 bits");

    private ulong Fixed()
    {
        if (Left < 8) throw Corrupt("it ends too early");
        var value = BinaryPrimitives.ReadUInt64LittleEndian(_bytes[_at..]);
        _at += 8;
        return value;
    }

    private int Count(int entryBytesMin)
    {
        var count = VarInt();
        return count <= (ulong)(Left / entryBytesMin) ? (int)count : throw Corrupt($"{count} entries do not fit in {Left} bytes");
    }

    private readonly int NotEmpty(int count) => count > 0 ? count : throw Corrupt("an empty value");

    private ReadOnlySpan<byte> Bytes()
    {
        var length = VarInt();
        if (length > (ulong)Left) throw Corrupt($"{length} bytes do not fit in {Left}");
        var bytes = _bytes.Slice(_at, (int)length);
        _at += (int)length;
        return bytes;
    }

    private string Text(int bytesMax, int bytesMin)
    {
        var bytes = Bytes();
        if (bytes.Length > bytesMax || bytes.Length < bytesMin) throw Corrupt($"a name of {bytes.Length} bytes");
        try
        {
            return Value.Utf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw Corrupt("text that is not UTF-8");
        }
    }
}
