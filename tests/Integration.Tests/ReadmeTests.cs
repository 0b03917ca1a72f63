using System.Diagnostics;

namespace ShardCloud.Integration.Tests;

/// <summary>What the README tells its readers to type, typed: the block "Day to day", in its order, on a cloud of its own.</summary>
[Collection(Cloud.Collection)]
public sealed class ReadmeTests
{
    private const string Program = "dotnet run -c Release --project src/Cli -- ";

    [Fact]
    public async Task DayToDay_EveryCommandSucceeds()
    {
        using var folder = new CommandLineTests.TemporaryFolder();
        var commands = Commands();
        Assert.Equal(("up", "down"), (commands[0][0], commands[^1][0]));

        using var up = CommandLineTests.Start([.. commands[0], "--router-port", "0", "--orchestrator-port", "0", "--data", folder.Path]);
        try
        {
            await CommandLineTests.RouterOfAsync(up);
            foreach (var command in commands.Skip(1)) await RunAsync([.. command, "--data", folder.Path]);
            await up.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromSeconds(60));
        }
        finally
        {
            up.Kill(entireProcessTree: true);
        }
        Assert.Equal(0, up.ExitCode);
    }

    private static async Task RunAsync(string[] command)
    {
        if (command.Contains("-f"))
        {
            using var follows = CommandLineTests.Start(command);
            Assert.NotNull(await follows.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromSeconds(60)));
            follows.Kill();
            return;
        }
        var clock = Stopwatch.StartNew();
        var (exit, output, errors) = await CommandLineTests.RunAsync(command);
        TestContext.Current.TestOutputHelper?.WriteLine($"{clock.Elapsed.TotalSeconds:0.0} s: {string.Join(' ', command)}");
        Assert.True(exit == 0, $"{string.Join(' ', command)}: {exit}\n{output}\n{errors}");
    }

    // A reader is in the clone's folder, and has built what runs here in another configuration.
    private static string Placed(string word) => word.Replace("src/Cli/bin/Release/net10.0", Repository.CliFolder, StringComparison.Ordinal) is var path && path.StartsWith("samples/", StringComparison.Ordinal) ? Repository.File(path) : path;

    private static List<string[]> Commands()
    {
        var readme = File.ReadAllText(Repository.File("README.md"));
        var block = readme[readme.IndexOf("## Day to day", StringComparison.Ordinal)..].Split("```")[1];
        return [.. block.Split('\n').Where(line => line.StartsWith(Program, StringComparison.Ordinal)).Select(line => line[Program.Length..].Split(' ').Select(Placed).ToArray())];
    }
}
