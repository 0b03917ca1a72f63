namespace ShardCloud.Placement.Rebalancing;

/// <summary>Where each entry is, and what each shard carries then; changed move by move.</summary>
internal sealed class PlacementState
{
    // Sums of doubles are exact to about this much of a share.
    private const double Rounding = 1e-9;

    private readonly PlacementModel _model;
    private readonly double[]? _carried;

    // Whether a shard reads a partition; of each partition, how many shards do, and how many may.
    private readonly bool[]? _reads;
    private readonly int[] _readers = [], _readersMax = [];

    public PlacementState(PlacementModel model)
    {
        _model = model;
        At = [.. model.Owner];
        Loads = new double[model.Shards];
        for (var i = 0; i < At.Length; i++) Loads[At[i]] += model.Load[i];
        if (model.EntryLoads is not null)
        {
            _carried = new double[model.Shards * PlacementModel.Dimensions];
            for (var i = 0; i < At.Length; i++) Carry(i, At[i], 1);
        }
        if (model.PartitionOf is null) return;
        var partitions = model.Inputs.Partitions;
        (_reads, _readers) = (new bool[model.Shards * partitions], new int[partitions]);
        foreach (var (shard, partition) in model.Inputs.Readers) Own(shard, partition);
        for (var i = 0; i < At.Length; i++) Own(At[i], model.PartitionOf[i]);
        _readersMax = [.. _readers.Select(today => Math.Max(today, model.Inputs.Policy.ReadersMax))];
    }

    /// <summary>The shard of each entry.</summary>
    public int[] At { get; }

    /// <summary>Load of each shard.</summary>
    public double[] Loads { get; }

    /// <summary>Load of a shard as a multiple of its share; 0 where it has none.</summary>
    public double Relative(int shard) => _model.Share[shard] > 0 ? Loads[shard] / _model.Share[shard] : 0;

    /// <summary>Moves an entry.</summary>
    public void Move(int entry, int to)
    {
        var from = At[entry];
        Loads[from] -= _model.Load[entry];
        Loads[to] += _model.Load[entry];
        if (_carried is not null)
        {
            Carry(entry, from, -1);
            Carry(entry, to, 1);
        }
        if (_reads is not null) Own(to, _model.PartitionOf![entry]);
        At[entry] = to;
    }

    /// <summary>True when the entry may be there by all but its load: version, readiness, readers of its partition, and whom it must not be with, today or once pins are kept.</summary>
    public bool MayBeAt(int entry, int shard)
    {
        if (!_model.Takes[shard] || _model.Group[shard] != _model.Group[At[entry]]) return false;
        if (!MayRead(shard, [entry])) return false;
        return !_model.ApartOf.TryGetValue(entry, out var others) || !Array.Exists(others, other => At[other] == shard || _model.Pin[other] == shard);
    }

    /// <summary>True when no partition of these entries has more readers than it may, with the shard as one of them.</summary>
    public bool MayRead(int shard, ReadOnlySpan<int> entries)
    {
        if (_reads is null) return true;
        foreach (var entry in entries)
        {
            var partition = _model.PartitionOf![entry];
            if (!_reads[(shard * _readers.Length) + partition] && _readers[partition] >= _readersMax[partition]) return false;
        }
        return true;
    }

    /// <summary>True when these entries, none of which is there, can be added to the shard: by its capacity, by the readers of their partitions, and at most <paramref name="over"/> of a share above what it must carry.</summary>
    public bool HasRoom(int shard, ReadOnlySpan<int> entries, double over)
    {
        var (sum, least) = (Loads[shard], LeastOf(shard));
        foreach (var entry in entries)
        {
            sum += _model.Load[entry];
            least = Math.Max(least, _model.Load[entry]);
        }
        return sum <= least + ((over + Rounding) * _model.Share[shard]) && IsWithinCapacity(shard, entries) && MayRead(shard, entries);
    }

    /// <summary>Load above <paramref name="over"/> of a share more than the shard must carry; 0 or below where there is none.</summary>
    public double Excess(int shard, double over) => Loads[shard] - LeastOf(shard) - ((over + Rounding) * _model.Share[shard]);

    /// <summary>True when the capacity of the shard allows these too, none of which is there.</summary>
    public bool IsWithinCapacity(int shard, ReadOnlySpan<int> entries)
    {
        if (_carried is null) return true;
        for (var d = 0; d < PlacementModel.Dimensions; d++)
        {
            var (sum, most) = (_carried[(shard * PlacementModel.Dimensions) + d], _model.Capacity![(shard * PlacementModel.Dimensions) + d]);
            foreach (var entry in entries) sum += _model.EntryLoads![(entry * PlacementModel.Dimensions) + d];
            if (sum > most * (1 + Rounding)) return false;
        }
        return true;
    }

    /// <summary>True when the shard carries more than <paramref name="over"/> of a share above what it must, or more than it can.</summary>
    public bool IsOver(int shard, double over) => Excess(shard, over) > 0 || !IsWithinCapacity(shard, []);

    /// <summary>How far above its share a shard is left: one above the limit gives until it is well below that, another may stay as it is.</summary>
    public double LeftAt(int shard) => Excess(shard, _model.High) > 0 ? _model.Low : Math.Max(_model.Low, Relative(shard) - 1);

    /// <summary>True when a shard that is over becomes less so without these: one that is over its capacity alone only by what has some of the load that is too much.</summary>
    public bool IsRelievedBy(int shard, ReadOnlySpan<int> entries, double over)
    {
        if (Excess(shard, over) > 0) return true;
        for (var d = 0; d < PlacementModel.Dimensions && _carried is not null; d++)
        {
            if (_carried[(shard * PlacementModel.Dimensions) + d] <= _model.Capacity![(shard * PlacementModel.Dimensions) + d] * (1 + Rounding)) continue;
            foreach (var entry in entries)
                if (_model.EntryLoads![(entry * PlacementModel.Dimensions) + d] > 0) return true;
        }
        return false;
    }

    /// <summary>Weight of the edges whose ends are at different shards.</summary>
    public double Cut()
    {
        double cut = 0;
        foreach (var edge in _model.Inputs.Edges)
            if (At[edge.A] != At[edge.B]) cut += edge.Weight;
        return cut;
    }

    /// <summary>How good it is.</summary>
    public PlacementQuality Quality()
    {
        double most = 0;
        for (var s = 0; s < _model.Shards; s++)
            if (_model.Takes[s]) most = Math.Max(most, Relative(s));
        return new PlacementQuality(_model.TotalWeight > 0 ? Cut() / _model.TotalWeight : 0, Math.Max(0, most - 1));
    }

    // Its share; or its heaviest entry, where that alone is more: whoever has it must carry it.
    private double LeastOf(int shard)
    {
        var least = _model.Share[shard];
        foreach (var entry in _model.Heavy)
            if (At[entry] == shard) least = Math.Max(least, _model.Load[entry]);
        return least;
    }

    // Who gives all of a partition away still reads it for a while: it makes room in the next round.
    private void Own(int shard, int partition)
    {
        ref var reads = ref _reads![(shard * _readers.Length) + partition];
        if (!reads) _readers[partition]++;
        reads = true;
    }

    private void Carry(int entry, int shard, int sign)
    {
        for (var d = 0; d < PlacementModel.Dimensions; d++)
            _carried![(shard * PlacementModel.Dimensions) + d] += sign * _model.EntryLoads![(entry * PlacementModel.Dimensions) + d];
    }
}
