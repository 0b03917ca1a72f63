using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace ShardCloud.Integration.Tests;

/// <summary>The command as its users meet it: a process, its exit code and what it prints.</summary>
[Collection(Cloud.Collection)]
public sealed class CommandLineTests
{
    [Theory]
    [InlineData("status")]
    [InlineData("migration list")]
    [InlineData("shard add")]
    [InlineData("down")]
    [InlineData("logs")]
    [InlineData("chaos kill shard-1")]
    [InlineData("update list")]
    [InlineData("affinity show")]
    [InlineData("explain rooms/1")]
    public async Task Verb_WithoutACloud_SaysSoInOneLine(string verb)
    {
        using var folder = new TemporaryFolder();

        var (exit, _, errors) = await RunAsync([.. verb.Split(' '), "--data", folder.Path]);

        Assert.Equal(3, exit);
        Assert.StartsWith("SC7008: ", errors, StringComparison.Ordinal);
        Assert.Single(errors.Trim().Split('\n'));
    }

    [Theory]
    [InlineData("statuz")]
    [InlineData("migrate rooms/1")]
    [InlineData("shard add --versoin 2.0.0")]
    public async Task Verb_ThatIsNotUnderstood_ExitsWith2(string line)
    {
        var (exit, _, errors) = await RunAsync(line.Split(' '));

        Assert.Equal(2, exit);
        Assert.NotEmpty(errors);
    }

