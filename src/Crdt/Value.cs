using System.Globalization;
using System.Text;

namespace ShardCloud.Crdt;

/// <summary>What a <see cref="Value"/> holds. The numbers are the wire format.</summary>
public enum ValueKind : byte
{
    /// <summary>No value: a register that was never set.</summary>
    None = 0,

    /// <summary>Text.</summary>
    String = 1,

    /// <summary>A signed 64-bit number.</summary>
    Int64 = 2,

    /// <summary>A 64-bit floating point number.</summary>
    Double = 3,

    /// <summary>True or false.</summary>
    Bool = 4,

    /// <summary>Bytes.</summary>
    Bytes = 5,
}

/// <summary>One application value: text, a number, a truth value or bytes. Immutable, ordered (by kind, then content), compared bit for bit.</summary>
public readonly struct Value : IEquatable<Value>, IComparable<Value>
{
    internal static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly object? _reference;
    private readonly long _bits;

    private Value(ValueKind kind, object? reference, long bits) => (Kind, _reference, _bits) = (kind, reference, bits);

    /// <summary>What it holds.</summary>
    public ValueKind Kind { get; }

    /// <summary>True for <c>default</c>.</summary>
    public bool IsNone => Kind == ValueKind.None;

    /// <summary>Text.</summary>
    /// <exception cref="ArgumentException">The text has a surrogate without its pair, which UTF-8 cannot carry.</exception>
    public static Value Of(string text) => new(ValueKind.String, text, Utf8.GetByteCount(text));

    /// <summary>A number.</summary>
    public static Value Of(long number) => new(ValueKind.Int64, null, number);

    /// <summary>A floating point number. Every NaN is one NaN; 0 and -0 differ.</summary>
    public static Value Of(double number) => new(ValueKind.Double, null, BitConverter.DoubleToInt64Bits(double.IsNaN(number) ? double.NaN : number));

    /// <summary>A truth value.</summary>
    public static Value Of(bool truth) => new(ValueKind.Bool, null, truth ? 1 : 0);

    /// <summary>Bytes; they are copied.</summary>
    public static Value Of(ReadOnlySpan<byte> bytes) => new(ValueKind.Bytes, bytes.ToArray(), 0);

    /// <summary>See <see cref="Of(string)"/>.</summary>
    public static implicit operator Value(string text) => Of(text);

    /// <summary>See <see cref="Of(long)"/>.</summary>
    public static implicit operator Value(long number) => Of(number);

    /// <summary>See <see cref="Of(double)"/>.</summary>
    public static implicit operator Value(double number) => Of(number);

    /// <summary>See <see cref="Of(bool)"/>.</summary>
    public static implicit operator Value(bool truth) => Of(truth);

    /// <summary>See <see cref="Of(ReadOnlySpan{byte})"/>.</summary>
    public static implicit operator Value(byte[] bytes) => Of(bytes.AsSpan());

    /// <summary>The text.</summary>
    /// <exception cref="InvalidOperationException">It holds something else.</exception>
    public string AsString() => (string)Expect(ValueKind.String)._reference!;

    /// <summary>The number.</summary>
    /// <exception cref="InvalidOperationException">It holds something else.</exception>
    public long AsInt64() => Expect(ValueKind.Int64)._bits;

    /// <summary>The floating point number.</summary>
    /// <exception cref="InvalidOperationException">It holds something else.</exception>
    public double AsDouble() => BitConverter.Int64BitsToDouble(Expect(ValueKind.Double)._bits);

    /// <summary>The truth value.</summary>
    /// <exception cref="InvalidOperationException">It holds something else.</exception>
    public bool AsBool() => Expect(ValueKind.Bool)._bits != 0;

    /// <summary>The bytes.</summary>
    /// <exception cref="InvalidOperationException">It holds something else.</exception>
    public ReadOnlyMemory<byte> AsBytes() => (byte[])Expect(ValueKind.Bytes)._reference!;

    /// <inheritdoc/>
    public int CompareTo(Value other)
    {
        if (Kind != other.Kind) return Kind.CompareTo(other.Kind);
        return Kind switch
        {
            ValueKind.String => string.CompareOrdinal((string)_reference!, (string)other._reference!),
            ValueKind.Bytes => ((byte[])_reference!).AsSpan().SequenceCompareTo((byte[])other._reference!),
            _ => _bits.CompareTo(other._bits),
        };
    }

    /// <inheritdoc/>
    public bool Equals(Value other) => CompareTo(other) == 0;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Value other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        if (Kind == ValueKind.String) return HashCode.Combine(Kind, string.GetHashCode((string)_reference!, StringComparison.Ordinal));
        if (Kind != ValueKind.Bytes) return HashCode.Combine(Kind, _bits);
        var hash = new HashCode();
        hash.AddBytes((byte[])_reference!);
        return hash.ToHashCode();
    }

    /// <summary>The same kind and content.</summary>
    public static bool operator ==(Value left, Value right) => left.Equals(right);

    /// <summary>Another kind or content.</summary>
    public static bool operator !=(Value left, Value right) => !left.Equals(right);

    /// <inheritdoc/>
    public override string ToString() => Kind switch
    {
        ValueKind.String => (string)_reference!,
        ValueKind.Int64 => _bits.ToString(CultureInfo.InvariantCulture),
        ValueKind.Double => AsDouble().ToString("R", CultureInfo.InvariantCulture),
        ValueKind.Bool => _bits != 0 ? "true" : "false",
        ValueKind.Bytes => Convert.ToHexString((byte[])_reference!),
        _ => "none",
    };

    /// <summary>Bytes it takes on the wire, its kind included.</summary>
    internal int Weight => 1 + Kind switch
    {
        ValueKind.String => Wire.SizeOfBytes((int)_bits), // Text keeps its UTF-8 length: sizes are asked far more often than text is made.
        ValueKind.Int64 => Wire.SizeOf(Wire.ZigZag(_bits)),
        ValueKind.Double => 8,
        ValueKind.Bool => 1,
        ValueKind.Bytes => Wire.SizeOfBytes(((byte[])_reference!).Length),
        _ => 0,
    };

    internal static Value Max(Value left, Value right) => left.CompareTo(right) >= 0 ? left : right;

    private Value Expect(ValueKind kind) => Kind == kind ? this : throw new InvalidOperationException($"The value holds {Kind}, not {kind}.");
}
