namespace ShardCloud.Placement.Affinity;

/// <summary>The heaviest keys of a stream in bounded memory: space-saving (Metwally, Agrawal, El Abbadi: "Efficient computation of frequent and top-k elements in data streams", 2005), for any weights.</summary>
/// <remarks>
/// So many keys have a cell. Another key takes the cell of the lightest, with its weight, for that is the most it may have had without being seen; it is its error. So for every key, with W the weight of all
/// additions: <c>weight - error &lt;= true weight &lt;= weight</c> and <c>error &lt;= W / capacity</c>; a key heavier than that has a cell. Cells lie in arrays with a heap over them by the weight that each had
/// when it was last looked at: weights only grow, so the heap is put right when the lightest is asked for, not when a key that has a cell grows. Such an addition touches one cell; others cost O(log capacity)
/// amortized. 0 B an addition. Not thread-safe.
/// <para>With a doorkeeper (Einziger, Friedman, Manes: "TinyLFU: a highly efficient cache admission policy", 2017) a key that is not known takes another's cell only when it was turned away before and the door has not
/// forgotten, or when the lightest weighs less than half of what is added: what comes once and never again, most keys of a long tail, costs a look and drives out nobody. What is turned away is counted for no key:
/// then a weight may be below the truth by that; the sure part stays sure.</para>
/// </remarks>
public sealed class SpaceSaving
{
    private readonly Cell[] _cells;
    private readonly int[] _next; // Of the chain, by cell; -1: none.
    private readonly int[] _heap; // Cells, lightest first by the weights beside them.
    private readonly double[] _seen; // By place in the heap: what its cell weighed; by now it may weigh more.
    private readonly int[] _buckets; // First cell of a chain, plus one.
    private readonly int _mask;
    private readonly ushort[] _door; // Marks of keys that were turned away.

    /// <summary>Room for so many keys.</summary>
    /// <param name="capacity">At least 1.</param>
    /// <param name="door">Keys that the doorkeeper remembers, a power of 2; 0: none, everyone gets in.</param>
    public SpaceSaving(int capacity, int door = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        _door = new ushort[door];
        (_cells, _next, _heap, _seen) = (new Cell[capacity], new int[capacity], new int[capacity], new double[capacity]);
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
    /// <returns>Place of its cell; -1: it was turned away.</returns>
    public int Add(ulong a, ulong b, double weight, out bool isNew)
    {
        var mix = Mix(a, b);
        ref var bucket = ref _buckets[BucketOf(mix)];
        for (var at = bucket - 1; at >= 0; at = _next[at])
        {
            ref var found = ref _cells[at];
            if (found.A != a || found.B != b) continue;
            isNew = false;
            found.Weight += weight;
            return at;
        }
        var isFull = Count == _cells.Length;
        isNew = !isFull || IsLetIn(mix, weight);
        if (!isNew) return -1;
        var (place, error) = isFull ? Lightest() : (Count, 0);
        if (isFull) Unlink(place);
        _cells[place] = new Cell { A = a, B = b, Weight = error + weight, Error = error };
        (_next[place], bucket) = (bucket - 1, place + 1);
        if (isFull) Sink(place, error + weight);
        else Rise(Count++, place, weight);
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
            _seen[i] *= factor;
        }
    }

    // The keys are hashes, so mixing is enough. A pair and its bits in another order are to differ.
    private static ulong Mix(ulong a, ulong b) => ((a * 0x9E3779B97F4A7C15) ^ b) * 0xC2B2AE3D27D4EB4F;

    private int BucketOf(ulong mix) => (int)(mix >> 40) & _mask;

    private bool IsLetIn(ulong mix, double weight)
    {
        if (_door.Length == 0) return true;
        ref var place = ref _door[(int)(mix >> 8) & (_door.Length - 1)];
        var mark = (ushort)((mix >> 48) | 1);
        if (place == mark) return true;
        place = mark;
        return 2 * _seen[0] < weight && 2 * Lightest().Weight < weight;
    }

    private void Unlink(int place)
    {
        ref var first = ref _buckets[BucketOf(Mix(_cells[place].A, _cells[place].B))];
        if (first == place + 1)
        {
            first = _next[place] + 1;
            return;
        }
        var at = first - 1;
        while (_next[at] != place) at = _next[at];
        _next[at] = _next[place];
    }

    private (int Place, double Weight) Lightest()
    {
        while (true)
        {
            var (place, weight) = (_heap[0], _cells[_heap[0]].Weight);
            if (weight == _seen[0]) return (place, weight);
            Sink(place, weight);
        }
    }

    // From the top, where it lies.
    private void Sink(int place, double weight)
    {
        var at = 0;
        for (var child = 1; child < Count; child = (2 * at) + 1)
        {
            if (child + 1 < Count && _seen[child + 1] < _seen[child]) child++;
            if (_seen[child] >= weight) break;
            (_heap[at], _seen[at]) = (_heap[child], _seen[child]);
            at = child;
        }
        (_heap[at], _seen[at]) = (place, weight);
    }

    private void Rise(int at, int place, double weight)
    {
        for (; at > 0 && _seen[(at - 1) / 2] > weight; at = (at - 1) / 2) (_heap[at], _seen[at]) = (_heap[(at - 1) / 2], _seen[(at - 1) / 2]);
        (_heap[at], _seen[at]) = (place, weight);
    }

    private struct Cell
    {
        public ulong A, B;
        public double Weight, Error;
    }
}
