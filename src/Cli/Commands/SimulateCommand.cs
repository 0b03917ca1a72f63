using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.Simulation;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>simulate</c>: the production cores on a simulated clock, network and stores; docs/simulation.md.</summary>
internal static class SimulateCommand
{
    private static readonly Option<int> Seeds = new("--seeds") { Description = "How many seeds to run, 1 to 1,000,000.", DefaultValueFactory = _ => 1_000 };
    private static readonly Option<int> From = new("--from") { Description = "First seed. One seed is one history, the same every time.", DefaultValueFactory = _ => 1 };
    private static readonly Option<string[]> Without = new("--without") { Description = "Run without this guard, G1 to G14 (docs/glossary.md): a promise must break. May be given several times.", DefaultValueFactory = _ => [], AllowMultipleArgumentsPerToken = true };
    private static readonly Option<string?> Bug = new("--bug") { Description = "Plant a mistake, which must be found: retire-without-acks, late-record, split-request, stale-read, answer-before-log or forgets-moved." };
    private static readonly Option<string?> Ack = new("--ack") { Description = "When answers leave: log, lease, replica or memory. Without: drawn from the seed." };
    private static readonly Option<string?> Kind = new("--mode") { Description = "Mode of the endpoints: exclusive or convergent. Without: drawn from the seed." };
    private static readonly Option<int> Timeline = new("--timeline") { Description = "Lines of the timeline to print of a broken seed, counted from its end.", DefaultValueFactory = _ => 120 };

    private static readonly Dictionary<string, PlantedBug> Bugs = new(StringComparer.Ordinal)
    {
        ["retire-without-acks"] = PlantedBug.RetireWithoutAcks,
        ["late-record"] = PlantedBug.LateRecord,
        ["split-request"] = PlantedBug.SplitRequest,
        ["stale-read"] = PlantedBug.StaleRead,
        ["answer-before-log"] = PlantedBug.AnswerBeforeLog,
        ["forgets-moved"] = PlantedBug.ForgetsMoved,
    };

    public static Command Create()
    {
        Seeds.Validators.Add(result => { if (result.GetValue(Seeds) is < 1 or > 1_000_000) result.AddError("--seeds is 1 to 1,000,000."); });
        Without.Validators.Add(result => { foreach (var name in result.GetValue(Without) ?? []) if (GuardOf(name) is null) result.AddError($"'{name}' is not a guard: G1 to G14."); });
        Bug.AcceptOnlyFromAmong([.. Bugs.Keys]);
        Ack.AcceptOnlyFromAmong("log", "lease", "replica", "memory");
        Kind.AcceptOnlyFromAmong("exclusive", "convergent");
        return new Command("simulate",
            """
            Run the production cores (leases, map, handoff, take-over, log reader, answer rule, proxy decision, planner of updates) through seeds of losses, delays, cuts, pauses and crashes,
            and look whether every promise holds. Ends at the first seed that breaks one, with exit code 1 and that seed's timeline.

            Examples:
              shardcloud simulate --seeds 10000             all guards, as in production
              shardcloud simulate --from 4711 --seeds 1     one history
              shardcloud simulate --without G3              what breaks without a guard
              shardcloud simulate --bug split-request       a planted mistake must be found
              shardcloud simulate --from 200001 --ack replica --mode exclusive
            """) { Seeds, From, Without, Bug, Ack, Kind, Timeline, Shared.Json }
            .Does((parsed, terminal, cancellationToken) => Task.FromResult(Run(parsed, terminal, cancellationToken)));
    }

    private static int Run(ParseResult parsed, Output.Terminal terminal, CancellationToken cancellationToken)
    {
        var (from, seeds, lines) = (parsed.GetValue(From), parsed.GetValue(Seeds), parsed.GetValue(Timeline));
        var without = (parsed.GetValue(Without) ?? []).Aggregate(Guards.None, (all, name) => all | GuardOf(name)!.Value);
        var bug = parsed.GetValue(Bug) is { } name ? Bugs[name] : PlantedBug.None;
        var options = SimulationOptions.For(Guards.All & ~without, bug) with { Ack = Parsed<AckMode>(parsed.GetValue(Ack)), Mode = Parsed<Mode>(parsed.GetValue(Kind)) };
        var report = SimulationRun.Many(from, seeds, options, progress: done =>
        {
            if (done % 1_000 == 0) terminal.Say($"{done:N0} seeds");
        }, cancellationToken: cancellationToken);
        var view = new SimulationView(from, report.Seeds, report.Elapsed.TotalSeconds, report.Answers, report.MapChanges, report.Events,
            [.. report.Broken.Select(broken => new BrokenView(broken.Seed, broken.Promise.ToString(), broken.What, [.. broken.Timeline.TakeLast(Math.Max(0, lines))]))]);
        terminal.Result(view, SimulationJson.Default.SimulationView, console =>
        {
            foreach (var broken in view.Broken)
            {
                foreach (var line in broken.Timeline) console.WriteLine(line);
                console.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[red]seed {broken.Seed} breaks {broken.Promise}[/]: run it again with --from {broken.Seed} --seeds 1 and the same options");
            }
            console.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"{view.Seeds:N0} seeds from {view.From:N0} in {view.Seconds:0.0} s: {view.Answers:N0} answered writes, {view.MapChanges:N0} map changes, {view.Events:N0} events, {view.Broken.Count} broken");
        });
        return view.Broken.Count == 0 ? 0 : 1;
    }

    private static T? Parsed<T>(string? name) where T : struct, Enum => name is null ? null : Enum.Parse<T>(name, ignoreCase: true);

    private static Guards? GuardOf(string name) => name.Length is 2 or 3 && Enum.TryParse<Guards>(name, ignoreCase: true, out var guard) && name[0] is 'G' or 'g' ? guard : null;
}

/// <summary>What <c>simulate --json</c> prints.</summary>
internal sealed record SimulationView(int From, int Seeds, double Seconds, long Answers, long MapChanges, long Events, IReadOnlyList<BrokenView> Broken);

internal sealed record BrokenView(int Seed, string Promise, string What, IReadOnlyList<string> Timeline);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(SimulationView))]
internal sealed partial class SimulationJson : JsonSerializerContext;
