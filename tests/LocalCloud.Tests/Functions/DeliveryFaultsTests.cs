using ShardCloud.DurableTask.Protocol;
using ShardCloud.LocalCloud.Functions;

namespace ShardCloud.LocalCloud.Tests.Functions;

/// <summary>The switches for repeated and reordered deliveries.</summary>
public sealed class DeliveryFaultsTests
{
    [Fact]
    public void Repeats_EveryThird_StrikesEveryThird()
    {
        var faults = new DeliveryFaults(repeatActivityEvery: 3);

        Assert.Equal([false, false, true, false, false, true], Enumerable.Range(0, 6).Select(_ => faults.RepeatsActivity()));
    }

    [Fact]
    public void Repeats_MessageThatIsNoExternalEvent_Never()
    {
        var faults = new DeliveryFaults(repeatEventEvery: 1);

        Assert.True(faults.Repeats(Raised("a")));
        Assert.False(faults.Repeats(new HistoryEvent { TimerFired = new() }));
    }

    [Fact]
    public void Reorder_MovesExternalEventsOnly_AndLosesNone()
    {
        List<KeyValuePair<string, HistoryEvent>> inbox = [new("0", new HistoryEvent { ExecutionStarted = new() })];
        for (var i = 0; i < 20; i++) inbox.Add(new($"{i + 1}", Raised($"{i}")));
        inbox.Add(new("21", new HistoryEvent { TimerFired = new() }));

        var result = new DeliveryFaults(reorderSeed: 1).Reorder(inbox);

        Assert.Equal("0", result[0].Key);
        Assert.Equal("21", result[21].Key);
        Assert.NotEqual(inbox, result);
        Assert.Equal(inbox.Select(m => m.Key).Order(), result.Select(m => m.Key).Order());
        Assert.Same(inbox, new DeliveryFaults().Reorder(inbox));
    }

    private static HistoryEvent Raised(string name) => new() { EventRaised = new() { Name = name } };
}
