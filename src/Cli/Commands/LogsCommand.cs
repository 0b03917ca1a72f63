using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Cli.Output;

namespace ShardCloud.Cli.Commands;

/// <summary><c>logs</c>: what the processes of a local cloud print, together or one alone.</summary>
internal static class LogsCommand
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(250);

    public static Command Create()
    {
        var member = new Argument<string?>("MEMBER") { Description = "Only of this one, e.g. shard-1, router-1, event-hubs, orchestrator.", Arity = ArgumentArity.ZeroOrOne };
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on with what is added, until Ctrl-C." };
        var lines = new Option<int>("--lines", "-n") { Description = "Last lines of each file, 0 to 10,000.", DefaultValueFactory = _ => 20 };
        lines.Validators.Add(result => { if (result.GetValueOrDefault<int>() is < 0 or > 10_000) result.AddError("--lines takes 0 to 10,000."); });
        return new Command("logs", "Show the logs of members and stand-ins, each line with its name. They stay when the cloud has stopped.\n\nExample: shardcloud logs -f shard-1") { member, follow, lines, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                var data = parsed.GetRequiredValue(Shared.Data).FullName;
                var name = parsed.GetValue(member);
                var files = new LogFiles(Path.Combine(data, "logs"), name);
                if (files.Names.Count == 0) throw new ShardCloudException(ErrorCodes.NotRunning, $"There are no logs in '{data}'.", "Start a local cloud with 'shardcloud up', or name its folder with --data.");
                if (name is not null && !files.Names.Contains(name)) throw new ShardCloudException(ErrorCodes.UnknownTarget, $"There is no log of '{name}'.", $"There are: {string.Join(", ", files.Names)}.");

                var width = name?.Length ?? files.Names.Max(known => known.Length);
                using var timer = new PeriodicTimer(LookEvery);
                do
                {
                    foreach (var (of, line) in files.Read(parsed.GetValue(lines)))
                        Console.Out.WriteLine(terminal.Json ? JsonSerializer.Serialize(new LogLine(of, line), LogJson.Default.LogLine) : $"{of.PadRight(width)} | {line}");
                }
                while (parsed.GetValue(follow) && await timer.WaitForNextTickAsync(cancellationToken));
                return 0;
            });
    }
}

internal sealed record LogLine(string Name, string Line);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(LogLine))]
internal sealed partial class LogJson : JsonSerializerContext;
