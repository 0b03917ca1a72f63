using ShardCloud.Cli.Demo;

namespace ShardCloud.Integration.Tests;

/// <summary>Two members that believe to own a convergent endpoint, on real processes.</summary>
[Collection(Cloud.Collection)]
public sealed class OverlapTests(ITestOutputHelper output)
{
    /// <summary>The owner is cut off from the tables: it is taken over, serves on without a lease, and its clients write there as others do at the new owner. Nobody stops, and all counts.</summary>
    [Fact]
    public async Task Owner_CutOffFromTheTables_BothSidesWriteAndBothKeepEverything()
    {
        await using var cloud = await Cloud.StartAsync(gates: true);

        var overlap = await new OverlapRun(cloud.Stack, cloud.Api, output.WriteLine).RunAsync("front", TestContext.Current.CancellationToken);

        output.WriteLine($"{overlap}");
        Assert.True(overlap.WritesA >= 50 && overlap.WritesB >= 50, "both sides were to write");
        Assert.Equal((overlap.WritesA + overlap.WritesB, 0), (overlap.Kept, overlap.Lost));
    }
}
