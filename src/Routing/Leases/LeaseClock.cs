using System.Runtime.InteropServices;

namespace ShardCloud.Routing;

/// <summary>One reading of the three clocks a lease is counted on. No single one is enough: a paused virtual machine stops the first, a corrected guest clock moves the last.</summary>
/// <param name="Monotonic">Time that stands still while the machine sleeps or is paused.</param>
/// <param name="BootTime">Time since boot, sleep included.</param>
/// <param name="Wall">The clock on the wall; only its progress is used, never its value.</param>
public readonly record struct LeaseClock(TimeSpan Monotonic, TimeSpan BootTime, DateTimeOffset Wall)
{
    /// <summary>How far each clock went since an earlier reading: the largest and the smallest progress.</summary>
    public (TimeSpan Most, TimeSpan Least) Since(LeaseClock earlier)
    {
        var monotonic = Monotonic - earlier.Monotonic;
        var bootTime = BootTime - earlier.BootTime;
        var wall = Wall - earlier.Wall;
        return (Max(monotonic, Max(bootTime, wall)), Min(monotonic, Min(bootTime, wall)));
    }

    private static TimeSpan Max(TimeSpan left, TimeSpan right) => left > right ? left : right;

    private static TimeSpan Min(TimeSpan left, TimeSpan right) => left < right ? left : right;
}

/// <summary>Reads the clocks of this machine.</summary>
public sealed partial class LeaseClockSource(TimeProvider time)
{
    private const int ClockBootTime = 7; // CLOCK_BOOTTIME of linux/time.h

    private readonly bool _hasBootTime = OperatingSystem.IsLinux() && time == TimeProvider.System;

    /// <summary>A reading, taken now.</summary>
    public LeaseClock Read()
    {
        var monotonic = time.GetElapsedTime(0, time.GetTimestamp());
        return new LeaseClock(monotonic, _hasBootTime ? BootTime(monotonic) : monotonic, time.GetUtcNow());
    }

    private static TimeSpan BootTime(TimeSpan otherwise) =>
        GetTime(ClockBootTime, out var now) == 0 ? TimeSpan.FromTicks((now.Seconds * TimeSpan.TicksPerSecond) + (now.Nanoseconds / 100)) : otherwise;

    [DllImport("libc", EntryPoint = "clock_gettime")]
    private static extern int GetTime(int clock, out TimeSpec now);

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
