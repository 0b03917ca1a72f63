using System.CommandLine;
using ShardCloud.Cli.Doctor;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>doctor</c>: what this machine has and lacks for a local cloud.</summary>
internal static class DoctorCommand
{
    public static Command Create() =>
        new Command("doctor", "Look at what a local cloud needs: .NET, Node, ports, rights, disk, left-over processes. Exit code 1 when something fails.\n\nExample: shardcloud doctor") { Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                var report = await Checks.RunAsync(parsed.GetRequiredValue(Shared.Data).FullName, Path.Combine(AppContext.BaseDirectory, "apps"), cancellationToken);
                terminal.Result(report, DoctorJson.Default.DoctorReport, console =>
                {
                    foreach (var finding in report.Findings)
                    {
                        console.MarkupLineInterpolated($"[{ColorOf(finding.Verdict)}]{finding.Verdict.ToString().ToLowerInvariant(),-5}[/] {finding.About,-14} {finding.Fact}");
                        if (finding.Remedy is not null) console.MarkupLineInterpolated($"{"",-20} -> {finding.Remedy}");
                    }
                });
                return report.Findings.Any(finding => finding.Verdict == Verdict.Fail) ? 1 : 0;
            });

    private static Color ColorOf(Verdict verdict) => verdict switch { Verdict.Ok => Color.Green, Verdict.Warn => Color.Yellow, _ => Color.Red };
}
