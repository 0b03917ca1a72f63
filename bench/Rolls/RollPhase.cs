using System.Globalization;
using ShardCloud.Contracts;

namespace ShardCloud.Bench.Rolls;

/// <summary>Where an update is, as <c>--cancel-in</c> names it: <c>staging</c>, <c>warm</c>, <c>verify</c>, <c>grow</c>, then of every wave <c>wave1</c> and <c>gate1</c>.</summary>
internal static class RollPhase
{
    /// <summary>All phases from which there is a way back, in their order.</summary>
    public static IReadOnlyList<string> All(int waves) =>
        ["staging", "warm", "verify", "grow", .. Enumerable.Range(1, waves).SelectMany(wave => (string[])[Name("wave", wave), Name("gate", wave)])];

    /// <summary>The present phase; null before the first, between two, and past the last.</summary>
    public static string? Of(StagedUpdate update) => update switch
    {
        { State: UpdateState.Finished } => null,
        { Step: UpdateStep.Staging or UpdateStep.Warm or UpdateStep.Verify or UpdateStep.Grow } => $"{update.Step}".ToLowerInvariant(),
        { Step: UpdateStep.Wave } => update.Waves.LastOrDefault(wave => wave.State is UpdateWaveState.Moving) is { } moving ? Name("wave", moving.Number) : null,
        { Step: UpdateStep.Gate } => update.Waves.LastOrDefault(wave => wave.State is UpdateWaveState.Watched) is { } watched ? Name("gate", watched.Number) : null,
        _ => null,
    };

    /// <summary>True for a phase in which a wave is moved.</summary>
    public static bool Moves(string phase) => phase.StartsWith("wave", StringComparison.Ordinal);

    private static string Name(string what, int wave) => string.Create(CultureInfo.InvariantCulture, $"{what}{wave}");
}
