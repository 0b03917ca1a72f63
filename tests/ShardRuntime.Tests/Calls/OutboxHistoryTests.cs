namespace ShardCloud.ShardRuntime.Tests.Calls;

/// <summary>Whatever dies between commit, send, answer and removal: what was posted and counts was received, each message once and in order.</summary>
public sealed class OutboxHistoryTests(ITestOutputHelper output)
{
    private const int Histories = 60, Steps = 150;

    [Fact]
    public async Task Messages_UnderCrashesAndLateRepeats_TakeEffectOnceAndInOrder()
    {
        var happened = new Dictionary<string, int>();
        for (var seed = 1; seed <= Histories; seed++)
        {
            await using var history = new OutboxHistory(seed);
            await history.RunAsync(Steps, TestContext.Current.CancellationToken);
            foreach (var (pair, posted, received) in history.Verdict())
                Assert.True(posted.SequenceEqual(received), $"seed {seed}, {pair}: posted {string.Join(' ', posted)}; received {string.Join(' ', received)}");
            foreach (var (what, count) in history.Happened) happened[what] = happened.GetValueOrDefault(what) + count;
        }
        output.WriteLine(string.Join(", ", happened.Select(pair => $"{pair.Value} {pair.Key}")));
        foreach (var what in new[] { "posted", "died", "lost without notice", "lost on the way", "answer lost", "comes again, late", "counts for no one" })
            Assert.True(happened.GetValueOrDefault(what) > Histories, $"hardly ever: {what}");
    }
}
