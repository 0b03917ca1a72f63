using System.Runtime.CompilerServices;
using ShardCloud.Compat.Tests.Samples;

namespace ShardCloud.Compat.Tests;

/// <summary>What released versions wrote, in files (released/README.md).</summary>
internal static class Released
{
    /// <summary>The release that the tests record for: the last one, or the one to come while it is not out.</summary>
    public const string Current = "0.1";

    /// <summary>Where today's code writes other bytes for the same values than a release did, and why that is well: <c>0.1/log/grant</c> -> reason. Both are read by both.</summary>
    public static readonly IReadOnlyDictionary<string, string> KnownDifferences = new Dictionary<string, string>();

    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "released");

    public static IReadOnlyList<Sample> Samples { get; } = [.. LogSamples.All(), .. ExchangeSamples.All(), .. MapSamples.All(), .. JsonSamples.All(), .. SocketSamples.All(), .. RecordSamples.All()];

    public static IEnumerable<string> Versions => Directory.GetDirectories(Folder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal);

    /// <summary>A sample as a release wrote it, and what was read from it then; null when that release did not write it.</summary>
    public static (string Written, string Meaning)? Read(string version, string name)
    {
        var file = Path.Combine(Folder, version, name + ".txt");
        if (!File.Exists(file)) return null;
        var text = File.ReadAllText(file).ReplaceLineEndings("\n");
        return (text[..text.IndexOf('\n')], text[(text.IndexOf('\n') + 1)..].TrimEnd('\n'));
    }

    /// <summary>Names of the samples of a release.</summary>
    public static IEnumerable<string> NamesOf(string version) => Directory.GetFiles(Path.Combine(Folder, version), "*.txt", SearchOption.AllDirectories)
        .Select(file => Path.GetRelativePath(Path.Combine(Folder, version), file)[..^4].Replace('\\', '/')).Order(StringComparer.Ordinal);

    /// <summary>Histories of a release: path under its folder.</summary>
    public static IEnumerable<string> HistoriesOf(string version) => Directory.Exists(Path.Combine(Folder, version, "histories"))
        ? Directory.GetFiles(Path.Combine(Folder, version, "histories"), "*.jsonl", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(Folder, file).Replace('\\', '/')).Order(StringComparer.Ordinal)
        : [];

    public static string[] LinesOf(string history) => File.ReadAllLines(Path.Combine(Folder, history));

    /// <summary>Writes the samples of today's code into the repository.</summary>
    public static void Record([CallerFilePath] string here = "")
    {
        foreach (var sample in Samples)
        {
            var file = Path.Combine(Path.GetDirectoryName(here)!, "released", Current, sample.Name + ".txt");
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            var written = sample.Write();
            File.WriteAllText(file, $"{written}\n{(sample.IsJson ? "" : sample.Read(written) + "\n")}");
        }
    }
}
