using System.Text.Json;
using ShardCloud.Cli.Demo;
using ShardCloud.Contracts;

namespace ShardCloud.Integration.Tests;

/// <summary><c>shardcloud rebalance</c> as a process, on a real cloud whose lobbies call rooms, and these an inventory, wherever their names put them.</summary>
[Collection(Cloud.Collection)]
public sealed class RebalanceCommandTests
{
    private static readonly TimeSpan Measured = TimeSpan.FromSeconds(1.5);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Apply_UnderLoad_BringsTogetherWhatIsUsedTogether_AndFailsNoRequest()
    {
        await using var cloud = await Cloud.StartAsync(shards: 2);
        await RunAsync(cloud, "placement", "policy", "set", "--every", "0", "--cool-down", "0", "--budget", "1");
        using var lobbies = new LobbyLoad(new Uri(cloud.Stack.Run.Router));
        using var end = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        var entering = lobbies.RunAsync(end.Token);
        await Cloud.UntilAsync(() => Task.FromResult(lobbies.Entered >= 3 * LobbyLoad.Lobbies * LobbyLoad.RoomsEach), "every room to be entered three times");
        var before = await lobbies.CrossedAsync(Measured, Cancelled);

        var planned = JsonSerializer.Deserialize(await RunAsync(cloud, "rebalance", "--json"), PlacementJson.Default.RebalanceRun)!;
        Assert.Equal(before, await lobbies.CrossedAsync(Measured, Cancelled), 0.1); // Only planned.
        var run = JsonSerializer.Deserialize(await RunAsync(cloud, "rebalance", "--apply", "--json"), PlacementJson.Default.RebalanceRun)!;
        var after = await lobbies.CrossedAsync(Measured, Cancelled);
        await end.CancelAsync();
        await entering;

        Assert.True(lobbies.Failed == 0, string.Join(" | ", lobbies.Failures));
        Assert.True(before > 0.2 && after < before / 2, $"{before} crossed before, {after} after");
        Assert.Equal((RebalanceOutcome.Planned, 0, RebalanceOutcome.Done), (planned.Outcome, planned.Moved, run.Outcome));
        Assert.True(planned.Planned > 0 && run.Planned == run.Moved, $"{run.Moved} of {run.Planned}");
        Assert.All(run.Moves!, move => Assert.Equal("done", move.Outcome));
        Assert.Contains("same", await RunAsync(cloud, "replay", run.Id), StringComparison.Ordinal);
    }

    private static async Task<string> RunAsync(Cloud cloud, params string[] arguments)
    {
        var (exit, output, errors) = await CommandLineTests.RunAsync([.. arguments, "--data", cloud.DataDirectory]);
        Assert.True(exit == 0, $"{errors}{output}");
        return output;
    }
}
