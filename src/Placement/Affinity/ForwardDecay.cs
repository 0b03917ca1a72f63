namespace ShardCloud.Placement.Affinity;

/// <summary>What an event counts, so that all fade by half in a half-life and no counter is ever touched for that: forward decay (Cormode, Shkapenyuk, Srivastava, Xu: "Forward decay: a practical time decay model for streaming systems", 2009).</summary>
/// <remarks>An event at t counts 2^((t - L) / half-life); what was counted is divided by the same of now when it is read. Time goes in steps of a 1,024th of the half-life. Not thread-safe.</remarks>
internal sealed class ForwardDecay(double halfLifeSeconds)
{
    /// <summary>Half-lives after which counts are brought down, long before a double is full.</summary>
    private const double ExponentMax = 200;

    private readonly double _steps = 1024 / halfLifeSeconds;
    private double _landmark;
    private long _step = -1;
    private double _weight = 1;

    /// <summary>What an event counts now; time may not go back by more than counts are worth.</summary>
    /// <param name="now">Seconds since any moment.</param>
    /// <param name="factor">What everything counted so far is to be multiplied by first; 1: nothing is to be done.</param>
    public double WeightAt(double now, out double factor)
    {
        factor = 1;
        var step = (long)(now * _steps);
        if (step == _step) return _weight;
        var exponent = ((step / _steps) - _landmark) / halfLifeSeconds;
        if (exponent > ExponentMax)
        {
            factor = Math.Pow(2, -exponent);
            _landmark = step / _steps;
            exponent = 0;
        }
        _step = step;
        return _weight = Math.Pow(2, exponent);
    }
}
