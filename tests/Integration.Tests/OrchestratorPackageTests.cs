using System.IO.Compression;
using System.Runtime.InteropServices;
using ShardCloud.Cli.Packaging;

namespace ShardCloud.Integration.Tests;

/// <summary>The Orchestrator as it goes to Azure: from its zip, started by the Functions host by what host.json says.</summary>
[Collection(Cloud.Collection)]
public sealed class OrchestratorPackageTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Zip_HasWhatTheHostReads_AndItsOrchestratorMovesAnEndpoint()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The package is built and run on Linux.");
        var zip = Path.Combine(_folder, "orchestrator.zip");
        await PackageBuild.ZipAsync(PackageKind.Orchestrator, CopyOf(Path.Combine(Repository.Apps, "orchestrator")), selfContained: false, zip, _ => { }, TestContext.Current.CancellationToken);
        using (var archive = await ZipFile.OpenReadAsync(zip, TestContext.Current.CancellationToken))
        {
            var names = archive.Entries.Select(entry => entry.FullName).ToHashSet(StringComparer.Ordinal);
            Assert.Superset(new HashSet<string>(StringComparer.Ordinal) { "host.json", "ShardCloud.Orchestrator", "Management/function.json", "MigrateEndpoints/function.json", "Monitor/function.json" }, names);
            Assert.True(((archive.GetEntry("ShardCloud.Orchestrator")!.ExternalAttributes >> 16) & 0b001_000_000) != 0, "The handler is not marked as executable.");
        }
        var package = Path.Combine(_folder, "orchestrator");
        await ZipFile.ExtractToDirectoryAsync(zip, package, TestContext.Current.CancellationToken);
        if (Environment.GetEnvironmentVariable("DOTNET_ROOT") is null or "") // The build's program finds .NET by it; the published one brings its own.
            Environment.SetEnvironmentVariable("DOTNET_ROOT", Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..")));

        await using var cloud = await Cloud.StartAsync(shards: 2, orchestrator: package);
        await cloud.IncrementAsync("7");
        foreach (var shard in (string[])["shard-1", "shard-2"]) // So that one of them is a move, wherever the room was.
        {
            await cloud.MoveAsync(shard, "rooms/7");
            Assert.Equal((1, shard), await cloud.ReadAsync("7"));
        }
    }

    /// <summary>The build's files without symbols, which a package has in its programs. Publishing with .NET, as for Azure, takes a minute: that it gives the same files is what `package build` checks when it runs.</summary>
    private string CopyOf(string folder)
    {
        var copy = Path.Combine(_folder, "built");
        foreach (var file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(file => !file.EndsWith(".pdb", StringComparison.Ordinal)))
        {
            var to = Path.Combine(copy, Path.GetRelativePath(folder, file));
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(file, to);
        }
        return copy;
    }
}
