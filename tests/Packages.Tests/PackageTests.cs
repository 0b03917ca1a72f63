namespace ShardCloud.Packages.Tests;

/// <summary>What is taken for a package, and what is done with it.</summary>
public sealed class PackageTests : IDisposable
{
    private const int Executable = 0x81ED, Link = 0xA1FF; // 0100755, 0120777.

    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-package-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Good_UnpacksAsAWhole_AndTwiceIsOnce()
    {
        var target = Path.Combine(_folder, "2.0.0");
        using (var package = Zip.Good().With("data/", "").With("data/rooms.txt", "blue").With("run.sh", "#!/bin/sh", Executable).Open())
        {
            Assert.Equal(("2.0.0", "dotnet App.dll --fast"), (package.Manifest.Version, string.Join(' ', package.Manifest.Command)));
            await package.UnpackAsync(target, TestContext.Current.CancellationToken);
            await package.UnpackAsync(target, TestContext.Current.CancellationToken);
        }
        Assert.Equal("blue", File.ReadAllText(Path.Combine(target, "data", "rooms.txt")));
        Assert.Single(Directory.GetFileSystemEntries(_folder)); // Nothing half unpacked is left.
        if (OperatingSystem.IsWindows()) return;
        Assert.True(File.GetUnixFileMode(Path.Combine(target, "run.sh")).HasFlag(UnixFileMode.UserExecute));
        Assert.False(File.GetUnixFileMode(Path.Combine(target, "App.dll")).HasFlag(UnixFileMode.UserExecute));
    }

    [Theory]
    [InlineData("../evil")]
    [InlineData("data/../../evil")]
    [InlineData("/etc/evil")]
    [InlineData("C:/evil")]
    [InlineData("..\\evil")]
    [InlineData("data//evil")]
    [InlineData("./evil")]
    [InlineData("new\nline")]
    public void PathThatLeavesTheFolder_IsRefused(string name) => Refused(ErrorCodes.PackageUnsafe, Zip.Good().With(name, "x"));

    [Fact]
    public void Link_IsRefused() => Refused(ErrorCodes.PackageUnsafe, Zip.Good().With("passwd", "/etc/passwd", Link));

    [Theory]
    [InlineData("App.dll")]
    [InlineData("app.DLL")]
    public void OneNameTwice_IsRefused(string name) => Refused(ErrorCodes.PackageUnsafe, Zip.Good().With(name, "x"));

    [Fact]
    public void TooManyEntries_AreRefused()
    {
        var zip = Zip.Good();
        for (var i = 0; i < Package.EntriesMax; i++) zip.With($"{i}", "");
        Refused(ErrorCodes.OverLimit, zip);
    }

    /// <summary>Cut anywhere: the directory of a zip is at its end.</summary>
    [Fact]
    public void Truncated_IsRefused()
    {
        var whole = Zip.Good().ToBytes();
        for (var length = 0; length < whole.Length; length += 7)
            Assert.Equal(ErrorCodes.PackageUnreadable, Assert.Throws<ShardCloudException>(() => Package.Open(new MemoryStream(whole[..length]))).Code);
    }

    [Fact]
    public async Task DamagedWithin_IsRefused_AndNothingIsLeft()
    {
        var bytes = Zip.Good().With("data.bin", "some content to damage").ToBytes();
        bytes[bytes.AsSpan().IndexOf("some content"u8)] ^= 1;
        using var package = Package.Open(new MemoryStream(bytes), "linux-x64");
        var refused = await Assert.ThrowsAsync<ShardCloudException>(() => package.UnpackAsync(Path.Combine(_folder, "2.0.0"), TestContext.Current.CancellationToken));
        Assert.Equal(ErrorCodes.PackageUnreadable, refused.Code);
        Assert.Empty(Directory.GetFileSystemEntries(_folder));
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("""{"command":["dotnet","App.dll"]}""")]
    [InlineData("""{"version":"2.0","command":["dotnet","App.dll"]}""")]
    [InlineData("""{"version":"2.0.0-beta","command":["dotnet","App.dll"]}""")]
    [InlineData("""{"version":"2.00.0","command":["dotnet","App.dll"]}""")]
    [InlineData("""{"version":"2.0.0","command":[]}""")]
    [InlineData("""{"version":"2.0.0","command":["dotnet",""]}""")]
    [InlineData("""{"version":"2.0.0","command":["dotnet","App.dll"],"extra":1}""")]
    [InlineData("null")]
    public void ManifestThatIsNone_IsRefused(string manifest) => Refused(ErrorCodes.PackageManifestBad, Zip.Good(manifest));

    [Fact]
    public void ManifestMissing_IsRefused() => Refused(ErrorCodes.PackageManifestBad, new Zip().With("App.dll", "x"));

    [Theory]
    [InlineData("""["dotnet","Other.dll"]""")]
    [InlineData("""["dotnet"]""")]
    [InlineData("""["./app"]""")]
    [InlineData("""["bin/app"]""")]
    public void ProgramMissing_IsRefused(string command) => Refused(ErrorCodes.PackageCannotStart, Zip.Good($$"""{"version":"2.0.0","command":{{command}}}"""));

    [Theory]
    [InlineData("linux-x64", 62, Executable, true)]
    [InlineData("linux-arm64", 183, Executable, true)]
    [InlineData("linux-x64", 183, Executable, false)] // Another processor.
    [InlineData("osx-x64", 62, Executable, false)] // Another operating system.
    [InlineData("linux-x64", 62, 0x81A4, false)] // Lost its mark on the way, as zips made on Windows do.
    public void OwnProgram_MustBeExecutableThere(string platform, byte machine, int mode, bool fits)
    {
        var zip = Zip.Good("""{"version":"2.0.0","command":["./app"]}""").With("app", Zip.Elf(machine), mode);
        if (fits) zip.Open(platform).Dispose();
        else Refused(ErrorCodes.PackageCannotStart, zip, platform);
    }

    [Fact]
    public void Versions_AreOrderedAsNumbers()
    {
        Assert.True(PackageVersion.Parse("2.10.0") > PackageVersion.Parse("2.9.9"));
        Assert.Equal("2.10.0", PackageVersion.Parse("2.10.0").ToString());
        Assert.Equal(ErrorCodes.BadValue, Assert.Throws<ShardCloudException>(() => PackageVersion.Parse("2")).Code);
    }

    private static void Refused(string code, Zip zip, string platform = "linux-x64")
    {
        var refused = Assert.Throws<ShardCloudException>(() => zip.Open(platform));
        Assert.Equal(code, refused.Code);
        Assert.NotEmpty(refused.Remedy);
    }
}
