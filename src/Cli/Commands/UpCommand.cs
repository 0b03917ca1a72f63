using System.CommandLine;
using System.Text.Json;
using ShardCloud.Cli.Stack;
using ShardCloud.Contracts;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Cli.Commands;

/// <summary><c>up</c>: a local cloud that stays until Ctrl-C, and starts again on the same data.</summary>
internal static class UpCommand
{
    public static Command Create()
    {
        var shards = new Option<int>("--shards") { Description = "How many shards to begin with, 1 to 32.", DefaultValueFactory = _ => 3 };
        var routers = new Option<int>("--routers") { Description = "How many routers, 1 to 8; the second takes the port after the first's, and so on.", DefaultValueFactory = _ => 1 };
        var routerPort = new Option<int>("--router-port") { Description = "Port of the router, where clients go; 0 takes a free one.", DefaultValueFactory = _ => 8080 };
        var orchestratorPort = new Option<int>("--orchestrator-port") { Description = "Port of the Orchestrator's HTTP API; 0 takes a free one.", DefaultValueFactory = _ => 7071 };
        var ack = Shared.NewAck();
        var gates = new Option<bool>("--gates") { Description = "Put gates between each member and the rest, for 'chaos partition'; costs a hop on every call to Storage, log and members." };
        var placement = new Option<FileInfo?>("--placement") { Description = "An affinity map, as 'affinity import' writes it: at the first start endpoints that are used together are placed together." };
        var (profile, profileFile) = (Shared.NewProfile(), Shared.NewProfileFile());
        var (app, endpoints) = Shared.NewApp();
        shards.Validators.Add(result => { if (result.GetValueOrDefault<int>() is < 1 or > 32) result.AddError("--shards takes 1 to 32."); });
        routers.Validators.Add(result => { if (result.GetValueOrDefault<int>() is < 1 or > 8) result.AddError("--routers takes 1 to 8."); });
        foreach (var port in (Option<int>[])[routerPort, orchestratorPort])
            port.Validators.Add(result => { if (result.GetValueOrDefault<int>() is < 0 or > 65_535) result.AddError($"{port.Name} takes a port, 0 to 65535."); });

        var command = new Command("up", "Run a local cloud on loopback until Ctrl-C: router, shards of the Rooms sample or of --app, Orchestrator, Storage, Event Hubs.\n\nExample: shardcloud up --shards 3 --router-port 8080")
            { shards, routers, routerPort, orchestratorPort, ack, gates, placement, profile, profileFile, app, endpoints, Shared.Data, Shared.Json };
        return command.Does(async (parsed, terminal, cancellationToken) =>
        {
            var options = new LocalStackOptions
            {
                DataDirectory = parsed.GetRequiredValue(Shared.Data).FullName,
                Shards = parsed.GetValue(shards),
                Placement = parsed.GetValue(placement) is { } file ? await PlacementAsync(file, cancellationToken) : null,
                Routers = parsed.GetValue(routers),
                RouterPort = parsed.GetValue(routerPort),
                OrchestratorPort = parsed.GetValue(orchestratorPort),
                Ack = parsed.GetRequiredValue(ack),
                Gates = parsed.GetValue(gates),
                Profile = Shared.ProfileOf(parsed.GetRequiredValue(profile), parsed.GetValue(profileFile)),
                App = Shared.AppOf(parsed.GetValue(app), parsed.GetValue(endpoints)),
                Progress = terminal.Say,
            };
            await using var stack = await LocalStack.StartAsync(options, cancellationToken);
            Console.Out.WriteLine(terminal.Json
                ? System.Text.Json.JsonSerializer.Serialize(stack.Run, Api.CliJson.Default.RunInfo)
                : $"Ready: router {string.Join(' ', stack.Run.Routers)}  orchestrator {stack.Run.Orchestrator}  data {stack.Run.DataDirectory}  (Ctrl-C stops)");

            var broken = await stack.WaitAsync(cancellationToken);
            if (broken is not null) throw broken;
            terminal.Say("Stopping: shards seal, settle and leave.");
            return 0;
        });
    }

    private static async Task<JsonElement> PlacementAsync(FileInfo file, CancellationToken cancellationToken)
    {
        try
        {
            var bytes = await File.ReadAllBytesAsync(file.FullName, cancellationToken);
            AffinityFile.Read(bytes); // Refused here and not after a minute.
            using var json = JsonDocument.Parse(bytes);
            return bytes.Length < ManagementLimits.BootstrapBytesMax ? json.RootElement.Clone() : throw new ShardCloudException(
                ErrorCodes.OverLimit, $"'{file.FullName}' has {bytes.Length} bytes; {ManagementLimits.BootstrapBytesMax} are possible.", "Import a shorter trace, or with fewer endpoints.");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ShardCloudException(ErrorCodes.AffinityUnreadable, $"'{file.FullName}' cannot be read: {error.Message}", "Name a file that 'shardcloud affinity import' wrote.", error);
        }
    }
}
