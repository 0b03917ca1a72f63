using System.Text;

namespace ShardCloud.Cli.Output;

/// <summary>The log files of a data folder, read side by side: the last lines of each, then what is added.</summary>
/// <remarks>Each file is read from where it was left; one that became shorter was rotated and is read from its start.</remarks>
internal sealed class LogFiles(string folder, string? member)
{
    private const int TailBytesMax = 256 * 1024;

    private readonly Dictionary<string, Follower> _followers = new(StringComparer.Ordinal);

    /// <summary>Names for which there are logs: stand-ins, router, shards.</summary>
    public IReadOnlyList<string> Names => [.. Files(all: true).Select(NameOf).Distinct(StringComparer.Ordinal)];

    /// <summary>The last lines of each file that was not seen before, and all lines added since the last call.</summary>
    public IEnumerable<(string Name, string Line)> Read(int lastLines)
    {
        foreach (var file in Files(all: false))
        {
            if (!_followers.TryGetValue(file, out var follower)) _followers[file] = follower = new Follower(file);
            foreach (var line in follower.Read(lastLines)) yield return (NameOf(file), line);
        }
    }

    private IEnumerable<string> Files(bool all) => !Directory.Exists(folder) ? [] : Directory.EnumerateFiles(folder, "*.log")
        .Where(file => all || member is null || NameOf(file) == member)
        .OrderBy(NameOf, StringComparer.Ordinal).ThenBy(File.GetCreationTimeUtc);

    /// <summary>A shard's file is called by its host's handle, <c>local-shard-1-7</c>: the seventh process of the run.</summary>
    private static string NameOf(string file)
    {
        var name = Path.GetFileNameWithoutExtension(file);
        return name.StartsWith("local-", StringComparison.Ordinal) && name.LastIndexOf('-') is var dash && dash > 6 ? name[6..dash] : name;
    }

    private sealed class Follower(string file)
    {
        private readonly StringBuilder _rest = new();
        private long _position = -1;

        public IReadOnlyList<string> Read(int lastLines)
        {
            try
            {
                using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                var isFirst = _position < 0;
                if (isFirst) _position = Math.Max(0, stream.Length - TailBytesMax);
                if (stream.Length < _position) _position = 0;
                stream.Position = _position;
                using var reader = new StreamReader(stream, Encoding.UTF8);
                _rest.Append(reader.ReadToEnd());
                _position = stream.Position;

                var lines = _rest.ToString().Split('\n');
                _rest.Clear().Append(lines[^1]); // Not ended yet.
                return isFirst ? [.. lines[..^1].TakeLast(lastLines)] : lines[..^1];
            }
            catch (FileNotFoundException)
            {
                return []; // Just being rotated.
            }
        }
    }
}
