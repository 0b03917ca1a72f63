namespace ShardCloud.Orchestrator.Tests.Support;

/// <summary>The one place where tests wait: for a condition, with a deadline.</summary>
public static class Wait
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(50);

    /// <summary>Asks until the answer fits.</summary>
    public static async Task<T> ForAsync<T>(Func<Task<T>> ask, Func<T, bool> fits, string what)
    {
        using var ticks = new PeriodicTimer(Step);
        using var limit = new CancellationTokenSource(Limit);
        var last = await ask();
        while (!fits(last))
        {
            try
            {
                await ticks.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Fail($"Waited {Limit.TotalSeconds} s for: {what}. Last answer: {last}");
            }
            last = await ask();
        }
        return last;
    }
}
