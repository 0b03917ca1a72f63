using System.Globalization;

namespace ShardCloud.LocalCloud.EventHubs;

/// <summary>Command line of <see cref="LocalEventHubsProgram"/>.</summary>
/// <remarks>
/// <c>--data FOLDER</c> (required), <c>--hub NAME=PARTITIONS</c> (any number of times), <c>--port PORT</c> (default 0, a free one),
/// <c>--advertised-port PORT</c>, <c>--sync never|always</c> (default never). Each but <c>--hub</c> at most once.
/// </remarks>
internal static class LocalEventHubsArguments
{
    /// <exception cref="ArgumentException">An argument is unknown, repeated, without a value, or its value has another form.</exception>
    public static LocalEventHubsOptions Parse(IReadOnlyList<string> args)
    {
        var single = new Dictionary<string, string>(StringComparer.Ordinal);
        var hubs = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var index = 0; index < args.Count; index += 2)
        {
            var name = args[index];
            if (name is not ("--data" or "--hub" or "--port" or "--advertised-port" or "--sync")) throw new ArgumentException($"'{name}' is not an argument of Event Hubs.");
            if (index + 1 == args.Count) throw new ArgumentException($"'{name}' has no value.");
            var value = args[index + 1];
            if (!(name == "--hub" ? TryAddHub(hubs, value) : single.TryAdd(name, value))) throw new ArgumentException($"'{name} {value}' is repeated, or not of the form NAME=PARTITIONS.");
        }

        return new LocalEventHubsOptions
        {
            DataFolder = single.GetValueOrDefault("--data") ?? throw new ArgumentException("'--data FOLDER' is missing."),
            Hubs = hubs,
            Port = Port("--port") ?? 0,
            AdvertisedPort = Port("--advertised-port"),
            Sync = single.GetValueOrDefault("--sync") switch
            {
                null or "never" => DiskSync.Never,
                "always" => DiskSync.Always,
                var other => throw new ArgumentException($"'--sync {other}': never or always."),
            },
        };

        int? Port(string name)
        {
            if (!single.TryGetValue(name, out var text)) return null;
            return ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port) ? port : throw new ArgumentException($"'{name} {text}': 0 to 65535.");
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
