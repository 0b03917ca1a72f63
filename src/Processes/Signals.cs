using System.Diagnostics;
using System.Runtime.InteropServices;

namespace ShardCloud.Processes;

/// <summary>Unix signals for a process known by its id only. On Windows there is but the end.</summary>
public static class Signals
{
    private const int SigKill = 9, SigTerm = 15;
    private static readonly (int Stop, int Continue) PauseSignals = OperatingSystem.IsMacOS() ? (17, 19) : (19, 18);

    /// <summary>False where processes cannot be frozen.</summary>
    public static bool CanPause => !OperatingSystem.IsWindows();

    /// <summary>Ends a process at once (SIGKILL). False: there is no such process.</summary>
    public static bool Kill(int processId)
    {
        if (!OperatingSystem.IsWindows()) return Send(processId, SigKill) == 0;
        try
        {
            using var process = Process.GetProcessById(processId);
            process.Kill();
            return true;
        }
        catch (Exception error) when (error is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    /// <summary>Ends what is left of a process group at once. False: there is no such group.</summary>
    public static bool KillGroup(int groupId) => !OperatingSystem.IsWindows() && Send(-groupId, SigKill) == 0;

    /// <summary>Asks a process to stop (SIGTERM), one that is frozen too. False: there is no such process.</summary>
    public static bool Terminate(int processId) => Send(processId, SigTerm) == 0 && Resume(processId);

    /// <summary>Freezes a process (SIGSTOP). False: there is no such process.</summary>
    public static bool Pause(int processId) => Send(processId, PauseSignals.Stop) == 0;

    /// <summary>Lets a frozen process run on (SIGCONT). False: there is no such process.</summary>
    public static bool Resume(int processId) => Send(processId, PauseSignals.Continue) == 0;

    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static extern int Send(int processId, int signal);
}
