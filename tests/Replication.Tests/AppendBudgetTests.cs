using Microsoft.Extensions.Time.Testing;

namespace ShardCloud.Replication.Tests;

public class AppendBudgetTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void Record_WhenIdle_DoesNotWait()
    {
        var budget = Budget(records: 10, bytes: 1_000);
        for (var i = 0; i < 20; i++)
        {
            Assert.True(budget.Take() <= budget.Now);
            budget.Sent(100);
            _time.Advance(TimeSpan.FromMilliseconds(100));
        }
    }

    [Fact]
    public void Records_PastTheBurst_AreDueAtTheRate()
    {
        var budget = Budget(records: 100);
        _time.Advance(TimeSpan.FromSeconds(10)); // However long it was idle, only a burst is saved up.
        var due = Enumerable.Range(0, 126).Select(_ => budget.Take() - budget.Now).ToList();
        Assert.Equal(26, due.Count(wait => wait <= TimeSpan.Zero)); // A quarter of a second, and the one that is due now.
        Assert.Equal(TimeSpan.FromSeconds(1), due[^1]);
    }

    [Fact]
    public void Bytes_OverTheRate_HoldTheNextRecordUntilTheyArePaid()
    {
        var budget = Budget(bytes: 1_000);
        Assert.True(budget.Take() <= budget.Now);
        budget.Sent(1_250); // A quarter of a second is saved up, one second is owed.
        Assert.Equal(TimeSpan.FromSeconds(1), budget.Take() - budget.Now);
    }

    [Fact]
    public void Grants_AreCounted_AndDoNotWait()
    {
        var budget = Budget(records: 4);
        for (var i = 0; i < 5; i++) budget.SentAtOnce(10);
        Assert.Equal(TimeSpan.FromSeconds(1), budget.Take() - budget.Now);
    }

    [Fact]
    public void NoRates_NoWaits()
    {
        var budget = Budget();
        for (var i = 0; i < 1_000; i++)
        {
            Assert.True(budget.Take() <= budget.Now);
            budget.Sent(1_000_000);
        }
        budget.Set(4, 0);
        for (var i = 0; i < 2; i++) Assert.True(budget.Take() <= budget.Now); // What was sent before a rate was set is not owed.
        Assert.True(budget.Take() > budget.Now);
    }

    [Fact]
    public void Place_ThatIsNotDue_CallsWhenItIs()
    {
        var budget = Budget(records: 10);
        var calls = 0;
        using var place = new AppendPlace(budget, _time, () => calls++);
        while (place.TryEnter()) { }
        Assert.False(place.TryEnter()); // Asked again it keeps the place it has.
        Assert.Equal(0, calls);
        _time.Advance(TimeSpan.FromMilliseconds(100));
        Assert.Equal(1, calls);
        Assert.True(place.TryEnter());
        Assert.False(place.TryEnter());
    }

    [Fact]
    public void Partitions_ThatAllWait_TakeTurns()
    {
        var budget = Budget(records: 100);
        var sent = new int[4];
        var places = new AppendPlace[4];
        for (var i = 0; i < places.Length; i++)
        {
            var partition = i;
            places[i] = new AppendPlace(budget, _time, () => Send(partition));
        }
        for (var i = 0; i < places.Length; i++) Send(i);
        for (var ms = 0; ms < 2_000; ms++) _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.InRange(sent.Sum(), 200, 227); // Two seconds at the rate, and the burst.
        Assert.InRange(sent.Skip(1).Max() - sent.Skip(1).Min(), 0, 1); // The first one had the burst.
        foreach (var place in places) place.Dispose();

        void Send(int partition)
        {
            while (places[partition].TryEnter()) sent[partition]++;
        }
    }

    private AppendBudget Budget(double records = 0, double bytes = 0)
    {
        var budget = new AppendBudget(_time);
        budget.Set(records, bytes);
        return budget;
    }
}
