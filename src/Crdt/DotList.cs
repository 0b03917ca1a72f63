using System.Buffers;

namespace ShardCloud.Crdt;

/// <summary>Dots in pooled memory, for the length of one call.</summary>
internal ref struct DotList(Span<Dot> start)
{
    private Span<Dot> _dots = start;
    private Dot[]? _rented;

    public int Count { get; private set; }

    public readonly Span<Dot> Span => _dots[..Count];

    public void Add(Dot dot)
    {
        if (Count == _dots.Length) Grow();
        _dots[Count++] = dot;
    }

    public void Dispose()
    {
        if (_rented is not null) ArrayPool<Dot>.Shared.Return(_rented);
        this = default;
    }

    private void Grow()
    {
        var larger = ArrayPool<Dot>.Shared.Rent(Math.Max(64, 2 * Count));
        Span.CopyTo(larger);
        if (_rented is not null) ArrayPool<Dot>.Shared.Return(_rented);
        _dots = _rented = larger;
    }
}
