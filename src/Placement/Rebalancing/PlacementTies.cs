using System.Runtime.CompilerServices;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>How much some entries are used with what is at each shard.</summary>
internal sealed class PlacementTies(PlacementModel model)
{
    private readonly double[] _weights = new double[model.Shards];
    private readonly bool[] _isTouched = new bool[model.Shards];
    private readonly bool[] _isInside = new bool[model.Entries];
    private readonly List<int> _shards = [];

    /// <summary>Shards with an entry that these are used with, or where one of them is, or is today.</summary>
    public IReadOnlyList<int> Shards => _shards;

    /// <summary>Weight of the edges among these entries.</summary>
    public double Inside { get; private set; }

    /// <summary>Of the edges of these entries, among them and to others, the weight that is not cut now.</summary>
    public double Kept { get; private set; }

    /// <summary>Weight of the edges from these entries to others at the shard.</summary>
    public double To(int shard) => _weights[shard];

    /// <summary>Looks at these entries as all entries are placed in <paramref name="at"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Look(ReadOnlySpan<int> entries, int[] at)
    {
        foreach (var shard in _shards) (_weights[shard], _isTouched[shard]) = (0, false);
        _shards.Clear();
        (Inside, Kept) = (0, 0);
        foreach (var entry in entries) _isInside[entry] = true;
        var (first, ends, weights) = (model.First, model.Ends, model.Weights);
        foreach (var entry in entries)
        {
            Touch(at[entry]);
            Touch(model.Owner[entry]);
            for (var i = first[entry]; i < first[entry + 1]; i++)
            {
                var (other, weight) = (ends[i], weights[i]);
                if (_isInside[other])
                {
                    Inside += weight / 2;
                    if (at[other] == at[entry]) Kept += weight / 2;
                    continue;
                }
                Touch(at[other]);
                _weights[at[other]] += weight;
                if (at[other] == at[entry]) Kept += weight;
            }
        }
        foreach (var entry in entries) _isInside[entry] = false;
    }

    /// <summary>What is saved by moving one entry, all others staying: below 0 where more is cut then.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double Gain(PlacementModel model, int[] at, int entry, int to)
    {
        var (gain, from, ends, weights) = (0.0, at[entry], model.Ends, model.Weights);
        for (var i = model.First[entry]; i < model.First[entry + 1]; i++)
        {
            var other = at[ends[i]];
            if (other == to) gain += weights[i];
            else if (other == from) gain -= weights[i];
        }
        return gain;
    }

    private void Touch(int shard)
    {
        if (_isTouched[shard]) return;
        _isTouched[shard] = true;
        _shards.Add(shard);
    }
}
