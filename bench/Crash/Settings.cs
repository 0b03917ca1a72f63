using System.Globalization;

namespace ShardCloud.Bench.Crash;

/// <summary>What to run: <c>--rounds 20 --ack log --rps 200 --rooms 48 --seed 1 --commit abc1234 --output bench/results/2026-11-24-crash-log.md</c>.</summary>
internal sealed record Settings(int Rounds, string Ack, int RequestsPerSecond, int Rooms, int Seed, string Commit, string? Output)
{
    public static Settings Parse(string[] args)
    {
        string Of(string name, string otherwise) => Array.IndexOf(args, name) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : otherwise;
        int Number(string name, int otherwise) => int.Parse(Of(name, $"{otherwise}"), CultureInfo.InvariantCulture);
        return new Settings(Number("--rounds", 20), Of("--ack", "log"), Number("--rps", 200), Number("--rooms", 48), Number("--seed", Environment.TickCount), Of("--commit", "unknown"), Of("--output", "") is { Length: > 0 } file ? file : null);
    }
}
