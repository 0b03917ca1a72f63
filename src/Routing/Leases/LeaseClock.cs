using System.Runtime.InteropServices;

namespace ShardCloud.Routing;

/// <summary>One reading of the three clocks a lease is counted on.</summary>
/// <param name="Monotonic">CLOCK_MONOTONIC: never set, but stands still while the machine is suspended.</param>
/// <param name="BootTime">CLOCK_BOOTTIME: counts a suspension, where the kernel knows of one.</param>
/// <param name="Wall">Wall clock: is corrected after a pause of the whole VM, which neither of the others may have seen.</param>
public readonly record struct LeaseClock(TimeSpan Monotonic, TimeSpan BootTime, DateTimeOffset Wall)
{
    /// <summary>The largest and the smallest progress of the three since an earlier reading.</summary>
    public (TimeSpan Largest, TimeSpan Smallest) Since(LeaseClock earlier)
    {
        var (monotonic, boot, wall) = (Monotonic - earlier.Monotonic, BootTime - earlier.BootTime, Wall - earlier.Wall);
        return (Max(Max(monotonic, boot), wall), Min(Min(monotonic, boot), wall));
    }

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;
}

/// <summary>Reads the clocks; some 100 ns, no allocation, any thread.</summary>
/// <param name="time">The system's, or a test's; boot time is that of the machine only with the system's.</param>
public sealed class LeaseClocks(TimeProvider time)
{
    private const int ClockBootTime = 7; // linux/time.h

    private readonly bool _hasBootTime = time == TimeProvider.System && OperatingSystem.IsLinux() && Environment.Is64BitProcess;

    /// <summary>Now.</summary>
    public LeaseClock Read()
    {
        var monotonic = time.GetElapsedTime(0);
        return new LeaseClock(monotonic, _hasBootTime && clock_gettime(ClockBootTime, out var now) == 0 ? now.ToTimeSpan() : monotonic, time.GetUtcNow());
    }

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Timespec
    {
        private readonly long _seconds, _nanoseconds;

        public TimeSpan ToTimeSpan() => new(_seconds * TimeSpan.TicksPerSecond + _nanoseconds / TimeSpan.NanosecondsPerTick);
    }

    [DllImport("libc", ExactSpelling = true), SuppressGCTransition]
    private static extern int clock_gettime(int clock, out Timespec time);
}
