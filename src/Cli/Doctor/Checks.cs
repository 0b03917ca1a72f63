using System.Text.Json.Serialization;
using ShardCloud.Identity;
using ShardCloud.LocalCloud.Azurite;
using ShardCloud.LocalCloud.Stack;
using ShardCloud.Processes;

namespace ShardCloud.Cli.Doctor;

[JsonConverter(typeof(JsonStringEnumConverter<Verdict>))]
internal enum Verdict
{
    Ok,
    Warn,
    Fail,
}

/// <summary>One thing looked at; its remedy is null when it is well.</summary>
internal sealed record Finding(string About, Verdict Verdict, string Fact, string? Remedy = null);

internal sealed record DoctorReport(IReadOnlyList<Finding> Findings);

/// <summary>What this machine has and lacks for a local cloud on a data folder. Changes nothing.</summary>
internal static class Checks
{
    private const long DiskFail = 200L << 20, DiskWarn = 1L << 30;
    private static readonly TimeSpan StatusWithin = TimeSpan.FromSeconds(5);
    private const int RouterPort = 8080, OrchestratorPort = 7071; // Defaults of 'up'.

    public static async Task<DoctorReport> RunAsync(string data, string apps, CancellationToken cancellationToken) => new(
    [
        DotNet(), await NodeAsync(cancellationToken), Azurite(), Programs(apps), Port(data, RouterPort, "--router-port"), Port(data, OrchestratorPort, "--orchestrator-port"),
        Folder(data), Layout(data), Key(data), Disk(data), Processes(data), await LevelsAsync(data, cancellationToken),
    ]);

    private static Finding DotNet()
    {
        var onPath = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet")));
        return onPath
            ? new(".NET", Verdict.Ok, $"runtime {Environment.Version}")
            : new(".NET", Verdict.Fail, $"runtime {Environment.Version}, but no 'dotnet' on PATH to start shards with", "Put the .NET SDK's folder on PATH.");
    }

    private static async Task<Finding> NodeAsync(CancellationToken cancellationToken)
    {
        try
        {
            return new("Node", Verdict.Ok, await AzuriteInstaller.CheckNodeAsync(cancellationToken));
        }
        catch (ShardCloudException error)
        {
            return new("Node", Verdict.Fail, $"{error.Code}: {error.Message}", error.Remedy);
        }
    }

    private static Finding Azurite() => AzuriteInstaller.IsInstalled()
        ? new("Azurite", Verdict.Ok, $"version {AzuriteInstaller.Version} is installed")
        : new("Azurite", Verdict.Warn, $"version {AzuriteInstaller.Version} is not installed yet", "Nothing: the first start installs it with npm, which takes about half a minute.");

    private static Finding Programs(string apps)
    {
        string[] wanted = [Path.Combine("router", "ShardCloud.ShardRuntime.dll"), Path.Combine("orchestrator", "ShardCloud.Orchestrator.dll"), Path.Combine("rooms", "Rooms.dll")];
        return wanted.FirstOrDefault(file => !File.Exists(Path.Combine(apps, file))) is { } missing
            ? new("programs", Verdict.Fail, $"'{Path.Combine(apps, missing)}' is missing", "Build the whole solution: 'dotnet build -c Release'.")
            : new("programs", Verdict.Ok, "router, orchestrator and rooms are built");
    }

    private static Finding Port(string data, int port, string option)
    {
        if (Ports.WhyNotFree(port) is not { } taken) return new($"port {port}", Verdict.Ok, "free");
        return DataDirectory.IsLocked(data) && DataDirectory.TryReadRun(data) is { } run && (new Uri(run.Router).Port == port || new Uri(run.Orchestrator).Port == port)
            ? new($"port {port}", Verdict.Ok, "used by the local cloud on this folder")
            : new($"port {port}", Verdict.Warn, taken.Message, $"Stop what listens there, or start with '{option} 0'.");
    }

