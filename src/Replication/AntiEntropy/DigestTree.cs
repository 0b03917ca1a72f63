using System.IO.Hashing;
using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>Digests of one side's endpoints, at one moment: a tree over key hashes, eight children a node. Immutable.</summary>
/// <remarks>
/// Entries lie in the order of their key hashes, so a node is a run of them, and its digest is the XOR of their hashes: a difference of two sums
/// that are made once. The hash of an endpoint covers its name, epoch, last sequence and document, salted: two differences that hide each
/// other in one exchange do not in the next. Not against an attacker: members are authenticated.
/// </remarks>
internal sealed class DigestTree
{
    /// <summary>Bits of the key hash a level; 2 to the power of it children a node.</summary>
    public const int LevelBits = 3;

    /// <summary>Levels at most: 2 million leaves.</summary>
    public const int DepthMax = 7;

    /// <summary>Endpoints a leaf should have: fewer cost more digests, more cost longer lists.</summary>
    private const int LeafSize = 4;

    private readonly SnapshotEndpoint[] _entries;
    private readonly ulong[] _keys;
    private readonly UInt128[] _hashes;
    private readonly UInt128[] _sums; // Of the hashes before each place.

    public DigestTree(IReadOnlyCollection<SnapshotEndpoint> endpoints, long salt)
    {
        _entries = [.. endpoints];
        _keys = new ulong[_entries.Length];
        for (var i = 0; i < _keys.Length; i++) _keys[i] = _entries[i].Endpoint.KeyHash;
        Array.Sort(_keys, _entries);
        _hashes = new UInt128[_entries.Length];
        _sums = new UInt128[_entries.Length + 1];
        using var bytes = new ByteWriter(4096);
        for (var i = 0; i < _entries.Length; i++)
        {
            _hashes[i] = HashOf(_entries[i], salt, bytes);
            _sums[i + 1] = _sums[i] ^ _hashes[i];
        }
    }

    public int Count => _entries.Length;

    public UInt128 Root => _sums[^1];

    /// <summary>Levels under the root so that a leaf has few endpoints.</summary>
    public int Depth
    {
        get
        {
            var depth = 0;
            while (depth < DepthMax && Count >> (LevelBits * depth) > LeafSize) depth++;
            return depth;
        }
    }

    public SnapshotEndpoint this[int index] => _entries[index];

    public UInt128 HashAt(int index) => _hashes[index];

    public ulong KeyAt(int index) => _keys[index];

    /// <summary>Places of a node's entries: first, and one past the last.</summary>
    public (int First, int End) Range(int level, long node)
    {
        if (level == 0) return (0, Count);
        var shift = 64 - (LevelBits * level);
        var (first, last) = ((ulong)node << shift, ((ulong)node << shift) | ((1UL << shift) - 1));
        return (AtOrAbove(first), last == ulong.MaxValue ? Count : AtOrAbove(last + 1));
    }

    public UInt128 DigestOf(int level, long node)
    {
        var (first, end) = Range(level, node);
        return _sums[first] ^ _sums[end];
    }

    /// <summary>The entry of a key hash; -1 when there is none. Endpoints of one hash are one identity to Grants too.</summary>
    public int Find(ulong key)
    {
        var index = AtOrAbove(key);
        return index < Count && _keys[index] == key ? index : -1;
    }

    public static UInt128 HashOf(in SnapshotEndpoint endpoint, long salt, ByteWriter buffer)
    {
        buffer.Reset();
        buffer.Text(endpoint.Endpoint.Value);
        endpoint.Sequences.Write(buffer);
        DocumentCodec.Encode(endpoint.Document, buffer);
        return XxHash128.HashToUInt128(buffer.Written, salt);
    }

    private int AtOrAbove(ulong key)
    {
        var (low, high) = (0, _keys.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_keys[middle] < key) low = middle + 1;
            else high = middle;
        }
        return low;
    }
}
