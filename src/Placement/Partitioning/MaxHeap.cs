namespace ShardCloud.Placement.Partitioning;

/// <summary>Priority queue of vertices by gain, greatest first, in which a vertex's gain can be changed: a binary heap that knows where each vertex stands.</summary>
/// <remarks>Equal gains leave it in an order that only depends on the calls made. Cost: O(log n) a call; <see cref="Clear"/> O(vertices in it).</remarks>
internal sealed class MaxHeap
{
    private int[] _place = [];
    private (long Key, int Vertex)[] _heap = [];

    public int Count { get; private set; }

    public int Top => _heap[0].Vertex;

    public long TopKey => _heap[0].Key;

    public void Reserve(int vertexCount)
    {
        if (_place.Length >= vertexCount) return;
        Clear();
        _place = new int[vertexCount];
        _heap = new (long, int)[vertexCount];
        Array.Fill(_place, -1);
    }

    public bool Contains(int vertex) => _place[vertex] >= 0;

    public long KeyOf(int vertex) => _heap[_place[vertex]].Key;

    /// <summary>Adds the vertex, or gives it another key.</summary>
    public void Set(int vertex, long key)
    {
        var at = _place[vertex];
        if (at < 0) Up(Count++, key, vertex);
        else if (key > _heap[at].Key) Up(at, key, vertex);
        else if (key < _heap[at].Key) Down(at, key, vertex);
    }

    public int Pop()
    {
        var top = _heap[0].Vertex;
        Remove(top);
        return top;
    }

    public void Remove(int vertex)
    {
        var at = _place[vertex];
        _place[vertex] = -1;
        var (key, last) = _heap[--Count];
        if (at == Count) return;
        if (key > _heap[at].Key) Up(at, key, last);
        else Down(at, key, last);
    }

    public void Clear()
    {
        for (var i = 0; i < Count; i++) _place[_heap[i].Vertex] = -1;
        Count = 0;
    }

    private void Up(int at, long key, int vertex)
    {
        var (heap, place) = (_heap, _place);
        while (at > 0)
        {
            var parent = (at - 1) >> 1;
            if (heap[parent].Key >= key) break;
            heap[at] = heap[parent];
            place[heap[at].Vertex] = at;
            at = parent;
        }
        heap[at] = (key, vertex);
        place[vertex] = at;
    }

    private void Down(int at, long key, int vertex)
    {
        var (heap, place) = (_heap, _place);
        while (true)
        {
            var child = (at << 1) + 1;
            if (child >= Count) break;
            if (child + 1 < Count && heap[child + 1].Key > heap[child].Key) child++;
            if (heap[child].Key <= key) break;
            heap[at] = heap[child];
            place[heap[at].Vertex] = at;
            at = child;
        }
        heap[at] = (key, vertex);
        place[vertex] = at;
    }
}
