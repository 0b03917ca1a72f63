using System.IO.Compression;

namespace ShardCloud.Packages.Tests;

/// <summary>What is named by its checksum changes only with what is in it.</summary>
public sealed class PackageWriterTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-test-").FullName;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Zip_OfTheSameContent_IsTheSameFile_AndKeepsWhatIsExecutable()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows marks no file as executable.");
        var first = await ZipAsync("a", ["z/deep", "program", "a b"], new DateTime(2020, 1, 1));
        var second = await ZipAsync("b", ["a b", "program", "z/deep"], new DateTime(2024, 5, 5));

        Assert.Equal(await File.ReadAllBytesAsync(first, Cancelled), await File.ReadAllBytesAsync(second, Cancelled));
        using var archive = await ZipFile.OpenReadAsync(first, Cancelled);
        Assert.Equal(["a b", "program", "z/deep"], archive.Entries.Select(entry => entry.FullName));
        Assert.Equal([false, true, false], archive.Entries.Select(entry => ((entry.ExternalAttributes >> 16) & 0b001_000_000) != 0));
    }

    [Fact]
    public async Task Zip_OfOtherContent_IsAnotherFile()
    {
        var (first, second) = (await ZipAsync("a", ["x"], DateTime.UnixEpoch), await ZipAsync("b", ["y"], DateTime.UnixEpoch));

        Assert.NotEqual(await File.ReadAllBytesAsync(first, Cancelled), await File.ReadAllBytesAsync(second, Cancelled));
    }

    private async Task<string> ZipAsync(string name, string[] files, DateTime written)
    {
        foreach (var file in files)
        {
            var path = Path.Combine(_folder, name, file);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            await File.WriteAllTextAsync(path, file, Cancelled);
            File.SetLastWriteTimeUtc(path, written);
            if (file == "program" && !OperatingSystem.IsWindows()) File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
        }
        var zip = Path.Combine(_folder, "zips", $"{name}.zip");
        await PackageWriter.WriteAsync(Path.Combine(_folder, name), zip, CompressionLevel.Optimal, Cancelled);
        return zip;
    }
}
