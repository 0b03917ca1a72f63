using System.IO.Compression;
using ShardCloud.Cli.Packaging;

namespace ShardCloud.Integration.Tests;

/// <summary><c>package build</c>: what is published, zipped and checked.</summary>
public sealed class PackageBuildTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-test-").FullName;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>The same sources in two folders, the second with another folder name and file times: no path, time or commit gets in.</summary>
    [Fact]
    public async Task Application_OfTheSameSourcesInAnotherFolder_IsTheSamePackage()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Packages are built on Linux.");

        var builds = new List<BuiltPackage>();
        foreach (var place in (string[])["one", "another/place"])
            builds.Add(await PackageBuild.RunAsync(PackageKind.Application, await SourcesAsync(place), "3.1.0", selfContained: false, Path.Combine(_folder, $"{builds.Count}.zip"), _ => { }, Cancelled));

        Assert.Equal(("3.1.0", builds[0].Sha256), (builds[0].Version, builds[1].Sha256));
        using var zip = await ZipFile.OpenReadAsync(builds[0].Path, Cancelled);
        Assert.Superset(new HashSet<string>(StringComparer.Ordinal) { "shardcloud.json", "App.dll", "App", "App.runtimeconfig.json" }, zip.Entries.Select(entry => entry.FullName).ToHashSet(StringComparer.Ordinal));
        Assert.DoesNotContain(zip.Entries, entry => entry.Name.EndsWith(".pdb", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Project_ThatIsNotThere_IsRefused() =>
        await RefusedAsync("There is no project", () => PackageBuild.RunAsync(PackageKind.Router, Path.Combine(_folder, "none"), null, false, Path.Combine(_folder, "a.zip"), _ => { }, Cancelled));

    [Theory]
    [InlineData("", null)]
    [InlineData("App.pdb=x", "'App.pdb' is in it")]
    [InlineData("-host.json", "there is no host.json at its root")]
    [InlineData("host.json={}", "names no customHandler")]
    [InlineData("-Handler", "its program 'Handler' is not in it")]
    [InlineData("Handler=#!/bin/sh", "is made for nothing that is known")]
    [InlineData("-One/function.json", "there is no folder with a function.json")]
    [InlineData("in/Two/function.json={}", "is not in a folder at the root")]
    [InlineData("One/function.json={}", "'One/function.json' has no bindings")]
    [InlineData("One/function.json={", "'One/function.json' is not JSON")]
    public async Task Orchestrator_ThatTheHostCouldNotRun_IsRefused(string change, string? why)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Packages are built on Linux.");
        var files = new Dictionary<string, byte[]>(StringComparer.Ordinal)
        {
            ["host.json"] = """{"customHandler":{"description":{"defaultExecutablePath":"Handler"}}}"""u8.ToArray(),
            ["One/function.json"] = """{"bindings":[{"type":"activityTrigger"}]}"""u8.ToArray(),
            ["Handler"] = [0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, .. new byte[12], 62, 0],
        };
        if (change.StartsWith('-')) files.Remove(change[1..]);
        else if (change.Split('=', 2) is [var name, var text]) files[name] = System.Text.Encoding.UTF8.GetBytes(text);
        var folder = Path.Combine(_folder, "built");
        foreach (var (file, content) in files)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(folder, file))!);
            await File.WriteAllBytesAsync(Path.Combine(folder, file), content, Cancelled);
        }
        if (OperatingSystem.IsLinux() && files.ContainsKey("Handler")) File.SetUnixFileMode(Path.Combine(folder, "Handler"), (UnixFileMode)0b111_101_101);
        Task<BuiltPackage> Build(bool selfContained) => PackageBuild.ZipAsync(PackageKind.Orchestrator, folder, selfContained, Path.Combine(_folder, "a.zip"), _ => { }, Cancelled);

        if (why is not null) await RefusedAsync(why, () => Build(false));
        else
        {
            Assert.Equal("orchestrator", (await Build(false)).Kind);
            await RefusedAsync("there is no libcoreclr.so", () => Build(true));
            if (OperatingSystem.IsLinux()) File.SetUnixFileMode(Path.Combine(folder, "Handler"), (UnixFileMode)0b110_100_100);
            await RefusedAsync("is not marked as executable", () => Build(false));
        }
    }

    private static async Task RefusedAsync(string why, Func<Task<BuiltPackage>> build)
    {
        var error = await Assert.ThrowsAsync<ShardCloudException>(build);
        Assert.Equal(ErrorCodes.PackageNotBuilt, error.Code);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    private async Task<string> SourcesAsync(string place)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, place)).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "App.csproj"), """<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFramework>net10.0</TargetFramework><OutputType>Exe</OutputType></PropertyGroup><ItemGroup><None Include="shardcloud.json" CopyToOutputDirectory="PreserveNewest" /></ItemGroup></Project>""", Cancelled);
        await File.WriteAllTextAsync(Path.Combine(folder, "Program.cs"), """System.Console.WriteLine(new System.Diagnostics.StackFrame(0, true).GetFileName());""", Cancelled);
        await File.WriteAllTextAsync(Path.Combine(folder, "shardcloud.json"), """{"version":"1.0.0","command":["dotnet","App.dll"]}""", Cancelled);
        return folder;
    }
}
