using System.IO.Compression;

namespace ShardCloud.Packages;

/// <summary>Zips a folder so that the same content is the same file, whenever and wherever it is made: what is named by its checksum then changes only with what is in it.</summary>
/// <remarks>Entries are in ordinal order of their paths and have one time; of the file's mode only whether it may be executed is kept. The packing is that of the running .NET, so another version of it may give other bytes.</remarks>
public static class PackageWriter
{
    private const int PlainFile = 0x81A4, Program = 0x81ED; // st_mode, POSIX sys/stat.h: 0100644 and 0100755.

    private const UnixFileMode AnyExecute = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    private static readonly DateTimeOffset Time = new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Writes the zip; one that is there is replaced. On Windows nothing is marked as executable.</summary>
    /// <param name="folder">What becomes the zip's root.</param>
    /// <param name="zip">File to write; its folder is made where it is missing.</param>
    /// <param name="level">How well it is packed.</param>
    /// <param name="cancellationToken">Gives up, and leaves a part of the file behind.</param>
    public static async Task WriteAsync(string folder, string zip, CompressionLevel level, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(zip))!);
        await using var file = new FileStream(zip, FileMode.Create, FileAccess.ReadWrite);
        await using var archive = new ZipArchive(file, ZipArchiveMode.Create);
        foreach (var (name, path) in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Select(path => (Name: Path.GetRelativePath(folder, path).Replace(Path.DirectorySeparatorChar, '/'), Path: path)).OrderBy(found => found.Name, StringComparer.Ordinal))
        {
            var entry = archive.CreateEntry(name, level);
            entry.LastWriteTime = Time;
            entry.ExternalAttributes = (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & AnyExecute) != 0 ? Program : PlainFile) << 16;
            await using var content = File.OpenRead(path);
            await using var packed = await entry.OpenAsync(cancellationToken);
            await content.CopyToAsync(packed, cancellationToken);
        }
    }
}
