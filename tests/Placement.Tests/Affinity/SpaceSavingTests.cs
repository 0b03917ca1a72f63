using CsCheck;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Placement.Tests.Affinity;

/// <summary>The heaviest keys in bounded memory, against an exact count.</summary>
public sealed class SpaceSavingTests
{
    // Few keys come often and many seldom, as in use; weights differ, as decayed ones do.
    private static readonly Gen<(ulong Key, double Weight)[]> Streams =
        Gen.Select(Gen.Double[0, 1], Gen.Double[0.1, 4]).Select((x, weight) => ((ulong)(1 + (200 * x * x * x)), weight)).Array[1, 2_000];

    [Fact]
    public void Estimates_AreAboveTheTruth_ByNoMoreThanTheBound_AndTheSurePart_IsNotAboveIt() => Gen.Select(Streams, Gen.Int[1, 64]).Sample((stream, capacity) =>
    {
        var (sketch, exact) = (new SpaceSaving(capacity), new Dictionary<ulong, double>());
        foreach (var (key, weight) in stream)
        {
            sketch.Add(key, ~key, weight, out _);
            exact[key] = exact.GetValueOrDefault(key) + weight;
        }

        var bound = exact.Values.Sum() / capacity;
        var told = Enumerable.Range(0, sketch.Count).ToDictionary(place => sketch[place].A, place => sketch[place]);
        Assert.Equal(Math.Min(capacity, exact.Count), told.Count);
        foreach (var (key, (a, b, weight, error)) in told)
        {
            Assert.Equal((key, ~key), (a, b));
            Assert.InRange(weight - exact[key], -1e-6, bound + 1e-6);
            Assert.InRange(error, 0, bound + 1e-6);
            Assert.True(weight - error <= exact[key] + 1e-6, $"{weight} - {error} > {exact[key]}");
        }
        foreach (var (key, weight) in exact) Assert.True(weight <= bound + 1e-6 || told.ContainsKey(key), $"{key} weighs {weight}, the bound is {bound}, and it has no cell");
    }, iter: 200);

    [Fact]
    public void WithADoorkeeper_TheSurePartIsStillNotAboveTheTruth_AndWhatIsKeptIsOfItsKey() => Gen.Select(Streams, Gen.Int[1, 64]).Sample((stream, capacity) =>
    {
        var (sketch, exact) = (new SpaceSaving(capacity, door: 16), new Dictionary<ulong, double>());
        var owners = new Dictionary<int, ulong>();
        foreach (var (key, weight) in stream)
        {
            var place = sketch.Add(key, ~key, weight, out var isNew);
            if (isNew) owners[place] = key;
            Assert.Equal(key, place < 0 ? key : owners[place]);
            exact[key] = exact.GetValueOrDefault(key) + weight;
        }
        Assert.Equal(Math.Min(capacity, exact.Count), sketch.Count);
        Assert.Equal(sketch.Count, Enumerable.Range(0, sketch.Count).Select(place => sketch[place].A).Distinct().Count());
        Assert.All(Enumerable.Range(0, sketch.Count).Select(place => sketch[place]), told => Assert.True(told.Weight - told.Error <= exact[told.A] + 1e-6));
    }, iter: 200);

    [Fact]
    public void ADoorkeeper_TurnsAwayWhatComesOnce_AndLetsInWhatComesAgain_OrWeighsMore()
    {
        var sketch = new SpaceSaving(2, door: 16);
        sketch.Add(1, 0, 1, out _);
        sketch.Add(2, 0, 1, out _);
        sketch.Add(1, 0, 2, out _); // The heap still has it as the lightest.
        for (var key = 10ul; key < 1_000; key++)
        {
            Assert.Equal((-1, false), (sketch.Add(key, 0, 1, out var isNew), isNew));
        }
        Assert.Equal(1, sketch.Add(999, 0, 1, out _)); // Again: for the lightest.
        Assert.Equal((1ul, 3.0), (sketch[0].A, sketch[0].Weight));
        Assert.Equal((999ul, 2.0, 1.0), (sketch[1].A, sketch[1].Weight, sketch[1].Error));
        Assert.Equal(1, sketch.Add(7, 0, 4.5, out _)); // More than twice the lightest.
    }

    [Fact]
    public void Scaled_ItGoesOnAsBefore()
    {
        var sketch = new SpaceSaving(2);
        sketch.Add(1, 0, 8, out _);
        sketch.Add(2, 0, 4, out _);
        sketch.Scale(0.25);
        sketch.Add(3, 0, 1, out var isNew);
        Assert.True(isNew);
        Assert.Equal([(1ul, 0ul, 2.0, 0.0), (3ul, 0ul, 2.0, 1.0)], Enumerable.Range(0, 2).Select(place => sketch[place]));
    }
}
