using System.Globalization;

namespace ShardCloud.Bench.Soak;

/// <summary>What runs for how long; every value can be set as <c>--name value</c>.</summary>
internal sealed record Settings
{
    public const string Hub = "soak";

    /// <summary>Minutes of writing.</summary>
    public double Minutes { get; private init; } = 30;

    /// <summary>Records a second, over all partitions. Nine of ten have 100 to 1,000 bytes, the others up to 16 KiB, one in 2,000 up to 900,000 bytes.</summary>
    public int Rate { get; private init; } = 2_000;

    /// <summary>Partitions of the hub; the two producers share them.</summary>
    public int Partitions { get; private init; } = 4;

    /// <summary>Size at which the broker begins a new segment. Bytes.</summary>
    public int SegmentBytes { get; private init; } = 8 * 1024 * 1024;

    /// <summary>Bytes the broker keeps of a partition.</summary>
    public long RetentionBytes { get; private init; } = 64 * 1024 * 1024;

    /// <summary>How often the broker ends in the middle: first by SIGTERM, then by SIGKILL, in turn. Memory is then judged by its peak alone.</summary>
    public int Ends { get; private init; }

    /// <summary>Folder of the report; empty: only printed.</summary>
    public string Output { get; private init; } = "";

    /// <summary>Commit named in the report.</summary>
    public string Commit { get; private init; } = "";

    public TimeSpan Writing => TimeSpan.FromMinutes(Minutes);

    public static Settings Parse(string[] args)
    {
        var settings = new Settings();
        for (var index = 0; index < args.Length; index += 2)
        {
            if (index + 1 == args.Length) throw new ArgumentException($"'{args[index]}' has no value.");
            var value = args[index + 1];
            settings = args[index] switch
            {
                "--minutes" => settings with { Minutes = double.Parse(value, CultureInfo.InvariantCulture) },
                "--rate" => settings with { Rate = (int)Number() },
                "--partitions" => settings with { Partitions = (int)Number() },
                "--segment-bytes" => settings with { SegmentBytes = (int)Number() },
                "--retention-bytes" => settings with { RetentionBytes = Number() },
                "--ends" => settings with { Ends = (int)Number() },
                "--output" => settings with { Output = value },
                "--commit" => settings with { Commit = value },
                var other => throw new ArgumentException($"'{other}' is not an option."),
            };

            long Number() => long.Parse(value, CultureInfo.InvariantCulture);
        }
        return settings;
    }
}
