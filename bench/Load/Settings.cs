using System.Globalization;

namespace ShardCloud.Bench.Load;

/// <summary>What is measured; every value can be set as <c>--name value</c>.</summary>
internal sealed record Settings
{
    /// <summary>Rounds; in each, every target is measured once, in turn.</summary>
    public int Rounds { get; init; } = 7;

    /// <summary>Open-loop arrivals a second; 0: half of what the plain proxy answers at most, found before the first round.</summary>
    public int Rate { get; init; }

    /// <summary>Seconds of each open-loop run.</summary>
    public int OpenSeconds { get; init; } = 4;

    /// <summary>Seconds of each closed-loop run.</summary>
    public int ClosedSeconds { get; init; } = 3;

    /// <summary>Seconds of closed load on every target before the first round, for the just-in-time compiler.</summary>
    public int WarmUpSeconds { get; init; } = 10;

    /// <summary>Connections of the generator.</summary>
    public int Connections { get; init; } = 32;

    /// <summary>Of a hundred requests, how many are POSTs with a body of 64 bytes; the others are GETs.</summary>
    public int PostPercent { get; init; } = 20;

    /// <summary>Folder of the report; empty: only printed.</summary>
    public string Output { get; init; } = "";

    /// <summary>Commit named in the report.</summary>
    public string Commit { get; init; } = "";

    public static Settings Parse(string[] args)
    {
        var given = Pairs.Of(args);
        var defaults = new Settings();
        return new Settings
        {
            Rounds = given.Number("rounds", defaults.Rounds),
            Rate = given.Number("rate", defaults.Rate),
            OpenSeconds = given.Number("open-seconds", defaults.OpenSeconds),
            ClosedSeconds = given.Number("closed-seconds", defaults.ClosedSeconds),
            WarmUpSeconds = given.Number("warm-up-seconds", defaults.WarmUpSeconds),
            Connections = given.Number("connections", defaults.Connections),
            PostPercent = given.Number("post-percent", defaults.PostPercent),
            Output = given.Text("output", defaults.Output),
            Commit = given.Text("commit", defaults.Commit),
        };
    }
}

/// <summary>Arguments of the form <c>--name value</c>.</summary>
internal sealed class Pairs
{
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);

    public static Pairs Of(string[] args)
    {
        var pairs = new Pairs();
        for (var i = 0; i + 1 < args.Length; i += 2)
            pairs._values[args[i].StartsWith("--", StringComparison.Ordinal) ? args[i][2..] : throw new ArgumentException($"'{args[i]}' is not --name.")] = args[i + 1];
        return args.Length % 2 == 0 ? pairs : throw new ArgumentException($"'{args[^1]}' has no value.");
    }

    public int Number(string name, int otherwise) => _values.Remove(name, out var text) ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;

    public string Text(string name, string otherwise) => _values.Remove(name, out var text) ? text : otherwise;
}
