using System.CommandLine.Parsing;
using ShardCloud.Cli.Commands;
using ShardCloud.Cli.Stack;

namespace ShardCloud.Integration.Tests;

/// <summary>An application that is not C#, in a local cloud started as docs/any-language.md says.</summary>
[Collection(Cloud.Collection)]
public sealed class AnyLanguageTests
{
    /// <summary>Method: writers and readers on three rooms while those move and then their shard dies by SIGKILL; of each room there is an order that explains every answer.</summary>
    [Fact]
    public async Task NodeSample_MovesAndItsShardDies_EveryIncrementCountsOnce_AndNoProgramIsLeft()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Looks into /proc.");
        await using var cloud = await Cloud.StartAsync(shards: 2, app: DocumentedApp());
        string[] rooms = ["1", "2", "3"];
        var histories = rooms.Select(room => new RoomHistory(cloud, room)).ToArray();
        using var stop = new CancellationTokenSource();
        var clients = histories.SelectMany(history => new[] { true, true, false }.Select(writes => history.AskUntilAsync(writes, stop.Token))).ToArray();

        foreach (var shard in (string[])["shard-1", "shard-2"])
        {
            await cloud.MoveAsync(shard, rooms.Select(room => $"rooms/{room}"));
            foreach (var room in rooms) Assert.Equal(shard, (await cloud.ReadAsync(room)).Shard);
        }

        var member = await cloud.PidOfAsync("shard-2");
        var programs = ChildrenOf(member);
        Assert.Contains(programs, pid => CommandOf(pid).StartsWith("node\0", StringComparison.Ordinal));
        Cloud.Kill(member);
        foreach (var room in rooms) await Cloud.UntilAsync(async () => (await cloud.ReadAsync(room)).Shard == "shard-1", "shard-1 has taken over");
        await Cloud.UntilAsync(() => Task.FromResult(!programs.Any(pid => CommandOf(pid).Length > 0)), "the program has ended with its shard");
        await stop.CancelAsync();
        await Task.WhenAll(clients);

        foreach (var history in histories)
        {
            await history.AskAsync(isIncrement: false);
            Assert.True(history.IsLinearizable, $"rooms/{history.Room}: no order of {history.Count} operations explains their answers");
            Assert.True(history.Count > 20, $"only {history.Count} operations on rooms/{history.Room}");
        }
    }

    /// <summary>What `up` would run by the command line in the document.</summary>
    private static LocalApp DocumentedApp()
    {
        var line = File.ReadLines(Repository.File("docs/any-language.md")).Single(line => line.Contains(" -- up ", StringComparison.Ordinal));
        var parsed = UpCommand.Create().Parse([.. CommandLineParser.SplitCommandLine(line.Split(" -- up ")[1])]);
        Assert.Empty(parsed.Errors);
        return new LocalApp(parsed.GetValue<string>("--app")!, parsed.GetValue<string[]>("--endpoint")!, Repository.File(""));
    }

    private static int[] ChildrenOf(int parent) =>
    [
        .. from folder in Directory.EnumerateDirectories("/proc")
           where int.TryParse(Path.GetFileName(folder), out _)
           let stat = Read(Path.Combine(folder, "stat"))
           where stat.Length > 0 && int.Parse(stat[(stat.LastIndexOf(')') + 4)..].Split(' ')[0]) == parent
           let pid = int.Parse(Path.GetFileName(folder))
           from each in (int[])[pid, .. ChildrenOf(pid)]
           select each,
    ];

    /// <summary>Empty when it has ended, waited for or not.</summary>
    private static string CommandOf(int pid) => Read($"/proc/{pid}/cmdline");

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
