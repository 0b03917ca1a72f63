using System.Runtime.InteropServices;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>Small work on lists of places that the parts of the planner share.</summary>
internal static class Lists
{
    /// <summary>The places of each value, ascending: those of <c>v</c> stand from <c>Starts[v]</c> to <c>Starts[v + 1]</c>.</summary>
    public static (int[] Starts, int[] Places) Of(int[] values, int count)
    {
        var starts = new int[count + 1];
        foreach (var value in values) starts[value + 1]++;
        for (var value = 0; value < count; value++) starts[value + 1] += starts[value];
        var (places, next) = (new int[values.Length], starts[..^1]);
        for (var place = 0; place < values.Length; place++) places[next[values[place]]++] = place;
        return (starts, places);
    }

    /// <summary>0 to <paramref name="count"/> - 1 by descending weight; of equals the lower number first.</summary>
    public static int[] Heaviest(int count, Func<int, double> weightOf)
    {
        var (numbers, weights) = (new int[count], new double[count]);
        for (var i = 0; i < count; i++) (numbers[i], weights[i]) = (i, weightOf(i));
        Array.Sort(numbers, (left, right) => weights[right].CompareTo(weights[left]) is not 0 and var byWeight ? byWeight : left.CompareTo(right));
        return numbers;
    }

    public static ReadOnlySpan<int> Span(List<int> list) => CollectionsMarshal.AsSpan(list);
}
