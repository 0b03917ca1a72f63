using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>explain</c>: who owns an endpoint, and how that came about.</summary>
internal static class ExplainCommand
{
    public static Command Create()
    {
        var endpoint = new Argument<string>("ENDPOINT") { Description = "The endpoint, e.g. rooms/1." };
        return new Command("explain", "Who owns an endpoint, since when, by what and why, and what that move cost.\n\nExample: shardcloud explain rooms/1") { endpoint, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                var owner = await api.OwnerAsync(parsed.GetRequiredValue(endpoint), cancellationToken);
                var migration = owner.Migration is { } id ? await api.MigrationAsync(id, cancellationToken) : null;
                // An epoch is the map version of the commit that granted it, and each batch is one commit.
                var explanation = new Explanation(owner, migration?.RequestedBy, migration?.Batches.FirstOrDefault(batch => batch.GrantedVersion == owner.Epoch));
                terminal.Result(explanation, ExplainJson.Default.Explanation, console => Show(console, explanation));
                return 0;
            });
    }

    private static void Show(IAnsiConsole console, Explanation explanation)
    {
        var (owner, requestedBy, move) = explanation;
        Line("endpoint", $"{owner.Endpoint}, {(owner.Placed ? "placed one by one" : $"follows slot {owner.Slot}")}, Event Hub partition {owner.Partition}");
        Line("owner", $"{owner.Shard} ({owner.Owner})");
        Line("epoch", $"{owner.Epoch} of map version {owner.MapVersion}");
        Line("since", owner.Since is { } since ? $"{since:u}" : "unknown");
        Line("by", requestedBy is null ? owner.Cause : $"{owner.Cause}, asked for by {requestedBy}");
        Line("why", owner.Reason);
        if (move is not null)
        {
            var costs = move.Costs;
            Line("from", move.From);
            Line("cost", $"pause p50 {Milliseconds(costs.PauseP50Ms)}, p99 {Milliseconds(costs.PauseP99Ms)}, max {Milliseconds(costs.PauseMaxMs)} over the {move.Entries.Count} entries of its batch; "
                + $"longest wait {costs.MaxWaitMs:0.0} ms, {costs.Parked} parked, {costs.Forwarded} forwarded, {costs.Bytes} bytes");
        }
        if (move is { Costs.PhasesMs.Count: > 0 }) Line("phases", MigrationView.PhasesOf(move.Costs.PhasesMs));
        if (owner.MovingTo is { } to) Line("moving to", $"{to}, handoff {owner.Handoff}");

        void Line(string name, string text) => console.WriteLine($"{name,-10} {text}");
    }

    private static string Milliseconds(double? value) => value is { } number ? $"{number:0.0} ms" : "-";
}

/// <summary>What <c>explain --json</c> prints. <c>move</c>: the batch that made the owner the owner; absent where no migration did, <c>owner.cause</c> says what did.</summary>
internal sealed record Explanation(EndpointOwner Owner, string? RequestedBy, MigrationBatch? Move);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Explanation))]
internal sealed partial class ExplainJson : JsonSerializerContext;
