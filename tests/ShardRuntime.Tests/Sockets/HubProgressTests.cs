using CsCheck;
using ShardCloud.ShardRuntime.Sockets.Hubs;

namespace ShardCloud.ShardRuntime.Tests.Sockets;

public sealed class HubProgressTests
{
    /// <summary>Whatever the order of answers: a number is told once everything up to it is done, never before, and at the end all are told.</summary>
    [Fact]
    public void Done_IsAPrefixOfWhatIsAnswered() =>
        Gen.Select(Gen.Int[0, 3].Array[1, 12], Gen.Int[0, 1_000]).Sample((invocations, seed) =>
        {
            var random = new Random(seed);
            var told = 0L;
            var progress = new HubProgress(upTo => told = upTo > told ? upTo : throw new InvalidOperationException($"{upTo} after {told}"));
            var open = new List<(long Number, string Id)>();
            long handedOver = 0;
            foreach (var count in invocations)
            {
                progress.Begin(++handedOver);
                for (var i = 0; i < count; i++)
                {
                    open.Add((handedOver, $"{handedOver}-{i}"));
                    progress.Invoked(open[^1].Id);
                }
                progress.End(handedOver);
                AnswerSome(1);
                Assert.Equal(open.Count == 0 ? handedOver : open.Min(o => o.Number) - 1, told);
            }
            AnswerSome(int.MaxValue);
            Assert.Equal(handedOver, told);
            Assert.True(progress.WhenIdleAsync().IsCompleted);

            void AnswerSome(int most)
            {
                for (var i = 0; i < most && open.Count > 0; i++)
                {
                    var at = random.Next(open.Count);
                    progress.Answered(open[at].Id);
                    open.RemoveAt(at);
                }
            }
        });

    [Fact]
    public async Task Idle_WaitsForTheLastAnswer()
    {
        var progress = new HubProgress(_ => { });
        progress.Begin(1);
        progress.Invoked("a");
        progress.End(1);
        var idle = progress.WhenIdleAsync();
        Assert.False(idle.IsCompleted);
        progress.Answered("a");
        await idle;
    }
}
