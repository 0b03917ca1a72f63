using System.ComponentModel;
using System.Security.Cryptography;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Azurite;

/// <summary>A folder of npm packages, made once from a lock file and then only read. Several processes may ask for it at the same time.</summary>
internal static class NpmFolder
{
    private static readonly TimeSpan LockPoll = TimeSpan.FromMilliseconds(200);

    /// <summary>Answers the full path of <paramref name="entry"/>, after installing the packages if the folder is not there.</summary>
    /// <remarks>The folder gets its name by one rename when it is complete: if it exists, it is whole.</remarks>
    public static async Task<string> EnsureAsync(
        string cacheFolder,
        string name,
        IReadOnlyList<(string Name, byte[] Content)> packages,
        string entry,
        TimeSpan timeout,
        IProgress<string>? progress,
        CancellationToken cancellationToken)
    {
        var folder = FolderOf(cacheFolder, name, packages);
        var script = Path.Combine(folder, entry);
        if (File.Exists(script)) return script;

        Directory.CreateDirectory(cacheFolder);
        await using var gate = await LockAsync(folder + ".lock", progress, cancellationToken);
        if (File.Exists(script)) return script; // another process made it while this one waited

        // What an interrupted run left; nobody else is at it, since the lock is held.
        var making = folder + ".making";
        foreach (var rest in (string[])[making, folder])
            if (Directory.Exists(rest)) Directory.Delete(rest, recursive: true);

        Directory.CreateDirectory(making);
        foreach (var (file, content) in packages) await File.WriteAllBytesAsync(Path.Combine(making, file), content, cancellationToken);
        progress?.Report($"Installing {name} into {folder} (once; about half a minute).");
        await InstallAsync(making, name, timeout, progress, cancellationToken);
        Directory.Move(making, folder);
        return File.Exists(script) ? script : throw Failed(name, $"the packages hold no {entry}", null);
    }

    /// <summary>True when the packages are installed.</summary>
    public static bool IsThere(string cacheFolder, string name, IReadOnlyList<(string Name, byte[] Content)> packages, string entry) =>
        File.Exists(Path.Combine(FolderOf(cacheFolder, name, packages), entry));

    private static string FolderOf(string cacheFolder, string name, IReadOnlyList<(string Name, byte[] Content)> packages)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (_, content) in packages) hash.AppendData(content);
        return Path.Combine(cacheFolder, $"{name}-{Convert.ToHexStringLower(hash.GetHashAndReset().AsSpan(0, 6))}");
    }

    private static async Task InstallAsync(string folder, string name, TimeSpan timeout, IProgress<string>? progress, CancellationToken cancellationToken)
    {
        try
        {
            await using var npm = ChildProcess.Start(new ChildProcessOptions
            {
                FileName = OperatingSystem.IsWindows() ? "npm.cmd" : "npm",
                Arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--engine-strict=false"],
                WorkingDirectory = folder,
                OnLine = line => progress?.Report(line),
            });
            ChildExit exit;
            try
            {
                exit = await npm.Exited.WaitAsync(timeout, cancellationToken);
            }
            catch (TimeoutException exception)
            {
                throw Failed(name, $"npm did not end within {timeout}", exception);
            }

            if (exit.ExitCode != 0) throw Failed(name, $"npm ended with {exit.ExitCode}: {string.Join(" | ", npm.LastLines.TakeLast(8))}", null);
        }
        catch (Win32Exception exception)
        {
            throw Failed(name, "npm was not found on PATH", exception);
        }
    }

    private static async Task<FileStream> LockAsync(string path, IProgress<string>? progress, CancellationToken cancellationToken)
    {
        for (var told = false; ; told = true)
        {
            try
            {
                // Released by the operating system when this process ends, however it ends. The file stays: deleting it would race.
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException exception) when (exception is not (DirectoryNotFoundException or PathTooLongException))
            {
                if (!told) progress?.Report($"Waiting for another process that is installing ({path}).");
                await Task.Delay(LockPoll, cancellationToken);
            }
        }
    }

    private static ShardCloudException Failed(string name, string why, Exception? inner) =>
        new(ErrorCodes.NpmInstallFailed, $"The installation of {name} failed: {why}.", "Check the package registry in ~/.npmrc and the free disk space, then try again.", inner);
}