    [Fact]
    public async Task Up_OnAPortInUse_SaysWhichAndWhatToDo()
    {
        using var folder = new TemporaryFolder();
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();

        var (exit, _, errors) = await RunAsync(["up", "--router-port", $"{((IPEndPoint)taken.LocalEndpoint).Port}", "--orchestrator-port", "0", "--data", folder.Path]);

        Assert.Equal(3, exit);
        Assert.Contains("SC7005: ", errors, StringComparison.Ordinal);
        Assert.Contains("--router-port", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Up_OnDataInUse_SaysSo()
    {
        using var folder = new TemporaryFolder();
        using var held = LocalCloud.Stack.DataDirectory.Open(folder.Path);

        var (exit, _, errors) = await RunAsync(["up", "--router-port", "0", "--orchestrator-port", "0", "--data", folder.Path]);

        Assert.Equal(3, exit);
        Assert.Contains("SC7006: ", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Up_OnDataOfANewerVersion_IsRefused()
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(Path.Combine(folder.Path, "layout"), "999", TestContext.Current.CancellationToken);

        var (exit, _, errors) = await RunAsync(["up", "--router-port", "0", "--orchestrator-port", "0", "--data", folder.Path]);

        Assert.Equal(3, exit);
        Assert.Contains("SC7006: ", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Node_Missing_SaysWhatToInstall()
    {
        using var folder = new TemporaryFolder();

        var (exit, _, errors) = await RunAsync(["up", "--router-port", "0", "--orchestrator-port", "0", "--data", folder.Path], path: folder.Path);

        Assert.Equal(3, exit);
        Assert.Contains("SC7001: ", errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("migrate rooms/1", "--to")]
    [InlineData("update start", "--version")]
    [InlineData("up --shards 0", "--shards")]
    [InlineData("demo --seconds 1", "--seconds")]
    [InlineData("down --orchestrator https://o", "--cloud")]
    [InlineData("package build application --output a.zip", "--project")]
    [InlineData("down --cloud rooms --purge", "--purge")]
    [InlineData("frobnicate", "frobnicate")]
    public async Task Usage_Wrong_NamesTheOption(string arguments, string named)
    {
        var (exit, output, errors) = await RunAsync(arguments.Split(' '));

        Assert.NotEqual(0, exit);
        Assert.Contains(named, output + errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("up")]
    [InlineData("demo")]
    [InlineData("status")]
    [InlineData("migrate")]
    [InlineData("migration show")]
    [InlineData("shard remove")]
    [InlineData("update start")]
    [InlineData("package build")]
    [InlineData("update approve")]
    [InlineData("explain")]
    [InlineData("affinity import")]
    [InlineData("chaos partition")]
    [InlineData("logs")]
    [InlineData("doctor")]
    [InlineData("size")]
    [InlineData("connect")]
    [InlineData("down")]
    public async Task Help_HasAnExample(string verb)
    {
        var (exit, output, _) = await RunAsync([.. verb.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]);

        Assert.Equal(0, exit);
        Assert.Contains("shardcloud " + verb.Split(' ')[0], output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Up_UseDown_TwiceOnTheSameData_KeepsTheStateAndEndsCleanly()
    {
        using var folder = new TemporaryFolder();
        string[] data = ["--data", folder.Path];
        for (var run = 1; run <= 2; run++)
        {
            using var up = Start(["up", "--shards", "2", "--router-port", "0", "--orchestrator-port", "0", .. data]);
            var said = up.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            var router = await RouterOfAsync(up);
            using var http = new HttpClient { BaseAddress = new Uri(router) };
            var room = await (await http.PostAsync("rooms/7/increment", null, TestContext.Current.CancellationToken)).Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
            foreach (var shard in (string[])["shard-1", "shard-2"]) // So that the second one is a move, wherever the room was.
            {
                var moved = await RunAsync(["migrate", "rooms/7", "--to", shard, "--reason", "the sun", "--wait", .. data]);
                Assert.True(moved.Exit == 0, moved.Errors);
            }
            var explained = await RunAsync(["explain", "rooms/7", "--json", .. data]);
            var status = await RunAsync(["status", "--json", .. data]);
            await EndShardsAsync(folder.Path, data);
            if (run == 2)
            {
                using var api = Cli.Api.ManagementClient.Of(Cli.Api.ManagementClient.RunOf(folder.Path));
                await api.WaitForOperationAsync(await api.BootstrapAsync(new(2, "1.0.0"), TestContext.Current.CancellationToken), null, TestContext.Current.CancellationToken);
                Assert.Contains("\"value\":2", await http.GetStringAsync("rooms/7", TestContext.Current.CancellationToken), StringComparison.Ordinal);
            }
            var down = await RunAsync(["down", .. data]);
            await up.WaitForExitAsync(TestContext.Current.CancellationToken);

            Assert.Contains($"\"value\":{run}", room, StringComparison.Ordinal);
            Assert.True((explained.Exit, status.Exit, down.Exit, up.ExitCode) == (0, 0, 0, 0), explained.Errors + status.Errors + down.Errors + await said);
            var explanation = System.Text.Json.JsonDocument.Parse(explained.Output).RootElement;
            var (owner, move) = (explanation.GetProperty("owner"), explanation.GetProperty("move"));
            Assert.Equal(("shard-2", "the sun"), (owner.GetProperty("shard").GetString(), owner.GetProperty("reason").GetString()));
            Assert.Equal(owner.GetProperty("epoch").GetInt64(), move.GetProperty("grantedVersion").GetInt64());
            Assert.InRange(move.GetProperty("costs").GetProperty("pauseMaxMs").GetDouble(), double.Epsilon, 60_000);
            Assert.Equal("rooms", System.Text.Json.JsonDocument.Parse(status.Output).RootElement.GetProperty("application").GetString());
            foreach (var log in Directory.GetFiles(Path.Combine(folder.Path, "logs")))
                Assert.DoesNotContain("Unhandled exception", await File.ReadAllTextAsync(log, TestContext.Current.CancellationToken), StringComparison.Ordinal);
        }
    }

    /// <summary>The end of all shards of a cloud that goes on otherwise: their processes end, and none is made any more.</summary>
    private static async Task EndShardsAsync(string folder, string[] data)
    {
        var another = await RunAsync(["down", "--cloud", "another", .. data]);
        Assert.Equal((4, "SC5030"), (another.Exit, another.Errors.Split(':')[0]));
        var shards = LocalCloud.Stack.ProcessFile.Read(folder).Where(process => process.Name.StartsWith("shard-", StringComparison.Ordinal)).ToList();
        Assert.Equal((2, true), (shards.Count, shards.TrueForAll(shard => shard.IsRunning)));

        var ended = await RunAsync(["down", "--cloud", "rooms", "--json", .. data]);

        Assert.True(ended.Exit == 0, ended.Errors);
        Assert.Equal(["shard-1", "shard-2"], System.Text.Json.JsonDocument.Parse(ended.Output).RootElement.GetProperty("shards").EnumerateArray().Select(shard => shard.GetString()));
        Assert.DoesNotContain(shards, shard => shard.IsRunning);
        Assert.DoesNotContain(LocalCloud.Stack.ProcessFile.Read(folder), process => process.IsRunning && process.Name.StartsWith("shard-", StringComparison.Ordinal));
        var added = await RunAsync(["shard", "add", .. data]);
        Assert.Equal((4, "SC5031"), (added.Exit, added.Errors.Split(':')[0]));
    }

    /// <summary>Real processes: what a second terminal can do to a running cloud, and that nothing outlives the command's kill -9.</summary>
    [Fact]
    public async Task Up_FaultsFromAnotherTerminal_ThenKilled_LeavesNothingRunning()
    {
        using var folder = new TemporaryFolder();
        string[] data = ["--data", folder.Path];
        using var up = Start(["up", "--gates", "--shards", "1", "--router-port", "0", "--orchestrator-port", "0", .. data]);
        var said = up.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var router = await RouterOfAsync(up);

        Assert.Equal((0, ""), await ChaosAsync("pause shard-1"));
        Assert.Equal((3, "SC7016"), await ChaosAsync("pause shard-1"));
        Assert.Equal((0, ""), await ChaosAsync("resume shard-1"));
        Assert.Equal((0, ""), await ChaosAsync("partition shard-1 --seconds 1 --from storage"));
        Assert.Equal((3, "SC7016"), await ChaosAsync("partition azurite --seconds 1"));
        Assert.Equal((3, "SC7015"), await ChaosAsync("kill nobody"));
        Assert.Equal((0, ""), await ChaosAsync("kill event-hubs"));
        await Cloud.UntilAsync(async () => (await RunAsync(["chaos", "list", "--json", .. data])).Output.Contains("\"state\":\"running\",\"restarts\":1", StringComparison.Ordinal), "Event Hubs are started again");
        using var http = new HttpClient { BaseAddress = new Uri(router) };
        Assert.True((await http.PostAsync("rooms/7/increment", null, TestContext.Current.CancellationToken)).IsSuccessStatusCode);
        var logs = await RunAsync(["logs", "shard-1", "-n", "1", .. data]);
        Assert.StartsWith("shard-1 | ", logs.Output, StringComparison.Ordinal);
        Assert.Equal((3, "SC7015"), Ends(await RunAsync(["logs", "nobody", .. data])));

        var processes = LocalCloud.Stack.ProcessFile.Read(folder.Path);
        Assert.Equal(["azurite", "event-hubs", "functions-host", "orchestrator", "router-1", "shard-1"], processes.Select(process => process.Name).Order());
        up.Kill();
        await Cloud.UntilAsync(() => Task.FromResult(!processes.Any(process => process.IsRunning)), "every process ends with the command");
        Assert.Contains("event-hubs is ready again", await said, StringComparison.Ordinal);

        async Task<(int, string)> ChaosAsync(string verb) => Ends(await RunAsync(["chaos", .. verb.Split(' '), .. data]));

        static (int, string) Ends((int Exit, string Output, string Errors) run) => (run.Exit, run.Errors.Split(':')[0]);
    }

    [Fact]
    public async Task Up_ThatFails_LeavesNothingRunning()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(Path.Combine(folder.Path, "eventhubs", "hubs", "deltas"));
        await File.WriteAllTextAsync(Path.Combine(folder.Path, "eventhubs", "hubs", "deltas", "hub.json"), "not json", TestContext.Current.CancellationToken);

        var (exit, _, errors) = await RunAsync(["up", "--router-port", "0", "--orchestrator-port", "0", .. (string[])["--data", folder.Path]]);

        Assert.NotEqual(0, exit);
        Assert.Matches("SC[67]", errors);
        Assert.Empty(LocalCloud.Stack.ProcessFile.Read(folder.Path));
    }

    [Fact]
    public async Task Doctor_OnANewFolder_FindsNothingThatFails()
    {
        using var folder = new TemporaryFolder();

        var (exit, output, _) = await RunAsync(["doctor", "--json", "--data", folder.Path]);

        var findings = System.Text.Json.JsonDocument.Parse(output).RootElement.GetProperty("findings").EnumerateArray().ToDictionary(finding => finding.GetProperty("about").GetString()!, finding => finding.GetProperty("verdict").GetString());
        Assert.Equal(0, exit);
        Assert.Equal("Ok", findings["Node"]);
        Assert.Contains("processes", findings.Keys);
    }

    [Fact]
    public async Task Doctor_WithoutNode_FailsAndSaysWhatToInstall()
    {
        using var folder = new TemporaryFolder();

        var (exit, output, _) = await RunAsync(["doctor", "--data", folder.Path], path: folder.Path);

        Assert.Equal(1, exit);
        Assert.Contains("SC7001", output, StringComparison.Ordinal);
    }

    internal static async Task<string> RouterOfAsync(Process up)
    {
        while (await up.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) is { } line)
        {
            if (line.Split("router ") is [_, var rest]) return rest.Split(' ')[0];
        }
        throw new InvalidOperationException("The local cloud ended before it was ready.");
    }

    internal static Process Start(IEnumerable<string> arguments, string? path = null, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath is { } own && Path.GetFileNameWithoutExtension(own) == "dotnet" ? own : DotNet) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(Path.Combine(Repository.CliFolder, "shardcloud.dll"));
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        if (path is not null) start.Environment["PATH"] = path;
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    internal static async Task<(int Exit, string Output, string Errors)> RunAsync(IEnumerable<string> arguments, string? path = null, params (string Name, string Value)[] environment)
    {
        using var process = Start(arguments, path, environment);
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromMinutes(3));
        return (process.ExitCode, await output, await errors);
    }

    private static string DotNet => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .SelectMany(folder => (string[])[Path.Combine(folder, "dotnet"), Path.Combine(folder, "dotnet.exe")]).First(File.Exists);

    internal sealed class TemporaryFolder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("shardcloud-test-").FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
