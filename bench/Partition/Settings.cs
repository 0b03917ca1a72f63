using System.Globalization;

namespace ShardCloud.Bench.Partition;

/// <summary>What the command line asks for.</summary>
internal sealed record Settings(string Only, int Seeds, int[] Parts, string Commit, string? Json)
{
    public static Settings Of(string[] args)
    {
        var given = new Dictionary<string, string>();
        for (var i = 0; i + 1 < args.Length; i += 2) given[args[i]] = args[i + 1];
        string Take(string name, string otherwise) => given.Remove(name, out var value) ? value : otherwise;
        var settings = new Settings(
            Take("--only", "all"), int.Parse(Take("--seeds", "2"), CultureInfo.InvariantCulture),
            [.. Take("--parts", "2,4,8,16,32,64").Split(',').Select(part => int.Parse(part, CultureInfo.InvariantCulture))], Take("--commit", "?"), Take("--json", "") is { Length: > 0 } path ? path : null);
        if (args.Length % 2 != 0 || given.Count > 0 || settings.Only is not ("all" or "quality" or "speed" or "large"))
            throw new ArgumentException("Options: --only quality|speed|large --seeds N --parts 2,4,... --commit ID --json FILE");
        return settings;
    }
}
