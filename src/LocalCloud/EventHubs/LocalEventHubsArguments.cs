using System.Globalization;
using ShardCloud.Identity;

namespace ShardCloud.LocalCloud.EventHubs;

/// <summary>Command line of <see cref="LocalEventHubsProgram"/>.</summary>
/// <remarks>
/// <c>--data FOLDER</c> (required), <c>--hub NAME=PARTITIONS</c> (any number of times), <c>--port PORT</c> (default 0, a free one),
/// <c>--advertised-port PORT</c>, <c>--sync never|always</c> (default never), <c>--segment-bytes N</c>, <c>--retention-bytes N</c> and
/// <c>--retention-minutes N</c> (defaults: those of <see cref="LocalEventHubsOptions"/>), <c>--throughput-units N</c> (default none),
/// <c>--key-file FILE</c>: the local key (<see cref="LocalKey"/>), from which the key of the namespace comes (default: none is asked for).
/// Each but <c>--hub</c> at most once.
/// </remarks>
internal static class LocalEventHubsArguments
{
    private static readonly string[] Names = ["--data", "--hub", "--port", "--advertised-port", "--sync", "--segment-bytes", "--retention-bytes", "--retention-minutes", "--throughput-units", "--key-file"];

    /// <exception cref="ArgumentException">An argument is unknown, repeated, without a value, or its value has another form.</exception>
    public static LocalEventHubsOptions Parse(IReadOnlyList<string> args)
    {
        var single = new Dictionary<string, string>(StringComparer.Ordinal);
        var hubs = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var index = 0; index < args.Count; index += 2)
        {
            var name = args[index];
            if (!Names.Contains(name)) throw new ArgumentException($"'{name}' is not an argument of Event Hubs.");
            if (index + 1 == args.Count) throw new ArgumentException($"'{name}' has no value.");
            var value = args[index + 1];
            if (!(name == "--hub" ? TryAddHub(hubs, value) : single.TryAdd(name, value))) throw new ArgumentException($"'{name} {value}' is repeated, or not of the form NAME=PARTITIONS.");
        }

        var data = single.GetValueOrDefault("--data") ?? throw new ArgumentException("'--data FOLDER' is missing.");
        var defaults = new LocalEventHubsOptions { DataFolder = data };
        return defaults with
        {
            Hubs = hubs,
            Port = (int?)Number("--port", 0, ushort.MaxValue) ?? 0,
            AdvertisedPort = (int?)Number("--advertised-port", 0, ushort.MaxValue),
            SegmentBytes = (int?)Number("--segment-bytes", 1, int.MaxValue) ?? defaults.SegmentBytes,
            RetentionBytes = Number("--retention-bytes", 1, long.MaxValue) ?? defaults.RetentionBytes,
            RetentionTime = Number("--retention-minutes", 1, 90 * 24 * 60) is { } minutes ? TimeSpan.FromMinutes(minutes) : defaults.RetentionTime,
            ThroughputUnits = (int?)Number("--throughput-units", 1, 40),
            Key = single.TryGetValue("--key-file", out var keyFile) ? SharedAccessKey.Of(LocalKey.Load(keyFile)) : null,
            Sync = single.GetValueOrDefault("--sync") switch
            {
                null or "never" => DiskSync.Never,
                "always" => DiskSync.Always,
                var other => throw new ArgumentException($"'--sync {other}': never or always."),
            },
        };

        long? Number(string name, long min, long max)
        {
            if (!single.TryGetValue(name, out var text)) return null;
            return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max
                ? number
                : throw new ArgumentException($"'{name} {text}': {min} to {max}.");
        }
    }

    private static bool TryAddHub(Dictionary<string, int> hubs, string text)
    {
        var equals = text.LastIndexOf('=');
        return equals > 0
            && int.TryParse(text.AsSpan(equals + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var partitions)
            && hubs.TryAdd(text[..equals], partitions);
    }
}
