using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using ShardCloud.Bench.Partition;

// Question: does the partitioner cut as little as METIS does, within the same imbalance of 5 %, and how long does it take? Bars in bench/README.md.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
if (args is ["once", var name, var parts])
{
    Speed.Once(name, int.Parse(parts, CultureInfo.InvariantCulture));
    return 0;
}
var settings = Settings.Of(args);
Console.WriteLine($"Commit {settings.Commit}, {RuntimeInformation.FrameworkDescription}, {Environment.ProcessorCount} processors, one used.{(Metis.IsThere ? "" : " METIS is not installed (Debian: apt-get install metis): only ours is measured.")}");
Console.WriteLine();
var isKept = true;
var (quality, speed) = (new List<QualityLine>(), new List<SpeedLine>());
if (settings.Only is "all" or "quality")
{
    quality = Quality.Run(settings);
    var ratios = quality.Where(line => line.Ratio is > 0).Select(line => line.Ratio!.Value).ToList();
    if (ratios.Count > 0)
    {
        var (mean, worst) = (Math.Exp(ratios.Average(Math.Log)), ratios.Max());
        Console.WriteLine();
        Console.WriteLine($"Cut : METIS's k-way, geometric mean {mean:0.000} (bar {Quality.MeanBar}), worst {worst:0.000} (bar {Quality.WorstBar}); worst imbalance {quality.Max(line => line.Imbalance):0.0000} (bar 0.05).");
        isKept &= mean <= Quality.MeanBar && worst <= Quality.WorstBar;
    }
    isKept &= quality.All(line => line.Imbalance <= 0.0501);
    Console.WriteLine();
}
if (settings.Only is "all" or "speed") speed.AddRange(Speed.Run(isLarge: false));
if (settings.Only is "all") Console.WriteLine();
if (settings.Only is "all" or "large") speed.AddRange(Speed.Run(isLarge: true));
if (settings.Json is { } path) File.WriteAllText(path, JsonSerializer.Serialize(new { settings.Commit, Quality = quality, Speed = speed }, new JsonSerializerOptions { WriteIndented = true }));
return isKept ? 0 : 1;
