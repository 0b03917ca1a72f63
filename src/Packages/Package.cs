using System.IO.Compression;
using System.IO.Hashing;

namespace ShardCloud.Packages;

/// <summary>An application as a zip file, checked before anything of it is believed: whole, safe to unpack, bounded, and able to start where it is to run.</summary>
/// <remarks>
/// Normal operation: <see cref="Open"/> reads the directory and the manifest and looks at the head of the program; <see cref="UnpackAsync"/> writes plain files below one folder, and the folder appears
/// under its name as a whole or not at all. Refused: a truncated file, a path that leaves the folder, a link, two entries of one name (also where only the case differs), more than the limits, a program that
/// is missing, not executable or of another platform.
/// </remarks>
public sealed class Package : IDisposable
{
    /// <summary>Bytes of the zip file.</summary>
    public const long BytesMax = 512L * 1024 * 1024;

    /// <summary>Bytes of all files, unpacked: App Service runs a package of 1 GB at most (https://learn.microsoft.com/azure/app-service/deploy-run-package).</summary>
    public const long UnpackedBytesMax = 1024L * 1024 * 1024;

    /// <summary>Files and folders.</summary>
    public const int EntriesMax = 20_000;

    private const int KindMask = 0xF000, Link = 0xA000, AnyExecute = 0x49; // st_mode, POSIX sys/stat.h; 0o111.

    private readonly ZipArchive _zip;

    private Package(ZipArchive zip, PackageManifest manifest) => (_zip, Manifest) = (zip, manifest);

    /// <summary>What it says of itself.</summary>
    public PackageManifest Manifest { get; }

    /// <summary>Reads and checks a package.</summary>
    /// <param name="zip">Seekable.</param>
    /// <param name="platform">Where it shall run, e.g. <c>linux-x64</c>; null: here.</param>
    /// <param name="leaveOpen">The stream does not end with the package.</param>
    /// <exception cref="ShardCloudException">SC5040: not a whole zip. SC5041: not safe to unpack. SC5042: no usable manifest. SC5043: its program cannot start. SC5008: over a limit.</exception>
    public static Package Open(Stream zip, string? platform = null, bool leaveOpen = false)
    {
        if (zip.Length > BytesMax) throw Errors.TooLarge("bytes", zip.Length, BytesMax);
        ZipArchive archive;
        try
        {
            archive = new ZipArchive(zip, ZipArchiveMode.Read, leaveOpen);
            _ = archive.Entries; // Reads the directory at the file's end, which a truncated one lacks.
        }
        catch (InvalidDataException error)
        {
            throw Errors.Unreadable(error.Message, error);
        }
        try
        {
            CheckEntries(archive);
            var manifest = PackageManifest.Read(ReadHead(archive.GetEntry(PackageManifest.FileName) ?? throw Errors.BadManifest("it is missing"), PackageManifest.BytesMax));
            CheckProgram(archive, manifest, platform ?? Executable.Here);
            return new Package(archive, manifest);
        }
        catch
        {
            archive.Dispose();
            throw;
        }
    }

