using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.Simulation;

/// <summary>What a client wants. Without an id it is a read, with one an increment that takes effect once.</summary>
/// <param name="Endpoint">Of whom.</param>
/// <param name="Id">Request id; null: a read.</param>
/// <param name="Floor">What had been answered to anybody when the client asked.</param>
internal sealed record ClientRequest(EndpointId Endpoint, string? Id, long Floor)
{
    /// <summary>What it changes in place of an increment; null: an increment.</summary>
    public Action<Crdt.DocumentTransaction>? Change { get; init; }

    /// <summary>Its client has its answer, and sends nothing more of it.</summary>
    public Func<bool> IsOver { get; init; } = static () => false;
}

internal enum LegEnd
{
    Answered,

    /// <summary>Not there, or not now: with the entry that the other side goes by.</summary>
    Refused,

    /// <summary>Nobody at the address, or no word within the time limit.</summary>
    Lost,
}

internal readonly record struct LegOutcome(LegEnd End, long Value = 0, EntryView Entry = default);

/// <summary>A request on its way between two members.</summary>
internal sealed record Leg(ClientRequest Request, IncarnationId To, Epoch Epoch, int Hops, bool IsRelay, Action<LegOutcome> Answer)
{
    /// <summary>Milliseconds after which a leg without a word is given up.</summary>
    public const long Limit = 1_200;

    /// <summary>Sends it; its answer is given once.</summary>
    public void Send(World world, MemberNode from)
    {
        var isAnswered = false;
        void Once(LegOutcome outcome)
        {
            if (isAnswered) return;
            isAnswered = true;
            Answer(outcome);
        }

        world.Routed(from, this);
        if (world.Find(To) is not { IsAlive: true } target)
        {
            from.After(world.Time.Between(1, 10), () => Once(new LegOutcome(LegEnd.Lost)));
            return;
        }
        world.Network.Send(from, target, () => target.Arrive(this with { Answer = outcome => world.Network.Send(target, from, () => Once(outcome)) }));
        from.After(Limit, () => Once(new LegOutcome(LegEnd.Lost)));
    }
}
