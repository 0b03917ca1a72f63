using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using ShardCloud.Bench.Placement;

CultureInfo.CurrentCulture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
CultureInfo.CurrentCulture.NumberFormat.PercentPositivePattern = 0; // 5.0 %
var isJson = args.Contains("--json");
string? Value(string name) => Array.IndexOf(args, name) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : null;

var only = Value("--only");
var say = isJson ? _ => { } : (Action<string>)Console.WriteLine;
say($"# Placement, {DateTime.UtcNow:d MMMM yyyy}\n\nMachine: {Environment.ProcessorCount} cores, other work beside it. Runtime: {RuntimeInformation.FrameworkDescription}, {RuntimeInformation.OSDescription}. Commit: {Value("--commit") ?? "not named"}.");
var results = Scenario.All.Where(scenario => only is null || scenario.Name.StartsWith(only, StringComparison.Ordinal)).Select(scenario => scenario.Run(say)).ToList();
if (isJson) Console.WriteLine(JsonSerializer.Serialize(results, new JsonSerializerOptions(JsonSerializerDefaults.Web) { WriteIndented = true }));
foreach (var broken in results.Where(result => !result.Holds)) Console.Error.WriteLine($"{broken.Name}: a bar does not hold.");
return results.All(result => result.Holds) ? 0 : 1;
