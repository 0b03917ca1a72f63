using System.Diagnostics;

namespace ShardCloud.ShardRuntime.Tests.Hosting;

/// <summary>Waits for something another thread is about to do; the one place where tests poll.</summary>
public static class Eventually
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(15);

    public static async Task TrueAsync(Func<bool> condition, string what)
    {
        var started = Stopwatch.GetTimestamp();
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(started) < Deadline, $"Still waiting: {what}");
            await timer.WaitForNextTickAsync();
        }
    }
}
