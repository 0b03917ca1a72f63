using System.Text.Json;
using ShardCloud.LocalCloud.EventHubs;
using ShardCloud.LocalCloud.Functions;
using ShardCloud.Processes;

namespace ShardCloud.Cli.Stack;

/// <summary>The stand-ins as processes of their own: <c>shardcloud stand-in NAME ...</c> is what the command starts for itself and no verb for users.</summary>
internal static class StandIns
{
    private const string Verb = "stand-in", EventHubs = StackProcesses.EventHubs, FunctionsHost = StackProcesses.FunctionsHost;

    /// <summary>The program's work when it was started as a stand-in; null: it was not.</summary>
    public static Task<int>? TryRun(string[] args) => args switch
    {
        [Verb, EventHubs, .. var rest] => LocalEventHubsProgram.RunAsync(rest),
        [Verb, FunctionsHost, .. var rest] => FunctionsHostProgram.RunAsync(rest),
        _ => null,
    };

    /// <param name="program">This program.</param>
    /// <param name="logFile">What it prints.</param>
    /// <param name="keyFile">The local key, from which the namespace's key comes.</param>
    /// <param name="options">What it keeps and how.</param>
    public static ChildProcessOptions EventHubsProcess(string program, string logFile, string keyFile, LocalEventHubsOptions options) => Process(program, logFile, EventHubs,
    [
        "--data", options.DataFolder, "--port", $"{options.Port}", "--key-file", keyFile,
        .. options.AdvertisedPort is { } advertised ? (string[])["--advertised-port", $"{advertised}"] : [],
        .. options.ThroughputUnits is { } units ? (string[])["--throughput-units", $"{units}"] : [],
        .. options.Hubs.SelectMany(hub => (string[])["--hub", $"{hub.Key}={hub.Value}"]),
    ]);

    /// <param name="program">This program.</param>
    /// <param name="logFile">What it prints.</param>
    /// <param name="optionsFile">Written here: options are long, and a command line can be read by every user of the machine.</param>
    /// <param name="options">What it runs.</param>
    public static ChildProcessOptions FunctionsHostProcess(string program, string logFile, string optionsFile, FunctionsHostOptions options)
    {
        File.WriteAllText(optionsFile, JsonSerializer.Serialize(
            new { options.AppDirectory, options.HandlerExecutable, options.HandlerArguments, options.HandlerLogFile, options.AppSettings, options.StorageConnectionString, options.HttpPort, options.OrchestrationStartDelay }, JsonSerializerOptions.Web));
        return Process(program, logFile, FunctionsHost, ["--options", optionsFile]);
    }

    private static ChildProcessOptions Process(string program, string logFile, string standIn, string[] arguments) => new()
    {
        FileName = "dotnet",
        Arguments = [program, Verb, standIn, .. arguments],
        Environment = new Dictionary<string, string?> { ["DOTNET_gcServer"] = "0" },
        LogFile = logFile,
    };
}
