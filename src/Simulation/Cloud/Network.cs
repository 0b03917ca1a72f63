namespace ShardCloud.Simulation;

/// <summary>Everything between the nodes and the stores: loses, delays, reorders, repeats.</summary>
internal sealed class Network(Scheduler time, Scenario scenario)
{
    private long _storeStandsUntil, _logAwayUntil;

    /// <summary>The log takes nothing and gives nothing.</summary>
    public bool IsLogAway => time.Now < _logAwayUntil;

    /// <summary>The log is away for everybody: what it had stays, what was sent waits for it at its sender and is lost with that.</summary>
    public void TakeLogAway(long length) => _logAwayUntil = time.Now + length;

    /// <summary>The stores answer nobody for a while; what was sent is done and answered afterwards.</summary>
    public void StallStore(long length) => _storeStandsUntil = time.Now + length;

    /// <summary>One message between two nodes. It may come late, after a later one, twice, or not at all.</summary>
    public void Send(Node from, Node to, Action arrives)
    {
        if (from.Shut.HasFlag(Ways.ToPeers) || to.Shut.HasFlag(Ways.FromPeers) || time.Chance(scenario.Loss)) return;
        for (var copies = time.Chance(0.03) ? 2 : 1; copies > 0; copies--)
            time.After(Delay(scenario.SlowNetwork, 1_000), () =>
            {
                if (!to.Shut.HasFlag(Ways.FromPeers)) to.Run(arrives);
            });
    }

    /// <summary>A request to a store: takes effect after a while, if it arrives; its answer may be lost, and then nobody knows.</summary>
    /// <param name="caller">Who asks.</param>
    /// <param name="effect">At the store, at once and as a whole.</param>
    /// <param name="answered">With what the effect gave.</param>
    /// <param name="lost">No answer within the time limit.</param>
    /// <param name="limit">Milliseconds.</param>
    public void Call<T>(Node caller, Func<T> effect, Action<T> answered, Action lost, long limit = 400)
    {
        var isDone = false;
        caller.After(limit, () =>
        {
            if (isDone) return;
            isDone = true;
            lost();
        });
        if (caller.Shut.HasFlag(Ways.StoreRequests) || time.Chance(scenario.StoreLoss)) return;
        time.After(StoreDelay(), () =>
        {
            var result = effect();
            if (caller.Shut.HasFlag(Ways.StoreAnswers) || time.Chance(scenario.StoreLoss)) return;
            time.After(StoreDelay(), () => caller.Run(() =>
            {
                if (isDone) return;
                isDone = true;
                answered(result);
            }));
        });
    }

    /// <summary>Short as a rule, long now and then.</summary>
    public long Delay(double slow, long longest) => time.Chance(slow) ? time.Between(20, longest) : time.Between(1, 6);

    private long StoreDelay() => Math.Max(0, _storeStandsUntil - time.Now) + Delay(scenario.SlowStore, 900);
}