    /// <summary>Unpacks it. A folder that is there already was unpacked before and stays as it is.</summary>
    /// <param name="folder">Where to; its parent exists.</param>
    /// <param name="cancellationToken">Gives up; nothing is left behind.</param>
    /// <exception cref="ShardCloudException">SC5040: an entry is damaged, or longer than the directory says.</exception>
    public async Task UnpackAsync(string folder, CancellationToken cancellationToken)
    {
        if (Directory.Exists(folder)) return;
        var own = $"{folder}.{Guid.NewGuid():n}";
        try
        {
            foreach (var entry in _zip.Entries) await WriteAsync(entry, own, cancellationToken);
            try
            {
                Directory.Move(own, folder);
            }
            catch (IOException) when (Directory.Exists(folder))
            {
                // Somebody else was faster, with the same package.
            }
        }
        catch (InvalidDataException error)
        {
            throw Errors.Unreadable(error.Message, error);
        }
        finally
        {
            if (Directory.Exists(own)) Directory.Delete(own, recursive: true);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _zip.Dispose();

    private static void CheckEntries(ZipArchive zip)
    {
        if (zip.Entries.Count > EntriesMax) throw Errors.TooLarge("entries", zip.Entries.Count, EntriesMax);
        var names = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        var bytes = 0L;
        foreach (var entry in zip.Entries)
        {
            var name = entry.FullName;
            if (name.Length is 0 or > 1024 || name.Any(char.IsControl)) throw Errors.Unsafe(name, "has no usable name");
            if (name.Contains('\\') || name.Contains(':') || name[0] == '/' || name.TrimEnd('/').Split('/').Any(part => part is "" or "." or "..")) throw Errors.Unsafe(name, "leads out of the package's folder");
            if ((ModeOf(entry) & KindMask) == Link) throw Errors.Unsafe(name, "is a symbolic link");
            if (!names.Add(name.TrimEnd('/'))) throw Errors.Unsafe(name, "is there twice");
            bytes += entry.Length;
        }
        if (bytes > UnpackedBytesMax) throw Errors.TooLarge("bytes, unpacked", bytes, UnpackedBytesMax);
    }

    private static void CheckProgram(ZipArchive zip, PackageManifest manifest, string platform)
    {
        var program = manifest.Command[0];
        var own = zip.GetEntry(program.StartsWith("./", StringComparison.Ordinal) ? program[2..] : program);
        if (own is null)
        {
            if (program.Contains('/')) throw Errors.CannotStart(program, "is not in it");
            if (program == "dotnet" && (manifest.Command.Count < 2 || zip.GetEntry(manifest.Command[1]) is null)) throw Errors.CannotStart(manifest.Command.Count < 2 ? program : manifest.Command[1], "is not in it");
            return; // One that the host has.
        }
        if (Executable.PlatformOf(ReadHead(own, Executable.HeadBytes, isPrefix: true)) is { } made && made != platform) throw Errors.CannotStart(program, $"is made for {made}, and runs on {platform}");
        if (!platform.StartsWith("win", StringComparison.Ordinal) && (ModeOf(own) & AnyExecute) == 0) throw Errors.CannotStart(program, "is not marked as executable");
    }

    private static int ModeOf(ZipArchiveEntry entry) => (int)((uint)entry.ExternalAttributes >> 16);

    private static byte[] ReadHead(ZipArchiveEntry entry, int most, bool isPrefix = false)
    {
        try
        {
            using var content = entry.Open();
            var head = new byte[most];
            var length = content.ReadAtLeast(head, most, throwOnEndOfStream: false);
            if (!isPrefix && content.ReadByte() >= 0) throw Errors.TooLarge($"bytes in {entry.FullName}", entry.Length, most);
            return head[..length];
        }
        catch (InvalidDataException error)
        {
            throw Errors.Unreadable($"{entry.FullName}: {error.Message}", error);
        }
    }

    /// <summary>The framework's reader checks neither length nor checksum.</summary>
    private static async Task CopyAsync(ZipArchiveEntry entry, Stream content, Stream file, CancellationToken cancellationToken)
    {
        var (checksum, length, buffer) = (new Crc32(), 0L, new byte[64 * 1024]);
        while (await content.ReadAsync(buffer, cancellationToken) is var read and > 0)
        {
            if ((length += read) > entry.Length) throw Errors.Unreadable($"{entry.FullName} is longer than the directory says");
            checksum.Append(buffer.AsSpan(0, read));
            await file.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
        }
        if (length != entry.Length || checksum.GetCurrentHashAsUInt32() != entry.Crc32) throw Errors.Unreadable($"{entry.FullName} is damaged");
    }

    private static async Task WriteAsync(ZipArchiveEntry entry, string folder, CancellationToken cancellationToken)
    {
        var path = Path.Combine(folder, entry.FullName);
        if (entry.FullName.EndsWith('/'))
        {
            Directory.CreateDirectory(path);
            return;
        }
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        await using (var content = await entry.OpenAsync(cancellationToken))
        await using (var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write))
        {
            await CopyAsync(entry, content, file, cancellationToken);
        }
        if (!OperatingSystem.IsWindows() && (ModeOf(entry) & AnyExecute) != 0) File.SetUnixFileMode(path, File.GetUnixFileMode(path) | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
    }
}
