using System.Globalization;

namespace ShardCloud.Bench.Rolls;

/// <summary>What to run: <c>--rolls 20 --rps 500 --rooms 64 --shards 2 --sockets 200 --stable 3 --latency-floor 100 --waves 1,10,50,100 --replace-router-every 0 --cancel-in verify,wave1 --faults start,probe --kill-orchestrator no --report rolls.json</c>.</summary>
/// <param name="Rolls">Updates, one after the other.</param>
/// <param name="RequestsPerSecond">Of the demo's load.</param>
/// <param name="Rooms">Endpoints.</param>
/// <param name="Shards">Of each version.</param>
/// <param name="Sockets">Open all the time.</param>
/// <param name="StableSeconds">How long each gate watches.</param>
/// <param name="LatencyFloorMs">A latency up to this is never too long for a gate.</param>
/// <param name="Waves">Percentages.</param>
/// <param name="ReplaceRouterEvery">In every so-many-th roll a router is told to stop and another takes its place; 0: never. Then there are two, and clients use both.</param>
/// <param name="CancelIn">Phases, in each of which one more roll is cancelled: staging, warm, verify, grow, and of every wave wave1 and gate1, wave2 and so on.</param>
/// <param name="Faults">Broken builds that are rolled out after the sound ones, each to be found and taken back.</param>
/// <param name="KillsOrchestrator">The Orchestrator is killed (SIGKILL) in every wave.</param>
/// <param name="Report">File of the result.</param>
internal sealed record Settings(int Rolls, int RequestsPerSecond, int Rooms, int Shards, int Sockets, int StableSeconds, int LatencyFloorMs, IReadOnlyList<int> Waves, int ReplaceRouterEvery, IReadOnlyList<string> CancelIn, IReadOnlyList<string> Faults, bool KillsOrchestrator, string? Report)
{
    /// <summary>Two where one is replaced: clients need another meanwhile.</summary>
    public int Routers => ReplaceRouterEvery > 0 ? 2 : 1;

    public static Settings Parse(string[] args)
    {
        var given = args.Chunk(2).ToDictionary(pair => pair[0], pair => pair.Length == 2 ? pair[1] : throw new ArgumentException($"'{pair[0]}' has no value."), StringComparer.Ordinal);
        int[] waves = [.. given.GetValueOrDefault("--waves", "1,10,50,100").Split(',').Select(percent => int.Parse(percent, CultureInfo.InvariantCulture))];
        return new Settings(
            Number("--rolls", 20), Number("--rps", 500), Number("--rooms", 64), Number("--shards", 2), Number("--sockets", 200), Number("--stable", 3), Number("--latency-floor", 100), waves, Number("--replace-router-every", 0),
            given.GetValueOrDefault("--cancel-in") is "all" ? RollPhase.All(waves.Length) : List("--cancel-in"), List("--faults"), given.GetValueOrDefault("--kill-orchestrator", "no") == "yes", given.GetValueOrDefault("--report"));

        string[] List(string name) => given.GetValueOrDefault(name, "").Split(',', StringSplitOptions.RemoveEmptyEntries);

        int Number(string name, int otherwise) => given.TryGetValue(name, out var text) ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;
    }
}
