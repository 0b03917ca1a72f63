namespace ShardCloud.Simulation;

/// <summary>Clients that increment and read, through either router, and repeat by request id what was not answered in time.</summary>
internal sealed class Clients(World world, History history)
{
    private const long RepeatAfter = 1_500;

    private int _next;

    /// <summary>Writes without an answer.</summary>
    public int Waiting { get; private set; }

    public void Start()
    {
        for (var i = 0; i < 3; i++) Ask();
    }

    private void Ask()
    {
        if (world.Time.Now >= Scenario.FaultsUntil) return;
        var endpoint = world.Time.OneOf(World.Endpoints);
        var isWrite = world.Time.Chance(0.7);
        var tell = history.Asked(endpoint, isWrite);
        if (isWrite) Waiting++;
        var isDone = false;
        Send(new ClientRequest(endpoint, isWrite ? $"r{_next++}" : null, history.Floor(endpoint)), () => isDone, value =>
        {
            if (isDone) return;
            isDone = true;
            if (isWrite) Waiting--;
            tell(value);
        });
        world.Time.After(world.Time.Between(10, 160), Ask);
    }

    private void Send(ClientRequest request, Func<bool> isDone, Action<long> answer)
    {
        if (isDone() || (request.Id is null && world.Time.Now > Scenario.FaultsUntil)) return; // Nobody waits for a read for ever.
        var isGivenUp = false;
        // Some clients of convergent endpoints know a member by its address: it serves them as long as it believes to be the owner.
        if (world.Scenario.IsConvergent && world.Time.Chance(0.4) && world.Members.FirstOrDefault(m => m is { IsAlive: true, IsWarm: true } && m.Map.Lookup(request.Endpoint)?.Owner == m.Self) is { } believer)
        {
            var epoch = believer.Map.Lookup(request.Endpoint)!.Epoch;
            world.Network.Send(world.Routers[0], believer, () => believer.Arrive(new Leg(request, believer.Self, epoch, 1, false, outcome =>
            {
                if (outcome.End is LegEnd.Answered) answer(outcome.Value);
            })));
        }
        else
        {
            var router = world.Time.OneOf(world.Routers);
            router.After(world.Network.Delay(world.Scenario.SlowNetwork, 300), () => router.Take(request, () => isGivenUp, value => world.Time.After(world.Time.Between(1, 5), () => answer(value))));
        }
        world.Time.After(RepeatAfter + world.Time.Between(0, 400), () =>
        {
            isGivenUp = true;
            Send(request, isDone, answer);
        });
    }
}
