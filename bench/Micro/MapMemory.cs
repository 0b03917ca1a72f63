namespace ShardCloud.Bench.Micro;

/// <summary>Live heap bytes that a map holds for each placed endpoint, keys included (<c>rooms/123456</c>: 12 characters).</summary>
internal static class MapMemory
{
    public static void Print()
    {
        Console.WriteLine("| placed endpoints | bytes each |");
        Console.WriteLine("| --- | --- |");
        foreach (var count in (int[])[10_000, 100_000, 1_000_000])
        {
            GC.KeepAlive(Maps.Placed(1_000)); // What is made once is not the map's.
            var before = GC.GetTotalMemory(forceFullCollection: true);
            var map = Maps.Placed(count);
            var after = GC.GetTotalMemory(forceFullCollection: true);
            GC.KeepAlive(map);
            Console.WriteLine($"| {count:N0} | {(double)(after - before) / count:0} |");
        }
    }
}
