using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Stack;

/// <summary>A process of a local cloud. The start time tells it from a later one that was given the same id.</summary>
public sealed record RunProcess(string Name, int Pid, DateTimeOffset StartedAt)
{
    private static readonly TimeSpan SameStart = TimeSpan.FromSeconds(2); // Systems round it.

    /// <summary>Describes a process that runs now; null when it has ended already.</summary>
    public static RunProcess? Of(string name, int pid) => StartOf(pid) is { } start ? new RunProcess(name, pid, start) : null;

    /// <summary>True while this very process runs.</summary>
    [JsonIgnore]
    public bool IsRunning => StartOf(Pid) is { } start && (start - StartedAt).Duration() < SameStart;

    private static DateTimeOffset? StartOf(int pid)
    {
        try
        {
            using var process = Process.GetProcessById(pid);
            return process.HasExited ? null : process.StartTime;
        }
        catch (Exception error) when (error is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }
}

/// <summary><c>processes.json</c> of a data folder: every process of its cloud, from the first one's start on. It stays when the cloud is killed, so that what is left can be found.</summary>
public static class ProcessFile
{
    /// <summary>What the file lists; empty when there is none.</summary>
    public static IReadOnlyList<RunProcess> Read(string dataDirectory)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(PathOf(dataDirectory)), ProcessJson.Default.IReadOnlyListRunProcess) ?? [];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            return [];
        }
    }

    /// <summary>Replaces the file.</summary>
    public static void Write(string dataDirectory, IReadOnlyList<RunProcess> processes)
    {
        var draft = PathOf(dataDirectory) + ".new";
        File.WriteAllText(draft, JsonSerializer.Serialize(processes, ProcessJson.Default.IReadOnlyListRunProcess));
        File.Move(draft, PathOf(dataDirectory), overwrite: true);
    }

    /// <summary>Removes the file: nothing of it runs any more.</summary>
    public static void Delete(string dataDirectory) => File.Delete(PathOf(dataDirectory));

    /// <summary>Ends what an earlier cloud of this folder left: only frozen processes outlive it, since they cannot see that it is gone.</summary>
    /// <remarks>For the holder of the folder's lock.</remarks>
    public static IReadOnlyList<RunProcess> EndLeftOvers(string dataDirectory)
    {
        var left = Read(dataDirectory).Where(process => process.IsRunning).ToList();
        foreach (var process in left) Signals.Kill(process.Pid);
        return left;
    }

    private static string PathOf(string dataDirectory) => Path.Combine(dataDirectory, "processes.json");
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true)]
[JsonSerializable(typeof(IReadOnlyList<RunProcess>))]
internal sealed partial class ProcessJson : JsonSerializerContext;
