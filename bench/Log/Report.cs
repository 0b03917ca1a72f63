using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace ShardCloud.Bench.Log;

/// <summary>A dated page with the machine named, and the figures once more as JSON.</summary>
internal sealed class Report
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    private readonly StringBuilder _text = new();
    private readonly Settings _settings;
    private readonly string _name;

    public Report(string name, string title, Settings settings)
    {
        (_name, _settings) = (name, settings);
        Line($"# {title}, {DateTime.UtcNow.ToString("d MMMM yyyy, HH:mm", CultureInfo.InvariantCulture)} UTC");
        Line("");
        Line($"Machine: {Environment.ProcessorCount} cores, {Processor()}. Runtime: {RuntimeInformation.FrameworkDescription}, {RuntimeInformation.OSDescription}. Commit: {settings.Commit}.");
    }

    public void Line(string line) => _text.Append(line).Append('\n');

    public void Row(params string[] cells) => Line($"| {string.Join(" | ", cells)} |");

    public void Write(object figures)
    {
        Console.Write(_text);
        if (_settings.Output.Length == 0) return;
        var path = Path.Combine(_settings.Output, $"{DateTime.UtcNow:yyyy-MM-dd}-{_name}");
        File.WriteAllText(path + ".md", _text.ToString());
        File.WriteAllText(path + ".json", JsonSerializer.Serialize(figures, Indented) + "\n");
    }

    private static string Processor()
    {
        var line = File.Exists("/proc/cpuinfo") ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal)) : null;
        return line?[(line.IndexOf(':') + 1)..].Trim() ?? RuntimeInformation.ProcessArchitecture.ToString();
    }
}
