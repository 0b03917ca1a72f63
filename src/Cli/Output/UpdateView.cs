using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Output;

/// <summary>An update's record as a person reads it, and the line that says what it does now.</summary>
internal static class UpdateView
{
    public static void Write(Terminal terminal, StagedUpdate update) => terminal.Result(update, UpdateJson.Default.StagedUpdate, console => Write(console, update));

    public static void Write(IAnsiConsole console, StagedUpdate update)
    {
        console.MarkupLineInterpolated($"[bold]{update.Id}[/]: {StateOf(update.State, update.Outcome)}, {update.FromVersion} -> {update.Version}, asked for by {update.RequestedBy}");
        if (update.CancelledBy is { } who) console.MarkupLineInterpolated($"cancelled by {who}");
        if (update.RollBack is { } back) console.MarkupLineInterpolated($"rolled back: {back.Reason}");
        if (update.Error is { } error) console.MarkupLineInterpolated($"{error.Code}: {error.Message} {error.Remedy}");
        console.MarkupLineInterpolated($"shards: {string.Join(", ", update.Shards.Old)} -> {Join(update.Shards.New.Select(shard => shard.Shard))}");
        foreach (var shard in update.Shards.New.Where(shard => shard.SeededFrom.Count > 0))
            console.MarkupLineInterpolated($"{shard.Shard} began with the state of {string.Join(", ", shard.SeededFrom.Select(source => $"{MigrationView.Short(source.Key)} ({source.Value} Event Hub partitions)"))}");
        if (update.Verification is { } verification) WriteVerification(console, verification);
        WriteWaves(console, update.Waves);
        WriteCosts(console, "the way back", update.RollBack?.Costs);
        console.MarkupLineInterpolated($"moves: {update.Moves.Count}, of them more than once {update.Moves.MovedMoreThanOnce}, moved back {update.Moves.MovedBack}");
    }

    /// <summary>What it does now: step, wave, verdict of the gate. A new line where that changed.</summary>
    public static string ProgressOf(StagedUpdate update)
    {
        if (update.State == UpdateState.Finished) return $"{update.Id}: {StateOf(update.State, update.Outcome)}";
        var line = $"step {(int)update.Step} {NameOf(update.Step)}";
        if (update.Step is UpdateStep.Wave or UpdateStep.Gate && update.Waves.LastOrDefault(wave => wave.State != UpdateWaveState.Planned) is { } wave)
        {
            line += $", wave {wave.Number} ({wave.Percent} %) {NameOf(wave.State)}";
            // While a gate watches, its reason counts the seconds: a line for each would hide the rest.
            if (wave is { State: UpdateWaveState.Watched, Gate: { } gate }) line += $": {NameOf(gate.Verdict)}{(gate.Verdict == UpdateVerdict.Watching ? "" : $", {gate.Reason}")}";
            if (wave.State == UpdateWaveState.AwaitingApproval && !update.Approved.Contains(wave.Number)) line += $": shardcloud update approve {update.Id} --wave {wave.Number}";
        }
        return update.StepText is { Length: > 0 } text ? $"{line}, {text}" : line;
    }

    public static string StateOf(UpdateState state, UpdateOutcome? outcome) => outcome is { } ended ? NameOf(ended) : NameOf(state);

    /// <summary>As the JSON has it: <c>rolledBack</c>.</summary>
    public static string NameOf<T>(T value) where T : struct, Enum => value.ToString() is { Length: > 0 } name ? char.ToLowerInvariant(name[0]) + name[1..] : "";

    private static void WriteVerification(IAnsiConsole console, UpdateVerification verification)
    {
        console.MarkupLineInterpolated($"verification: {NameOf(verification.Verdict)}, {verification.Reason}{(verification.Note is { } note ? $" ({note})" : "")}");
        foreach (var probe in verification.Probes?.Results ?? [])
            console.MarkupLineInterpolated($"  probe of {probe.Template}: {(probe.Name is null ? "there is none" : $"{probe.Name}, {probe.Method} {probe.Path} {(probe.Passed ? "passed" : $"failed: {probe.Error}")}")}");
        if (verification.Shadow is not { } shadow) return;
        console.MarkupLineInterpolated($"  shadow reads: {shadow.Compared} compared, {shadow.Different} different, {shadow.Skipped} skipped, {shadow.Failed} failed");
        foreach (var different in shadow.Examples)
            console.MarkupLineInterpolated($"    {different.Path}: {different.Reason}, {different.Expected} became {different.Got}");
    }

    private static void WriteWaves(IAnsiConsole console, IReadOnlyList<UpdateWave> waves)
    {
        var table = Tables.Plain("wave", "percent", "state", "slots", "placed", "old: failed, p50, p99", "new: failed, p50, p99");
        foreach (var wave in waves)
            table.AddRow($"{wave.Number}", $"{wave.Percent}", NameOf(wave.State), $"{wave.Slots}", $"{wave.Endpoints}", TrafficOf(wave.Gate?.Inputs.Old), TrafficOf(wave.Gate?.Inputs.New));
        if (waves.Count > 0) console.Write(table);
        foreach (var wave in waves)
            if (wave.Gate is { } gate) console.MarkupLineInterpolated($"gate of wave {wave.Number}: {NameOf(gate.Verdict)}, {gate.Reason}");
        foreach (var wave in waves)
        {
            if (wave.Deferred is { } deferred) console.MarkupLineInterpolated($"wave {wave.Number}: {deferred} in use were waited for, {wave.MovedBusy ?? 0} moved at its deadline");
            WriteCosts(console, $"wave {wave.Number}", wave.Costs);
        }
    }

    private static void WriteCosts(IAnsiConsole console, string of, UpdateCosts? costs)
    {
        if (costs is null) return;
        console.MarkupLineInterpolated($"moves of {of}: {costs.Entries} in {costs.Batches} batches, {costs.Retried} tried again, pause {SpreadOf(costs.PauseMs)}, longest wait {costs.MaxWaitMs:0.0} ms, {costs.Parked} parked, {costs.Forwarded} forwarded, {costs.Bytes} bytes");
        foreach (var (phase, spread) in MigrationView.InOrder(costs.PhasesMs)) console.MarkupLineInterpolated($"  {phase}: {SpreadOf(spread)}");
    }

    private static string SpreadOf(CostSpread? spread) => spread is null ? "-" : $"p50 {spread.P50:0.0} ms, p99 {spread.P99:0.0} ms, max {spread.Max:0.0} ms";

    private static string TrafficOf(UpdateTraffic? traffic) => traffic is null ? "-" : $"{traffic.ServerErrors} of {traffic.Answered}, {Milliseconds(traffic.P50Ms)}, {Milliseconds(traffic.P99Ms)}";

    private static string Milliseconds(int? value) => value is { } number ? $"{number} ms" : "-";

    private static string Join(IEnumerable<string> names) => string.Join(", ", names) is { Length: > 0 } all ? all : "none yet";
}
