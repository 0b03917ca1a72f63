using System.ComponentModel;
using System.Text;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Azurite;

/// <summary>Puts the Azure Storage emulator, pinned to one version with all it depends on, into a cache folder of the user.</summary>
/// <remarks>
/// The first run needs a package registry (about 365 MB, half a minute); later runs need none. Install scripts are not run.
/// The folder's name holds the hash of the lock file: another set of packages is another folder.
/// </remarks>
public static class AzuriteInstaller
{
    /// <summary>Version of Azurite that is installed.</summary>
    public const string Version = "3.37.0";

    /// <summary>Oldest major version of Node that Azurite was seen to run on. It asks for 22 and runs on 20.</summary>
    public const int NodeMajorMin = 20;

    private const string Name = $"azurite-{Version}";
    private static readonly string Entry = Path.Combine("node_modules", "azurite", "dist", "src", "azurite.js");
    private static readonly TimeSpan InstallTimeout = TimeSpan.FromMinutes(10);
    private static readonly (string Name, byte[] Content)[] Packages = [("package.json", Resource("package.json")), ("package-lock.json", Resource("package-lock.json"))];

    /// <summary>Where the packages go: <c>$XDG_CACHE_HOME</c> or <c>~/.cache</c> (on Windows the local application data), then <c>shardcloud</c>.</summary>
    public static string DefaultCacheFolder =>
        Path.Combine(
            Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache ? cache
            : OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
            "shardcloud");

    /// <summary>Checks Node, installs Azurite if this user has not got it yet, and answers the path of its script.</summary>
    /// <param name="cacheFolder">Default <see cref="DefaultCacheFolder"/>.</param>
    /// <param name="progress">Told what is being done, a line at a time.</param>
    /// <param name="cancellationToken">Ends an installation; nothing half done is left in use.</param>
    /// <exception cref="ShardCloudException">Node is missing (SC7001) or too old (SC7002), or the installation failed (SC7003).</exception>
    public static async Task<string> EnsureAsync(string? cacheFolder = null, IProgress<string>? progress = null, CancellationToken cancellationToken = default)
    {
        await CheckNodeAsync(cancellationToken);
        return await NpmFolder.EnsureAsync(
            cacheFolder ?? DefaultCacheFolder,
            Name,
            Packages,
            Entry,
            InstallTimeout,
            progress,
            cancellationToken);
    }

    /// <summary>True when this user has got it already.</summary>
    public static bool IsInstalled(string? cacheFolder = null) => NpmFolder.IsThere(cacheFolder ?? DefaultCacheFolder, Name, Packages, Entry);

    /// <summary>Checks that Node is on PATH and recent enough.</summary>
    /// <returns>Its version as it says it, e.g. <c>v20.20.2</c>.</returns>
    /// <exception cref="ShardCloudException">Node is missing (SC7001) or too old (SC7002).</exception>
    public static async Task<string> CheckNodeAsync(CancellationToken cancellationToken = default)
    {
        string answer;
        try
        {
            await using var node = ChildProcess.Start(new ChildProcessOptions { FileName = "node", Arguments = ["--version"] });
            await node.Exited.WaitAsync(cancellationToken);
            answer = string.Join(' ', node.LastLines);
        }
        catch (Win32Exception exception)
        {
            throw new ShardCloudException(
                ErrorCodes.NodeMissing, "Node was not found on PATH; the storage emulator is a Node program.", $"Install Node {NodeMajorMin} or later.", exception);
        }

        CheckNodeVersion(answer);
        return answer;
    }

    /// <summary>Judges what <c>node --version</c> printed, e.g. <c>v20.20.2</c>.</summary>
    internal static void CheckNodeVersion(string answer)
    {
        var major = answer.StartsWith('v') && int.TryParse(answer.AsSpan(1, Math.Max(0, answer.IndexOf('.', StringComparison.Ordinal) - 1)), out var number) ? number : 0;
        if (major < NodeMajorMin)
        {
            throw new ShardCloudException(
                ErrorCodes.NodeTooOld,
                $"Node answers '{answer}' as its version; the storage emulator needs {NodeMajorMin} or later.",
                $"Install Node {NodeMajorMin} or later and put it first on PATH.");
        }
    }

    internal static string LockFile => Encoding.UTF8.GetString(Packages[1].Content);

    private static byte[] Resource(string name)
    {
        using var stream = typeof(AzuriteInstaller).Assembly.GetManifestResourceStream("azurite/" + name)!;
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }
}
