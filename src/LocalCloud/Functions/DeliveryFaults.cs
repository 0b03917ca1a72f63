using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>What queues that deliver at least once, in no promised order, may do to an app: on demand, so that the app can be tested for it.</summary>
internal sealed class DeliveryFaults(int repeatActivityEvery = 0, int repeatEventEvery = 0, int? reorderSeed = null)
{
    private readonly Random? _random = reorderSeed is { } seed ? new Random(seed) : null;
    private int _activities;
    private int _events;

    public bool RepeatsActivity() => Strikes(ref _activities, repeatActivityEvery);

    public bool Repeats(HistoryEvent message) => message.EventRaised is not null && Strikes(ref _events, repeatEventEvery);

    /// <summary>Shuffles the external events among their own places: starts, results and timers keep theirs.</summary>
    public IReadOnlyList<KeyValuePair<string, HistoryEvent>> Reorder(IReadOnlyList<KeyValuePair<string, HistoryEvent>> inbox)
    {
        if (_random is null) return inbox;
        var places = Enumerable.Range(0, inbox.Count).Where(i => inbox[i].Value.EventRaised is not null).ToArray();
        var events = places.Select(i => inbox[i]).ToArray();
        lock (_random) _random.Shuffle(events);
        List<KeyValuePair<string, HistoryEvent>> result = [.. inbox];
        for (var i = 0; i < places.Length; i++) result[places[i]] = events[i];
        return result;
    }

    private static bool Strikes(ref int count, int every) => every > 0 && Interlocked.Increment(ref count) % every == 0;
}
