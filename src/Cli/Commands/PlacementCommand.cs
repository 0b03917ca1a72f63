using System.CommandLine;
using System.Text.Json;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Contracts;

namespace ShardCloud.Cli.Commands;

/// <summary><c>placement policy show|set</c>: what rebalancing keeps to.</summary>
internal static class PlacementCommand
{
    public static Command Create() => new("placement", "Where endpoints are to be: what rebalancing keeps to.") { new Command("policy", "What rebalancing keeps to.") { Show(), Set() } };

    private static Command Show() => new Command("show", "Print the policy as JSON; 'set' takes the same.\n\nExample: shardcloud placement policy show") { Shared.Orchestrator, Shared.Data, Shared.Json }
        .Does(async (parsed, terminal, cancellationToken) =>
        {
            using var api = ManagementClient.Of(parsed);
            Write(terminal, await api.PlacementPolicyAsync(cancellationToken));
            return 0;
        });

    private static Command Set()
    {
        var file = new Option<FileInfo?>("--file") { Description = "JSON with the whole policy; what is absent in it becomes the default. The options below change it further." };
        var every = new Option<int?>("--every") { Description = "Minutes between two runs; 0: never by itself." };
        var imbalance = new Option<double?>("--imbalance") { Description = "How far a shard's load may be above its share: 0.05 is 5 %." };
        var budget = new Option<double?>("--budget") { Description = "Share of the endpoints that one run may move." };
        var coolDown = new Option<int?>("--cool-down") { Description = "Seconds that an endpoint stays where it was moved." };
        var pins = new Option<string[]>("--pin") { Description = "ENDPOINT=SHARD: it stays there; ENDPOINT= takes the pin off. Once for each.", DefaultValueFactory = _ => [] };
        var apart = new Option<string[]>("--apart") { Description = "ENDPOINT,ENDPOINT: no two of them at one shard. Once for each group; 'none' takes all groups off.", DefaultValueFactory = _ => [] };
        return new Command("set", "Change the policy. What is not named stays as it is.\n\nExamples:\n  shardcloud placement policy set --budget 0.1 --pin rooms/1=shard-2\n  shardcloud placement policy set --apart rooms/1,rooms/2\n  shardcloud placement policy set --file policy.json")
            { file, every, imbalance, budget, coolDown, pins, apart, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                var policy = parsed.GetValue(file) is { } from ? await ReadAsync(from, cancellationToken) : await api.PlacementPolicyAsync(cancellationToken);
                policy = policy with
                {
                    EveryMinutes = parsed.GetValue(every) ?? policy.EveryMinutes,
                    Imbalance = parsed.GetValue(imbalance) ?? policy.Imbalance,
                    MoveBudget = parsed.GetValue(budget) ?? policy.MoveBudget,
                    CoolDownSeconds = parsed.GetValue(coolDown) ?? policy.CoolDownSeconds,
                    Pins = PinsOf(policy.Pins, parsed.GetValue(pins)!),
                    Apart = ApartOf(policy.Apart, parsed.GetValue(apart)!),
                };
                Write(terminal, await api.SetPlacementPolicyAsync(policy, cancellationToken));
                return 0;
            });
    }

    private static Dictionary<string, string> PinsOf(IReadOnlyDictionary<string, string>? known, string[] changes)
    {
        var pins = (known ?? new Dictionary<string, string>()).ToDictionary(StringComparer.Ordinal);
        foreach (var change in changes)
        {
            var at = change.LastIndexOf('=');
            if (at <= 0) throw new ShardCloudException(ErrorCodes.BadValue, $"'{change}' is no pin.", "Write ENDPOINT=SHARD, like rooms/1=shard-2.");
            if (at == change.Length - 1) pins.Remove(change[..at]);
            else pins[change[..at]] = change[(at + 1)..];
        }
        return pins;
    }

    private static List<IReadOnlyList<string>> ApartOf(IReadOnlyList<IReadOnlyList<string>>? known, string[] changes) =>
        [.. changes.Contains("none") ? [] : known ?? [], .. changes.Where(change => change != "none").Select(change => (IReadOnlyList<string>)change.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))];

    private static async Task<RebalancePolicy> ReadAsync(FileInfo file, CancellationToken cancellationToken)
    {
        try
        {
            return JsonSerializer.Deserialize(await File.ReadAllBytesAsync(file.FullName, cancellationToken), PlacementJson.Default.RebalancePolicy) ?? new RebalancePolicy();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new ShardCloudException(ErrorCodes.BadValue, $"'{file}' has no policy: {error.Message}", "Begin with what 'shardcloud placement policy show' prints.", error);
        }
    }

    // JSON for people too: it is what --file takes.
    private static void Write(Terminal terminal, RebalancePolicy policy) => terminal.Result(policy, PlacementJson.Default.RebalancePolicy, _ => Console.Out.WriteLine(JsonSerializer.Serialize(policy, PlacementJson.Default.RebalancePolicy)));
}
