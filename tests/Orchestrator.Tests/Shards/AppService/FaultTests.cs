using ShardCloud.Orchestrator.Shards.AppService;

namespace ShardCloud.Orchestrator.Tests.Shards.AppService;

/// <summary>Every cell of the table in docs/operating/app-service.md: what a fault at a call leads to, and that the same again finds its way once it is over.</summary>
public sealed class FaultTests
{
    private static readonly Dictionary<string, (Fault Fault, int Times)> Rows = new()
    {
        ["429, once"] = (Fault.Throttled, 1),
        ["429, always"] = (Fault.Throttled, int.MaxValue),
        ["429 for an hour"] = (Fault.ThrottledForAnHour, int.MaxValue),
        ["409, once"] = (Fault.Conflict, 1),
        ["409, always"] = (Fault.Conflict, int.MaxValue),
        ["503, once"] = (Fault.Unavailable, 1),
        ["503, always"] = (Fault.Unavailable, int.MaxValue),
        ["answer lost, once"] = (Fault.LostAnswer, 1),
        ["answer lost, always"] = (Fault.LostAnswer, int.MaxValue),
        ["no answer"] = (Fault.Silence, int.MaxValue),
        ["403"] = (Fault.Forbidden, int.MaxValue),
        ["400"] = (Fault.Refused, int.MaxValue),
        ["404"] = (Fault.Missing, int.MaxValue),
        ["401 for want of quota"] = (Fault.NoQuota, int.MaxValue),
        ["409, the name is taken"] = (Fault.NameTaken, int.MaxValue),
        ["202 with Azure-AsyncOperation"] = (Fault.AcceptedWithOperation, int.MaxValue),
        ["202 with Location"] = (Fault.AcceptedWithLocation, int.MaxValue),
        ["202 alone"] = (Fault.AcceptedAlone, int.MaxValue),
        ["202 that fails"] = (Fault.AcceptedAndFailed, int.MaxValue),
        ["202 without end"] = (Fault.AcceptedForEver, int.MaxValue),
        ["202 that leads to another host"] = (Fault.AcceptedElsewhere, int.MaxValue),
        ["success without effect"] = (Fault.NoEffect, int.MaxValue),
    };

    private static readonly Dictionary<string, string> Calls = new()
    {
        ["find"] = FakeArm.Get,
        ["plan"] = FakeArm.Plan,
        ["make"] = FakeArm.Put,
        ["close"] = FakeArm.Scm,
        ["list"] = FakeArm.List,
        ["stop"] = FakeArm.Stop,
        ["watch"] = FakeArm.Get,
        ["delete"] = FakeArm.Delete,
    };

    public static TheoryData<string, string, string> Cells()
    {
        var lines = File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "app-service.md"));
        var head = Array.FindIndex(lines, line => line.StartsWith("| fault |", StringComparison.Ordinal));
        string[] Split(string line) => [.. line.Trim('|').Split('|').Select(cell => cell.Trim())];
        var columns = Split(lines[head]);
        var cells = new TheoryData<string, string, string>();
        foreach (var row in lines.Skip(head + 2).TakeWhile(line => line.StartsWith('|')).Select(Split))
            for (var column = 1; column < columns.Length; column++)
                if (row[column] != "-") cells.Add(row[0], columns[column], row[column]);
        Assert.Equal(Rows.Count, cells.Select(cell => cell.Data.Item1).Distinct().Count());
        return cells;
    }

    [Theory, MemberData(nameof(Cells))]
    public async Task Fault_AtACall_ComesOutAsDocumented(string fault, string call, string outcome)
    {
        await using var fake = await FakeArm.StartAsync();
        var settings = TestSites.Settings();
        if (fault == "no answer") (settings.Calls.AnswerWithin, settings.Calls.TriesMax) = (TimeSpan.FromMilliseconds(150), 2);
        if (fault == "202 without end") settings.Calls.FinishWithin = TimeSpan.FromSeconds(1);
        using var host = TestSites.Host(fake, settings);
        using var healthy = TestSites.Host(fake);
        var site = call is "list" or "stop" or "watch" or "delete" ? (await healthy.CreateAsync("add-1", new ShardId("shard-1"), "1.0.0", Cancelled)).Handle : null;
        var (kind, times) = Rows[fault];
        var left = times;
        fake.Faults = operation => operation == Calls[call] && left-- > 0 ? kind : Fault.None;

        var came = await ComesOutAsync(() => RunAsync(host));

        Assert.Equal(outcome, came);
        fake.Faults = null;
        await RunAsync(healthy); // Whatever was half done is taken up.
        if (site is null) Assert.Equal((1, 2), (fake.Sites.Count, fake.Closed.Count));
        else if (call != "list") Assert.Empty(fake.Sites);
        Assert.Equal(2, fake.Plans.Count);
        Assert.Empty(fake.Violations);

        Task RunAsync(AppServiceShardHost with) => site is null ? with.CreateAsync("add-1", new ShardId("shard-1"), "1.0.0", Cancelled) : call == "list" ? with.ListAsync(Cancelled) : with.DeleteAsync(site, Cancelled);
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private static async Task<string> ComesOutAsync(Func<Task> work)
    {
        try
        {
            await work();
            return "done";
        }
        catch (ShardCloudException error)
        {
            Assert.NotEmpty(error.Remedy);
            return error.Code;
        }
    }
}
