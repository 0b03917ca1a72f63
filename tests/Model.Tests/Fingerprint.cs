using System.Collections;
using System.Collections.Concurrent;
using System.IO.Hashing;
using System.Linq.Expressions;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using ShardCloud.Crdt;
using ShardCloud.Replication;
using ShardCloud.Routing;

namespace ShardCloud.Model.Tests;

/// <summary>What two worlds have in common when they are the same state: 128 bits over everything that a later step could depend on.</summary>
/// <remarks>
/// Of the cores every private field is walked, so that no state is forgotten when a core gets another field. Left out: delegates, tasks and locks, which hold no
/// protocol state, and replicas, which are a function of the log up to their position and are described by that.
/// </remarks>
internal sealed class Fingerprint
{
    private static readonly ConcurrentDictionary<Type, Func<object, object?>[]> Readers = [];
    private static readonly ConditionalWeakTable<Document, byte[]> Documents = [];

    private readonly MemoryStream _bytes = new(4096);
    private readonly Dictionary<object, int> _seen = new(ReferenceEqualityComparer.Instance);

    public UInt128 Value => XxHash128.HashToUInt128(_bytes.GetBuffer().AsSpan(0, (int)_bytes.Length));

    public Fingerprint Add(long value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BitConverter.TryWriteBytes(bytes, value);
        _bytes.Write(bytes);
        return this;
    }

    public Fingerprint Add(ReadOnlySpan<byte> bytes)
    {
        Add(bytes.Length);
        _bytes.Write(bytes);
        return this;
    }

    public Fingerprint Add(string text) => Add(Encoding.UTF8.GetBytes(text));

    /// <summary>Anything: walked down to its values.</summary>
    public Fingerprint Walk(object? value)
    {
        switch (value)
        {
            case null: return Add(-1);
            case string text: return Add(text);
            case byte[] bytes: return Add(bytes);
            case ReadOnlyMemory<byte> memory: return Add(memory.Span);
            case Document document: return Add(Documents.GetValue(document, DocumentCodec.ToBytes));
            case Delta delta: return Add(DocumentCodec.ToBytes(delta));
            case RoutingMap map: return Add(map.Version.Value);
            case Delegate or PartitionReplica or TemplateTable: return this;
            case TimeSpan time: return Add(time.Ticks);
            case ulong hash: return Add(unchecked((long)hash));
            case IConvertible number: return Add(number.ToInt64(null));
        }
        var type = value.GetType();
        if (type.Namespace?.StartsWith("System.Threading", StringComparison.Ordinal) == true || value is Task) return this;
        if (!type.IsValueType)
        {
            if (_seen.TryGetValue(value, out var known)) return Add(known);
            _seen[value] = _seen.Count;
        }
        Add(type.MetadataToken);
        switch (value)
        {
            case IDictionary pairs:
                Add(pairs.Count);
                foreach (var key in Sorted(pairs.Keys)) Walk(key).Walk(pairs[key]);
                return this;
            case IEnumerable items:
                var isSet = type.IsGenericType && type.GetGenericTypeDefinition() == typeof(HashSet<>);
                foreach (var item in isSet ? Sorted(items) : items) Walk(item);
                return Add(-2);
        }
        foreach (var read in Readers.GetOrAdd(type, ReadersOf)) Walk(read(value));
        return this;
    }

    private static IEnumerable<object> Sorted(IEnumerable keys) => keys.Cast<object>().OrderBy(key => key.ToString(), StringComparer.Ordinal);

    private static Func<object, object?>[] ReadersOf(Type type)
    {
        var readers = new List<Func<object, object?>>();
        for (var level = type; level is not null && level != typeof(object); level = level.BaseType)
        {
            foreach (var field in level.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            {
                var self = Expression.Parameter(typeof(object));
                readers.Add(Expression.Lambda<Func<object, object?>>(Expression.Convert(Expression.Field(Expression.Convert(self, level), field), typeof(object)), self).Compile());
            }
        }
        return [.. readers];
    }
}
