using System.Globalization;

namespace ShardCloud.Bench.Crash;

/// <summary>What to run: <c>--restarts 50 --rps 300 --rooms 64 --sockets 64</c> (<see cref="RestartRun"/>), or <c>--shard 60 --all 20 --event-hubs 20 --ack log --rps 100 --rooms 24 --seed 1 --witness yes --settled no --report crash.json</c>; the counts are rounds of each kind, shuffled.</summary>
internal sealed record Settings(string Ack, CrashRunOptions Run, RestartRunOptions? Restarts, bool ConfirmsDeath, string? Report)
{
    public static Settings Parse(string[] args)
    {
        var given = args.Chunk(2).ToDictionary(pair => pair[0], pair => pair.Length == 2 ? pair[1] : throw new ArgumentException($"'{pair[0]}' has no value."), StringComparer.Ordinal);
        var (ack, seed) = (given.GetValueOrDefault("--ack", "log"), Number("--seed", 1));
        Victim[] rounds = [.. Times(Victim.Shard, "--shard", 10), .. Times(Victim.AllShards, "--all", ack == "replica" ? 0 : 5), .. Times(Victim.EventHubs, "--event-hubs", 5)];
        new Random(seed).Shuffle(rounds);
        var restarts = given.ContainsKey("--restarts") ? new RestartRunOptions([.. Enumerable.Repeat(Stop.Restart, Number("--restarts", 0))], Number("--rps", 300), Number("--rooms", 64), Number("--sockets", 64), MessagesPerSecond: 50) : null;
        return new Settings(ack, new CrashRunOptions(rounds, Number("--rps", 100), Number("--rooms", 24), seed) { Settled = given.GetValueOrDefault("--settled", "no") == "yes" }, restarts, given.GetValueOrDefault("--witness", "yes") == "yes", given.GetValueOrDefault("--report"));

        int Number(string name, int otherwise) => given.TryGetValue(name, out var text) ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;
        IEnumerable<Victim> Times(Victim victim, string name, int otherwise) => Enumerable.Repeat(victim, Number(name, otherwise));
    }
}
