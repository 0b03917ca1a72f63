using System.Diagnostics;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using ShardCloud.Packages;

namespace ShardCloud.Cli.Packaging;

/// <summary>Builds a package: publishes a project for linux-x64, zips what came of it, and checks the zip as those will who take it.</summary>
/// <remarks>
/// The same sources give the same bytes, in whatever folder they are: compilations are deterministic, know sources by paths from the repository's root, and carry neither commit nor symbols in files of their own. Intermediate files
/// are in a folder of the build's own, so nothing in the sources' folders changes and two builds may run at once.
/// </remarks>
internal static class PackageBuild
{
    /// <summary>Where shards, routers and the Orchestrator run in Azure.</summary>
    public const string Platform = "linux-x64";

    private const int LinesShown = 12;

    private static readonly TimeSpan PublishWithin = TimeSpan.FromMinutes(15);

    /// <summary>Publishes, zips, checks.</summary>
    /// <param name="kind">What it is.</param>
    /// <param name="project">Project file, or its folder.</param>
    /// <param name="version">Version that an application's manifest gets; null: its own.</param>
    /// <param name="selfContained">It brings .NET along.</param>
    /// <param name="zip">File to write.</param>
    /// <param name="say">Progress.</param>
    /// <param name="cancellationToken">Ends what was started.</param>
    /// <exception cref="ShardCloudException">SC7018: there is no such project, no SDK, or it cannot be built; what was built is no Functions app or no router. SC5042, SC5043: it is no package of an application.</exception>
    public static async Task<BuiltPackage> RunAsync(PackageKind kind, string project, string? version, bool selfContained, string zip, Action<string> say, CancellationToken cancellationToken)
    {
        if (OperatingSystem.IsWindows()) throw Failed("On Windows programs lose the mark that they may be executed.", "Build it on Linux, in WSL, or on macOS.");
        project = Path.GetFullPath(project);
        if (!File.Exists(project) && !Directory.Exists(project)) throw Failed($"There is no project '{project}'.", "Run it in a clone of ShardCloud, or name the project with --project.");
        var work = Directory.CreateTempSubdirectory("shardcloud-package-").FullName;
        try
        {
            var output = Path.Combine(work, "output");
            say($"publishing {Path.GetFileNameWithoutExtension(project)} for {Platform}, {(selfContained ? "with .NET" : "without .NET")}");
            await PublishAsync(project, selfContained, output, Path.Combine(work, "artifacts"), cancellationToken);
            if (kind == PackageKind.Application && version is not null) await StampAsync(output, version, cancellationToken);
            return await ZipAsync(kind, output, selfContained, zip, say, cancellationToken);
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    /// <summary>Zips a folder and checks the zip.</summary>
    /// <inheritdoc cref="RunAsync"/>
    public static async Task<BuiltPackage> ZipAsync(PackageKind kind, string folder, bool selfContained, string zip, Action<string> say, CancellationToken cancellationToken)
    {
        say($"zipping and checking {zip}");
        await PackageWriter.WriteAsync(folder, zip, CompressionLevel.Optimal, cancellationToken);
        var version = Check(kind, selfContained, zip);
        await using var content = File.OpenRead(zip);
        return new BuiltPackage(kind.ToString().ToLowerInvariant(), zip, content.Length, Convert.ToHexStringLower(await SHA256.HashDataAsync(content, cancellationToken)), selfContained, version);
    }

    /// <summary>Checks a zip; the version of an application.</summary>
    internal static string? Check(PackageKind kind, bool selfContained, string zip)
    {
        using var content = File.OpenRead(zip);
        if (kind == PackageKind.Application)
        {
            using var package = Package.Open(content, Platform);
            return package.Manifest.Version;
        }
        using var archive = new ZipArchive(content, ZipArchiveMode.Read);
        PackageLayout.Check(archive, kind, selfContained);
        return null;
    }

    private static async Task StampAsync(string folder, string version, CancellationToken cancellationToken)
    {
        var file = Path.Combine(folder, PackageManifest.FileName);
        if (!File.Exists(file) || JsonNode.Parse(await File.ReadAllTextAsync(file, cancellationToken)) is not JsonObject manifest)
            throw new ShardCloudException(ErrorCodes.PackageManifestBad, $"What was published has no usable {PackageManifest.FileName}.", "Let it be copied to the project's output (docs/versions.md).");
        manifest["version"] = version;
        await File.WriteAllTextAsync(file, manifest.ToJsonString(new JsonSerializerOptions { WriteIndented = true }), cancellationToken);
    }

    private static async Task PublishAsync(string project, bool selfContained, string output, string artifacts, CancellationToken cancellationToken)
    {
        string[] arguments =
        [
            "publish", project, "--configuration", "Release", "--runtime", Platform, selfContained ? "--self-contained" : "--no-self-contained", "--output", output, "--artifacts-path", artifacts, "--disable-build-servers", "--nologo",
            "-p:Deterministic=true", "-p:DebugType=embedded", "-p:IncludeSourceRevisionInInformationalVersion=false", "-p:PublishDocumentationFile=false", "-p:PublishReferencesDocumentationFiles=false",
            $"-p:PathMap={RootOf(project)}{Path.DirectorySeparatorChar}=/_/%2C{artifacts}{Path.DirectorySeparatorChar}=/_/artifacts/", // An escaped comma: a plain one would begin another property.
        ];
        var lines = new Queue<string>();
        using var process = new Process { StartInfo = new ProcessStartInfo("dotnet", arguments) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false } };
        process.OutputDataReceived += (_, line) => Keep(line.Data);
        process.ErrorDataReceived += (_, line) => Keep(line.Data);
        try
        {
            process.Start();
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            throw Failed($"'dotnet' cannot be started: {error.Message}.", "Install the .NET SDK, and have it on the PATH.");
        }
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(PublishWithin);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            cancellationToken.ThrowIfCancellationRequested();
            throw Failed($"'{project}' was not published within {PublishWithin.TotalMinutes:0} minutes.", "Build it by hand to see why.");
        }
        if (process.ExitCode == 0) return;
        lock (lines) throw Failed($"'dotnet publish {project}' ended with {process.ExitCode}: {string.Join(" | ", lines)}", "Put right what it says.");

        void Keep(string? line)
        {
            if (string.IsNullOrWhiteSpace(line)) return;
            lock (lines)
            {
                lines.Enqueue(line.Trim());
                if (lines.Count > LinesShown) lines.Dequeue();
            }
        }
    }

    /// <summary>What sources are named from: the repository or solution that the project is in, else its own folder.</summary>
    private static string RootOf(string project)
    {
        var own = Directory.Exists(project) ? project : Path.GetDirectoryName(project)!;
        for (var folder = new DirectoryInfo(own); folder is not null; folder = folder.Parent)
            if (Path.Exists(Path.Combine(folder.FullName, ".git")) || folder.EnumerateFiles("*.sln*").Any()) return folder.FullName;
        return own;
    }

    internal static ShardCloudException Failed(string message, string remedy) => new(ErrorCodes.PackageNotBuilt, message, remedy);
}
