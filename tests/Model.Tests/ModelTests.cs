using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace ShardCloud.Model.Tests;

/// <summary>
/// Method: every order of events within the bounds of <see cref="Scenarios"/> is taken, breadth first, with the production cores; properties and steps are in
/// docs/protocol/model/README.md. <c>SHARDCLOUD_MODEL=histories</c> writes the histories that appear without a guard anew.
/// </summary>
public sealed class ModelTests(ITestOutputHelper output)
{
    private static readonly string Histories = Path.Combine(Root(), "docs", "protocol", "model", "histories.md");

    public static TheoryData<string> Names => [.. Scenarios.All.Concat(Scenarios.OfGuards.Select(known => known.Bounds)).Select(bounds => bounds.Name).Distinct()];

    /// <summary>The worlds in which a guard's history appears are among them: it was the guard, and not the world.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void EveryState_WithAllGuards_KeepsEveryPromise(string name)
    {
        var clock = Stopwatch.StartNew();
        var found = Search.Run(Scenarios.All.Concat(Scenarios.OfGuards.Select(known => known.Bounds)).First(bounds => bounds.Name == name), Guards.All);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{found.States} states, {found.Steps} steps, depth {found.Depth}, {clock.Elapsed.TotalSeconds:0.0} s"));
        Assert.True(found.Broken is null, $"{found.Broken}\n{string.Join("\n", found.History)}");
        Assert.True(found.IsComplete && found.States > 20, $"{found.States} states, complete: {found.IsComplete}");
    }

    /// <summary>The search finds a history in which a promise breaks, and it is the one on record.</summary>
    [Fact]
    public void EveryGuard_SwitchedOff_HasTheHistoryOnRecord()
    {
        var text = new StringBuilder("# Histories: how a promise breaks without a guard\n\nWritten by `SHARDCLOUD_MODEL=histories dotnet test tests/Model.Tests`; a test compares. Each is a shortest one in its world (`README.md`).\n"
            + "\"handoff 5\" and \"take-over 3\" are the steps of `../handoff.md` and `../take-over.md`; under a step stands what it brought about.\n");
        foreach (var (guard, bounds) in Scenarios.OfGuards)
        {
            var found = Search.Run(bounds, Guards.All & ~guard, looksAtEnds: guard is Guards.G7 or Guards.G9 or Guards.G14); // The others break a promise at once, and would be found stuck before.
            Assert.True(found.Broken is not null, $"no history of '{bounds.Name}' needs {guard}: {found.States} states");
            text.Append(CultureInfo.InvariantCulture, $"\n## {guard} off: {bounds.Name}\n\n{string.Join("\n", found.History)}\n\n**Broken**: {found.Broken}.\n");
        }
        if (Environment.GetEnvironmentVariable("SHARDCLOUD_MODEL") == "histories") File.WriteAllText(Histories, text.ToString());
        Assert.Equal(File.ReadAllText(Histories), text.ToString());
    }

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "ShardCloud.sln"))) folder = folder.Parent ?? throw new InvalidOperationException("ShardCloud.sln is in no folder above the tests.");
        return folder.FullName;
    }
}
