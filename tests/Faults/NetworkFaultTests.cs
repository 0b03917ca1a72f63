using ShardCloud.Bench.Faults;
using ShardCloud.Integration.Tests;
using ShardCloud.Processes;

namespace ShardCloud.Faults.Tests;

/// <summary>One of the ways in which packets vanish in the kernel, where that can be had; <c>bench/Faults --members network</c> has them all.</summary>
[Collection(Cloud.Collection)]
public sealed class NetworkFaultTests(ITestOutputHelper output)
{
    /// <summary>Packets from its peers to one owner vanish. The bench brings the namespaces; it ends with 0 only when all is as it must be.</summary>
    [Fact]
    public async Task Owner_PacketsVanish_OneWay_NothingFailsAndNothingIsLost()
    {
        var cancellationToken = TestContext.Current.CancellationToken;
        if (await NetworkCuts.ImpossibleAsync(cancellationToken) is { } why) Assert.Skip(why);
        var own = new DirectoryInfo(AppContext.BaseDirectory); // tests/Faults/bin/CONFIGURATION/FRAMEWORK
        var bench = Path.Combine(own.FullName, "../../../../../bench/Faults/bin", own.Parent!.Name, own.Name, "ShardCloud.Bench.Faults.dll");
        await using var process = ChildProcess.Start(new ChildProcessOptions
        {
            FileName = "dotnet",
            Arguments = [bench, "--members", "network", "--cases", "peers-received", "--rps", "50", "--rooms", "12", "--lease", "2"],
            ParentWatch = ParentWatch.DotNet,
            OnLine = output.WriteLine,
        });
        Assert.Equal(0, (await process.Exited.WaitAsync(cancellationToken)).ExitCode);
    }
}
