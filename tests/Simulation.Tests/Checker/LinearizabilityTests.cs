using Write = ShardCloud.Simulation.Operation<int?, int>;

namespace ShardCloud.Simulation.Tests.Checker;

/// <summary>The checker on histories of a register that starts at 0; an input of null reads.</summary>
public sealed class LinearizabilityTests
{
    [Theory]
    [InlineData("W1 0-1, R1 2-3, W2 4-5, R2 6-7")]
    [InlineData("W1 0-9, R0 1-2, R1 3-4")] // The write took effect between two reads it overlaps.
    [InlineData("W1 0-5, W2 1-6, R1 7-8")] // In the order 2, 1.
    [InlineData("W1 0-?, R0 1-2, R1 3-4")] // Unanswered: took effect late,
    [InlineData("W1 0-?, R0 1-2, R0 3-4")] // or not at all.
    [InlineData("W1 0-2, R0 2-3")] // At the same instant: not one after the other.
    [InlineData("W1 0-?, W1 1-?, R1 2-3, W2 4-5, R1 6-7")] // Two unanswered ones that look alike.
    [InlineData("W1 0-1, W1 2-9, W2 3-4, R1 5-6")] // A write of the value that is there already may come later.
    public void GoodHistory_IsAccepted(string history) => Assert.True(Holds(Parse(history)));

    [Theory]
    [InlineData("W1 0-1, R0 2-3")] // A stale read.
    [InlineData("W1 0-9, R1 1-2, R0 3-4")] // The new value, then the old one, within one write.
    [InlineData("W1 0-1, W2 2-3, R1 4-5")] // The second write is lost.
    [InlineData("W1 0-?, R1 1-2, R0 3-4")] // It was seen, so it happened.
    [InlineData("W1 0-?, R1 1-2, W2 3-4, R1 5-6")] // And it happened once.
    [InlineData("W1 0-5, W2 0-5, R1 6-7, R2 8-9")]
    [InlineData("R1 0-1, W1 2-3")] // A value before anybody wrote it.
    public void BadHistory_IsRefused(string history) => Assert.False(Holds(Parse(history)));

    [Fact]
    public void Counter_TwoIncrementsWithOneAnswer_IsRefused()
    {
        Operation<bool, long>[] twice = [new(true, 1, 0, 9), new(true, 1, 0, 9)], unanswered = [new(true, 2, 0, 9), new(true, 0, 1, null)];
        Assert.False(CounterModel.Holds(twice));
        Assert.True(CounterModel.Holds(unanswered));
    }

    /// <summary>Method: random histories of up to six operations, half of them nonsense; the checker must say what trying every subset in every order says.</summary>
    [Fact]
    public void RandomHistories_AreJudgedAsByTryingEveryOrder()
    {
        var random = new Random(1);
        var (good, bad) = (0, 0);
        for (var i = 0; i < 4_000; i++)
        {
            var history = Enumerable.Range(0, random.Next(1, 7)).Select(_ =>
            {
                var (invoked, took) = (random.Next(12), random.Next(1, 8));
                int? written = random.Next(2) == 0 ? random.Next(1, 3) : null;
                return new Write(written, random.Next(3), invoked, random.Next(5) == 0 ? null : invoked + took);
            }).ToArray();
            var expected = HoldsInSomeOrder(history, 0);
            Assert.True(expected == Holds(history), string.Join("; ", history.Select(operation => $"{operation}")));
            if (expected) good++;
            else bad++;
        }
        Assert.True(good > 500 && bad > 500, $"{good} good, {bad} bad");
    }

    private static bool Holds(IEnumerable<Write> history) => Linearizability.Holds(history, 0, Step, isRead: input => input is null);

    private static bool Step(int before, Write operation, out int after)
    {
        after = operation.Input ?? before;
        return operation.Returned is null || operation.Input is not null || operation.Output == before;
    }

    /// <summary>The definition itself: some operation nobody precedes comes first, then the rest.</summary>
    private static bool HoldsInSomeOrder(IReadOnlyList<Write> left, int state)
    {
        if (left.All(operation => operation.Returned is null)) return true;
        foreach (var next in left.Where(operation => !left.Any(other => other.Returned < operation.Invoked)))
            if (Step(state, next, out var after) && HoldsInSomeOrder([.. left.Where(operation => !ReferenceEquals(operation, next))], after)) return true;
        return false;
    }

    private static IEnumerable<Write> Parse(string history) => history.Split(", ").Select(text =>
    {
        var (what, times) = (text.Split(' ')[0], text.Split(' ')[1].Split('-'));
        var value = int.Parse(what[1..], null);
        return new Write(what[0] == 'W' ? value : null, value, long.Parse(times[0], null), times[1] == "?" ? null : long.Parse(times[1], null));
    });
}
