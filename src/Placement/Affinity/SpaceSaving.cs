namespace ShardCloud.Placement.Affinity;

/// <summary>The heaviest keys of a stream in bounded memory: space-saving (Metwally, Agrawal, El Abbadi: "Efficient computation of frequent and top-k elements in data streams", 2005), for any weights.</summary>
/// <remarks>
/// So many keys have a cell. Another key takes the cell of the lightest, with its weight, for that is the most it may have had without being seen; it is its error. So for every key, with W the weight of all
/// additions: <c>weight - error &lt;= true weight &lt;= weight</c> and <c>error &lt;= W / capacity</c>; a key heavier than that has a cell. Cells lie in arrays with a heap over them by weight:
/// O(log capacity) and 0 B an addition. Not thread-safe.
/// </remarks>
public sealed class SpaceSaving
{
    private readonly Cell[] _cells;
    private readonly int[] _heap; // Lightest first; cells.
    private readonly int[] _buckets; // First cell of a chain, plus one.
    private readonly int _mask;

    /// <summary>Room for so many keys, at least 1.</summary>
    public SpaceSaving(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        (_cells, _heap) = (new Cell[capacity], new int[capacity]);
        _buckets = new int[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)capacity)];
        _mask = _buckets.Length - 1;
    }

    /// <summary>Cells in use; their places are from 0 to one less.</summary>
    public int Count { get; private set; }

    /// <summary>Adds to a key.</summary>
    /// <param name="a">First half of the key.</param>
    /// <param name="b">Second half.</param>
    /// <param name="weight">Above 0.</param>
    /// <param name="isNew">The key had no cell before: what was kept beside the cell is of another key.</param>
    /// <returns>Place of its cell.</returns>
    public int Add(ulong a, ulong b, double weight, out bool isNew)
    {
        ref var bucket = ref _buckets[BucketOf(a, b)];
        for (var at = bucket - 1; at >= 0; at = _cells[at].Next)
        {
            ref var found = ref _cells[at];
            if (found.A != a || found.B != b) continue;
            isNew = false;
            found.Weight += weight;
            Sink(found.HeapPlace);
            return at;
        }
        isNew = true;
        int place;
        double error = 0;
        if (Count < _cells.Length)
        {
            place = _heap[Count] = Count;
            _cells[place].HeapPlace = Count++;
        }
        else
        {
            place = _heap[0];
            error = _cells[place].Weight;
            Unlink(place);
        }
        ref var cell = ref _cells[place];
        (cell.A, cell.B, cell.Weight, cell.Error) = (a, b, error + weight, error);
        (cell.Next, bucket) = (bucket - 1, place + 1);
        if (error > 0) Sink(cell.HeapPlace);
        else Rise(cell.HeapPlace);
        return place;
    }

    /// <summary>What a cell holds.</summary>
    public (ulong A, ulong B, double Weight, double Error) this[int place] => (_cells[place].A, _cells[place].B, _cells[place].Weight, _cells[place].Error);

    /// <summary>Multiplies everything, by a factor above 0.</summary>
    public void Scale(double factor)
    {
        for (var i = 0; i < Count; i++)
        {
            _cells[i].Weight *= factor;
            _cells[i].Error *= factor;
        }
    }

    // The keys are hashes, so mixing is enough. A pair and its bits in another order are to differ.
    private int BucketOf(ulong a, ulong b) => (int)((((a * 0x9E3779B97F4A7C15) ^ b) * 0xC2B2AE3D27D4EB4F) >> 40) & _mask;

    private void Unlink(int place)
    {
        ref var first = ref _buckets[BucketOf(_cells[place].A, _cells[place].B)];
        if (first == place + 1)
        {
            first = _cells[place].Next + 1;
            return;
        }
        var at = first - 1;
        while (_cells[at].Next != place) at = _cells[at].Next;
        _cells[at].Next = _cells[place].Next;
    }

    private void Sink(int at)
    {
        var (place, weight) = (_heap[at], _cells[_heap[at]].Weight);
        for (var child = (2 * at) + 1; child < Count; child = (2 * at) + 1)
        {
            if (child + 1 < Count && _cells[_heap[child + 1]].Weight < _cells[_heap[child]].Weight) child++;
            if (_cells[_heap[child]].Weight >= weight) break;
            Put(at, _heap[child]);
            at = child;
        }
        Put(at, place);
    }

    private void Rise(int at)
    {
        var (place, weight) = (_heap[at], _cells[_heap[at]].Weight);
        for (; at > 0 && _cells[_heap[(at - 1) / 2]].Weight > weight; at = (at - 1) / 2) Put(at, _heap[(at - 1) / 2]);
        Put(at, place);
    }

    private void Put(int at, int place)
    {
        _heap[at] = place;
        _cells[place].HeapPlace = at;
    }

    private struct Cell
    {
        public ulong A, B;
        public double Weight, Error;
        public int Next, HeapPlace; // Next of the chain; -1: none.
    }
}
