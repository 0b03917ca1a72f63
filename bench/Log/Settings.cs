using System.Globalization;

namespace ShardCloud.Bench.Log;

/// <summary>What is measured; every value can be set as <c>--name value</c>.</summary>
internal sealed record Settings
{
    /// <summary>Endpoints that are written, in turn.</summary>
    public int Endpoints { get; private init; } = 1_000;

    /// <summary>Event Hub partitions; the product's default is 16.</summary>
    public int Partitions { get; private init; } = 16;

    /// <summary>Seconds that count.</summary>
    public int Seconds { get; private init; } = 10;

    /// <summary>Seconds of the same load before, for the just-in-time compiler.</summary>
    public int WarmUpSeconds { get; private init; } = 5;

    /// <summary>Throughput: writes under way at a time, each followed by the next as soon as it is answered.</summary>
    public int Writers { get; private init; } = 8_000;

    /// <summary>Throughput: records a second that the member may append; 0: as many as it likes.</summary>
    public double RecordsPerSecond { get; private init; } = 200;

    /// <summary>Throughput: bytes a second that the member may append; 0: as many as it likes.</summary>
    public double BytesPerSecond { get; private init; } = 2_000_000;

    /// <summary>Visible: writes a second, at even distances.</summary>
    public int Rate { get; private init; } = 5_000;

    /// <summary>A completion record is written with every change, as the runtime does for each request that changes something; its body has so many bytes. -1: none.</summary>
    public int RecordedBytes { get; private init; } = -1;

    /// <summary>Folder of the report; empty: only printed.</summary>
    public string Output { get; private init; } = "";

    /// <summary>Commit named in the report.</summary>
    public string Commit { get; private init; } = "";

    public static Settings Parse(string[] args)
    {
        var settings = new Settings();
        for (var index = 0; index < args.Length; index += 2)
        {
            if (index + 1 == args.Length) throw new ArgumentException($"'{args[index]}' has no value.");
            var value = args[index + 1];
            settings = args[index] switch
            {
                "--endpoints" => settings with { Endpoints = Number() },
                "--partitions" => settings with { Partitions = Number() },
                "--seconds" => settings with { Seconds = Number() },
                "--warm-up-seconds" => settings with { WarmUpSeconds = Number() },
                "--writers" => settings with { Writers = Number() },
                "--records-per-second" => settings with { RecordsPerSecond = Number() },
                "--bytes-per-second" => settings with { BytesPerSecond = Number() },
                "--rate" => settings with { Rate = Number() },
                "--recorded-bytes" => settings with { RecordedBytes = Number() },
                "--output" => settings with { Output = value },
                "--commit" => settings with { Commit = value },
                var other => throw new ArgumentException($"'{other}' is not an option."),
            };

            int Number() => int.Parse(value, CultureInfo.InvariantCulture);
        }
        return settings;
    }
}
