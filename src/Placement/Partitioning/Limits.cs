namespace ShardCloud.Placement.Partitioning;

/// <summary>What each part should weigh, and what it may weigh at most.</summary>
internal sealed class Limits
{
    private Limits(double[] targets, int[] max) => (Targets, Max) = (targets, max);

    public double[] Targets { get; }

    public int[] Max { get; }

    public int Parts => Max.Length;

    public static Limits Of(PartitionOptions options, int weight)
    {
        var shares = options.Shares is { } given ? [.. given] : Enumerable.Repeat(1.0, options.Parts).ToArray();
        return Of(shares, options.Imbalance, weight);
    }

    public static Limits Of(double[] shares, double imbalance, int weight)
    {
        double sum = 0;
        foreach (var share in shares) sum += share;
        var targets = new double[shares.Length];
        var max = new int[shares.Length];
        for (var p = 0; p < shares.Length; p++)
        {
            targets[p] = sum > 0 ? shares[p] / sum * weight : 0;
            // A hair over, so that a share which is a whole number is not rounded up to the next by its last bit.
            max[p] = (int)Math.Min(int.MaxValue, Math.Max(Math.Ceiling(targets[p] - 1e-6), Math.Floor((targets[p] * (1 + imbalance)) + 1e-6)));
        }
        return new Limits(targets, max);
    }
}
