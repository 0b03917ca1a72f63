using System.Text.Json;
using System.Text.Json.Serialization;

namespace ShardCloud.LocalCloud.Stack;

/// <summary>Where a running local cloud can be reached; written as <c>run.json</c> once it is ready. Its processes: <see cref="ProcessFile"/>.</summary>
public sealed record RunInfo(int Pid, string Router, string Orchestrator, string KeyFile, string DataDirectory, DateTimeOffset StartedAt, string Faults)
{
    /// <summary>All routers, the first one too.</summary>
    public IReadOnlyList<string> Routers { get; init; } = [Router];
}

/// <summary>The folder of one local cloud: stores, log, key, child logs. One running cloud a folder, held by an exclusive lock that ends with its process.</summary>
public sealed class DataDirectory : IDisposable
{
    /// <summary>Layout of this folder; a folder of a newer layout is refused.</summary>
    public const int Layout = 1;

    private readonly FileStream _lock;

    private DataDirectory(string path, FileStream @lock) => (Path, _lock) = (path, @lock);

    public string Path { get; }

    public string KeyFile => KeyFileOf(Path);

    public string Logs => System.IO.Path.Combine(Path, "logs");

    public string Azurite => System.IO.Path.Combine(Path, "azurite");

    public string EventHubs => System.IO.Path.Combine(Path, "eventhubs");

    /// <summary>Unpacked versions of the application, one folder each.</summary>
    public string Versions => System.IO.Path.Combine(Path, "versions");

    public string RunFile => RunFileOf(Path);

    /// <summary>Where data go when nothing is said: the user's own data folder.</summary>
    public static string Default => System.IO.Path.Combine(
        Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify), "shardcloud", "local");

    /// <summary>Takes the folder, making it when it is not there.</summary>
    /// <exception cref="ShardCloudException">SC7006: another local cloud runs on it, or a newer version wrote it. SC7007: it cannot be written.</exception>
    public static DataDirectory Open(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        try
        {
            Directory.CreateDirectory(path);
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            var held = new FileStream(System.IO.Path.Combine(path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            try
            {
                CheckLayout(path);
                return new DataDirectory(path, held);
            }
            catch
            {
                held.Dispose();
                throw;
            }
        }
        catch (IOException error) when (error is not DirectoryNotFoundException && IsLocked(path))
        {
            var owner = TryReadRun(path);
            throw new ShardCloudException(ErrorCodes.DataInUse,
                $"The data folder '{path}' is in use by another local cloud{(owner is null ? "" : $" (process {owner.Pid}, router {owner.Router})")}.",
                $"Stop it with 'shardcloud down --data {path}', or give this one its own folder with --data.", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ShardCloudException(ErrorCodes.DiskFull, $"The data folder '{path}' cannot be written: {error.Message}",
                "Free some space, correct its rights, or choose another folder with --data.", error);
        }
    }

    /// <summary>Where the cloud on this folder can be reached, or null when none has become ready.</summary>
    public static RunInfo? TryReadRun(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(RunFileOf(path)), RunJson.Default.RunInfo);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    /// <summary>True while a process holds the folder.</summary>
    public static bool IsLocked(string path)
    {
        var file = System.IO.Path.Combine(path, "lock");
        if (!File.Exists(file)) return false;
        try
        {
            using var probe = new FileStream(file, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    public void WriteRun(RunInfo run)
    {
        var draft = RunFile + ".new";
        File.WriteAllText(draft, JsonSerializer.Serialize(run, RunJson.Default.RunInfo));
        File.Move(draft, RunFile, overwrite: true);
    }

    public void Dispose()
    {
        File.Delete(RunFile);
        _lock.Dispose();
    }

    /// <summary>Where the key of a data folder lies.</summary>
    public static string KeyFileOf(string path) => System.IO.Path.Combine(path, "keys", "local.key");

    /// <summary>Layout of a data folder; null when it has none yet.</summary>
    public static int? LayoutOf(string path) =>
        System.IO.Path.Combine(path, "layout") is var file && File.Exists(file) && int.TryParse(File.ReadAllText(file), out var layout) ? layout : null;

    private static string RunFileOf(string path) => System.IO.Path.Combine(path, "run.json");

    private static void CheckLayout(string path)
    {
        var file = System.IO.Path.Combine(path, "layout");
        if (!File.Exists(file)) File.WriteAllText(file, Layout.ToString(System.Globalization.CultureInfo.InvariantCulture));
        var text = File.ReadAllText(file);
        if (int.TryParse(text, out var found) && found <= Layout) return;
        throw new ShardCloudException(ErrorCodes.DataInUse, $"The data folder '{path}' was written by a newer version (layout {text.Trim()}, this one knows {Layout}).",
            "Use the newer version, or another folder with --data.");
    }
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true)]
[JsonSerializable(typeof(RunInfo))]
internal sealed partial class RunJson : JsonSerializerContext;
