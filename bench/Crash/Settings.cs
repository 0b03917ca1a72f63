using System.Globalization;

namespace ShardCloud.Bench.Crash;

/// <summary>What to run: <c>--shard 60 --all 20 --event-hubs 20 --ack log --rps 100 --rooms 24 --seed 1 --witness yes --settled no --report crash.json</c>; the counts are rounds of each kind, shuffled.</summary>
internal sealed record Settings(string Ack, CrashRunOptions Run, bool ConfirmsDeath, string? Report)
{
    public static Settings Parse(string[] args)
    {
        var given = args.Chunk(2).ToDictionary(pair => pair[0], pair => pair.Length == 2 ? pair[1] : throw new ArgumentException($"'{pair[0]}' has no value."), StringComparer.Ordinal);
        var (ack, seed) = (given.GetValueOrDefault("--ack", "log"), Number("--seed", 1));
        Victim[] rounds = [.. Times(Victim.Shard, "--shard", 10), .. Times(Victim.AllShards, "--all", ack == "replica" ? 0 : 5), .. Times(Victim.EventHubs, "--event-hubs", 5)];
        new Random(seed).Shuffle(rounds);
        return new Settings(ack, new CrashRunOptions(rounds, Number("--rps", 100), Number("--rooms", 24), seed) { Settled = given.GetValueOrDefault("--settled", "no") == "yes" }, given.GetValueOrDefault("--witness", "yes") == "yes", given.GetValueOrDefault("--report"));

        int Number(string name, int otherwise) => given.TryGetValue(name, out var text) ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;
        IEnumerable<Victim> Times(Victim victim, string name, int otherwise) => Enumerable.Repeat(victim, Number(name, otherwise));
    }
}
