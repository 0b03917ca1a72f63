using System.CommandLine;
using System.Globalization;
using System.IO.Compression;
using System.Text.Json.Serialization;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Contracts;
using ShardCloud.Placement.Affinity;
using ShardCloud.Placement.Affinity.Traces;
using ShardCloud.Routing;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>affinity</c>: which endpoints are used together, from the cloud or from a trace; docs/affinity.md.</summary>
internal static class AffinityCommand
{
    public static Command Create() => new("affinity", "Which endpoints are used together, and how much of that crosses shards.") { CreateShow(), CreateImport() };

    private static Command CreateShow()
    {
        var top = new Option<int>("--top") { Description = "Edges listed, the strongest first.", DefaultValueFactory = _ => 20 };
        top.Validators.Add(result => { if (result.GetValueOrDefault<int>() is < 1 or > 10_000) result.AddError("--top takes 1 to 10000."); });
        var dot = new Option<bool>("--dot") { Description = "Print the listed edges as a graph for Graphviz: shards are boxes, edges that cross are red." };
        var show = new Command("show", """
            The strongest edges with the shards of both ends, the share of all accesses between endpoints that crosses shards, and what each shard carries.

            Examples:
              shardcloud affinity show --top 50
              shardcloud affinity show --dot | dot -Tsvg -o affinity.svg
            """) { top, dot, Shared.Orchestrator, Shared.Data, Shared.Json };
        show.Validators.Add(result => { if (result.GetValue(dot) && result.GetValue(Shared.Json)) result.AddError("--dot and --json are two ways to print one thing: give one."); });
        return show.Does(async (parsed, terminal, cancellationToken) =>
        {
            using var api = ManagementClient.Of(parsed);
            var view = await api.AffinityAsync(parsed.GetValue(top), cancellationToken);
            if (parsed.GetValue(dot)) Console.Out.Write(AffinityOutput.Dot(view));
            else terminal.Result(view, ManagementJson.Default.AffinityView, console => AffinityOutput.Show(console, view));
            return 0;
        });
    }

    private static Command CreateImport()
    {
        var trace = new Argument<FileInfo>("TRACE") { Description = "Access log (Common or Combined Log Format), or CSV of time,client,endpoint-or-path; in the order of time; may end in .gz." };
        var output = new Option<FileInfo>("--out") { Description = "File of the affinity map; written anew.", Required = true };
        var templates = new Option<string[]>("--template") { Description = "Which paths are endpoints, e.g. \"/rooms/{room}\"; once for each.", DefaultValueFactory = _ => [] };
        var format = new Option<string>("--format") { Description = "How the trace is written: log or csv. Default: csv for a name that ends in .csv or .csv.gz, else log." };
        format.AcceptOnlyFromAmong("log", "csv");
        var skip = new Option<long>("--skip-bad") { Description = "Lines that may be unreadable; the next one ends the import.", DefaultValueFactory = _ => 0 };
        skip.Validators.Add(result => { if (result.GetValueOrDefault<long>() < 0) result.AddError("--skip-bad takes 0 or more."); });
        var window = new Option<double>("--window") { Description = "Two endpoints are used together when a client uses the second within so many seconds after the first.", DefaultValueFactory = _ => 10 };
        window.Validators.Add(result => { if (result.GetValueOrDefault<double>() is not (>= 0.1 and <= 300)) result.AddError("--window takes 0.1 to 300."); });
        var halfLife = new Option<double>("--half-life") { Description = "After so many hours of the trace an access counts half.", DefaultValueFactory = _ => 24 };
        halfLife.Validators.Add(result => { if (result.GetValueOrDefault<double>() is not (>= 0.1 and <= 8_760)) result.AddError("--half-life takes 0.1 to 8760."); });
        var edges = new Option<int>("--edges") { Description = "Edges kept, the strongest; two fifths as many endpoints keep their names. About 150 bytes of memory each.", DefaultValueFactory = _ => 100_000 };
        edges.Validators.Add(result => { if (result.GetValueOrDefault<int>() is < 100 or > 1_000_000) result.AddError("--edges takes 100 to 1000000."); });
        return new Command("import", """
            Make an affinity map of an access log, by the rule by which members observe.

            Example:
              shardcloud affinity import access.log --out affinity.json --template "/rooms/{room}"
            """) { trace, output, templates, format, skip, window, halfLife, edges, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                var (file, to) = (parsed.GetRequiredValue(trace), parsed.GetRequiredValue(output));
                var name = file.Name.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? file.Name[..^3] : file.Name;
                var isCsv = parsed.GetValue(format) is { } asked ? asked == "csv" : name.EndsWith(".csv", StringComparison.OrdinalIgnoreCase);
                var options = new TraceOptions(isCsv ? TraceFormat.Csv : TraceFormat.Log, new TemplateTable([.. parsed.GetRequiredValue(templates).Select(template => new TemplateSpec(template))]),
                    new ObservationLimits(parsed.GetValue(edges), TimeSpan.FromHours(parsed.GetValue(halfLife)), TimeSpan.FromSeconds(parsed.GetValue(window)), HasLoads: true) { AgeMin = TimeSpan.FromSeconds(1) },
                    parsed.GetValue(skip));
                var summary = await ImportAsync(file, to, options, lines => terminal.Say($"{lines.ToString("N0", CultureInfo.InvariantCulture)} lines"), cancellationToken);
                var result = new ImportResult(to.FullName, summary.Lines, summary.Accesses, summary.Elsewhere, summary.Bad, summary.Length.TotalSeconds, summary.Map.Vertices.Count, summary.Map.Edges.Count);
                terminal.Result(result, AffinityCommandJson.Default.ImportResult, console => console.WriteLine(
                    $"{to.Name}: {result.Endpoints} endpoints, {result.Edges} edges, of {result.Accesses} accesses in {summary.Length}; {result.Elsewhere} lines have paths of no template, {result.Bad} were skipped as unreadable."));
                return 0;
            });
    }

    private static async Task<TraceSummary> ImportAsync(FileInfo file, FileInfo to, TraceOptions options, Action<long> progress, CancellationToken cancellationToken)
    {
        try
        {
            await using var stream = file.OpenRead();
            await using var plain = file.Name.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(stream, CompressionMode.Decompress) : (Stream)stream;
            using var reader = new StreamReader(plain);
            var summary = TraceImport.Run(reader, options, progress, cancellationToken);
            await File.WriteAllBytesAsync(to.FullName, AffinityFile.Write(summary.Map), cancellationToken);
            return summary;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            throw new ShardCloudException(ErrorCodes.TraceUnreadable, $"'{file}' cannot be read, or '{to}' not be written: {error.Message}", "Name a trace that can be read, and a file in a folder that is there.", error);
        }
    }
}

/// <summary>What <c>affinity import --json</c> prints. <c>elsewhere</c>: lines whose path names no endpoint; <c>bad</c>: lines that could not be read.</summary>
internal sealed record ImportResult(string File, long Lines, long Accesses, long Elsewhere, long Bad, double Seconds, int Endpoints, int Edges);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(ImportResult))]
internal sealed partial class AffinityCommandJson : JsonSerializerContext;