    private static Finding Folder(string data)
    {
        if (!Directory.Exists(data)) return new("data folder", Verdict.Ok, $"'{data}' is not there yet; 'up' makes it");
        try
        {
            var probe = Path.Combine(data, $"doctor-{Environment.ProcessId}");
            File.WriteAllText(probe, "");
            File.Delete(probe);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return new("data folder", Verdict.Fail, $"'{data}' cannot be written: {error.Message}", "Correct its rights, or choose another with --data.");
        }
        return OpenToOthers(data)
            ? new("data folder", Verdict.Warn, $"'{data}' can be read by other users", $"chmod 700 '{data}' ('up' does it too).")
            : new("data folder", Verdict.Ok, $"'{data}'{(DataDirectory.IsLocked(data) ? ", a local cloud runs on it" : "")}");
    }

    private static Finding Layout(string data) => DataDirectory.LayoutOf(data) is { } layout && layout > DataDirectory.Layout
        ? new("data version", Verdict.Fail, $"layout {layout}; this version knows {DataDirectory.Layout}", "Use the newer version, or another folder with --data.")
        : new("data version", Verdict.Ok, $"layout {DataDirectory.LayoutOf(data) ?? DataDirectory.Layout}");

    private static Finding Key(string data)
    {
        var file = DataDirectory.KeyFileOf(data);
        if (!File.Exists(file)) return new("key", Verdict.Ok, "none yet; 'up' makes one");
        try
        {
            _ = LocalKey.Load(file);
        }
        catch (ShardCloudException error)
        {
            return new("key", Verdict.Fail, $"{error.Code}: {error.Message}", error.Remedy);
        }
        return OpenToOthers(file) ? new("key", Verdict.Fail, $"'{file}' can be read by other users", $"chmod 600 '{file}'") : new("key", Verdict.Ok, $"'{file}'");
    }

    private static Finding Disk(string data)
    {
        var existing = new DirectoryInfo(Path.GetFullPath(data));
        while (!existing.Exists && existing.Parent is { } parent) existing = parent;
        var free = new DriveInfo(existing.FullName).AvailableFreeSpace;
        var fact = $"{free / (double)(1L << 30):0.0} GiB free";
        return free < DiskFail ? new("disk", Verdict.Fail, fact, "Free some space, or choose another folder with --data.")
            : free < DiskWarn ? new("disk", Verdict.Warn, fact, "Free some space: logs and the Event Hubs' files may need a GiB.")
            : new("disk", Verdict.Ok, fact);
    }

    private static Finding Processes(string data)
    {
        var running = ProcessFile.Read(data).Where(process => process.IsRunning).ToList();
        var names = string.Join(", ", running.Select(process => $"{process.Name} ({process.Pid})"));
        return DataDirectory.IsLocked(data) ? new("processes", Verdict.Ok, $"{running.Count} run")
            : running.Count == 0 ? new("processes", Verdict.Ok, "none is left of an earlier run")
            : new("processes", Verdict.Warn, $"left of an earlier run: {names}", $"kill -9 {string.Join(' ', running.Select(process => process.Pid))}   (the next 'up' on this folder does it too).");
    }

    private static async Task<Finding> LevelsAsync(string data, CancellationToken cancellationToken)
    {
        if (!DataDirectory.IsLocked(data) || DataDirectory.TryReadRun(data) is not { } run) return new("levels", Verdict.Ok, $"{CloudRelease.Own}; no local cloud runs on this folder");
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(StatusWithin);
        try
        {
            using var api = Api.ManagementClient.Of(run);
            return Of(await api.StatusAsync(limit.Token));
        }
        catch (Exception error) when (error is ShardCloudException or HttpRequestException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return new("levels", Verdict.Warn, $"{CloudRelease.Own}; the Orchestrator did not say what the members run", "See 'shardcloud logs orchestrator'.");
        }
    }

    /// <summary>What the releases in a cloud are.</summary>
    internal static Finding Of(Contracts.CloudStatus status) => status.Mixed
        ? new("levels", Verdict.Warn, $"Orchestrator {status.Release}, members {string.Join(", ", status.Members.Select(member => $"{member.Release}").Distinct())}, the cloud at level {status.Level}", "Bring all to one release (docs/upgrading.md).")
        : new("levels", Verdict.Ok, $"{status.Release} everywhere, the cloud at level {status.Level}");

    private static bool OpenToOthers(string path) =>
        !OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & (UnixFileMode.GroupRead | UnixFileMode.OtherRead | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0;
}

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(DoctorReport))]
internal sealed partial class DoctorJson : JsonSerializerContext;
