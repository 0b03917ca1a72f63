using System.Globalization;

namespace ShardCloud.Crdt;

/// <summary>A register of one .NET type; see <see cref="RegisterHandle"/>.</summary>
/// <typeparam name="T">string, long, int, double, bool, byte[], Guid, DateTimeOffset or an enum.</typeparam>
public readonly struct RegisterHandle<T>
{
    private readonly RegisterHandle _register;

    /// <summary>Reads and writes a register as this type.</summary>
    /// <exception cref="NotSupportedException">A register cannot hold the type.</exception>
    public RegisterHandle(RegisterHandle register)
    {
        if (!TypedValue<T>.IsSupported)
            throw new NotSupportedException($"A register cannot hold {typeof(T).Name}. Use string, long, int, double, bool, byte[], Guid, DateTimeOffset or an enum, or serialize to text or bytes.");
        _register = register;
    }

    /// <summary>True when there is a value.</summary>
    public bool HasValue => !_register.Value.IsNone;

    /// <summary>The value; <c>default</c> when there is none.</summary>
    /// <exception cref="InvalidOperationException">The register holds a value of another type.</exception>
    /// <exception cref="OverflowException">The number does not fit in the type.</exception>
    public T? Value => HasValue ? TypedValue<T>.From(_register.Value) : default;

    /// <summary>Writes.</summary>
    public void Set(T value) => _register.Set(TypedValue<T>.To(value));

    /// <summary>Takes the value away.</summary>
    public void Clear() => _register.Clear();
}

/// <summary>.NET types as values: numbers as 64 bits, times as milliseconds since 1970, Guids as 16 bytes, enums as their number.</summary>
internal static class TypedValue<T>
{
    public static bool IsSupported { get; } = typeof(T).IsEnum || typeof(T) == typeof(string) || typeof(T) == typeof(long) || typeof(T) == typeof(int) ||
        typeof(T) == typeof(double) || typeof(T) == typeof(bool) || typeof(T) == typeof(byte[]) || typeof(T) == typeof(Guid) || typeof(T) == typeof(DateTimeOffset);

    public static Value To(T value) => value switch
    {
        string text => Value.Of(text),
        long number => Value.Of(number),
        int number => Value.Of(number),
        double number => Value.Of(number),
        bool truth => Value.Of(truth),
        byte[] bytes => Value.Of(bytes.AsSpan()),
        Guid id => Value.Of(id.ToByteArray(bigEndian: true).AsSpan()),
        DateTimeOffset time => Value.Of(time.ToUnixTimeMilliseconds()),
        Enum number => Value.Of(Convert.ToInt64(number, CultureInfo.InvariantCulture)),
        _ => throw new ArgumentNullException(nameof(value), "A register holds a value; use Clear to take it away."),
    };

    public static T From(Value value)
    {
        object read = typeof(T) switch
        {
            var type when type.IsEnum => Enum.ToObject(type, value.AsInt64()),
            var type when type == typeof(string) => value.AsString(),
            var type when type == typeof(long) => value.AsInt64(),
            var type when type == typeof(int) => checked((int)value.AsInt64()),
            var type when type == typeof(double) => value.AsDouble(),
            var type when type == typeof(bool) => value.AsBool(),
            var type when type == typeof(byte[]) => value.AsBytes().ToArray(),
            var type when type == typeof(Guid) => new Guid(value.AsBytes().Span, bigEndian: true),
            _ => DateTimeOffset.FromUnixTimeMilliseconds(value.AsInt64()),
        };
        return (T)read;
    }
}
