using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.Simulation;

/// <summary>A router: the production decision (<see cref="ProxyDecision"/>), asked again after every wait, refusal and lost leg, each time under the same request id.</summary>
internal sealed class Router(World world, string name) : MemberNode(world, new IncarnationId($"{name}~1"), MemberRole.Router, isFirst: true)
{
    private const int HopsMax = 3;
    private readonly Dictionary<IncarnationId, long> _suspectUntil = [];

    /// <summary>Takes a client's request and answers it, however long that takes; unless its client has gone.</summary>
    public void Take(ClientRequest request, Func<bool> isGone, Action<long> answer) => Decide(new Flight(request, isGone, answer));

    public override void Arrive(Leg leg) => leg.Answer(new LegOutcome(LegEnd.Refused)); // Nobody routes to a router.

    protected override void OnMap() { }

    protected override void Over(string why) => End(why);

    private bool IsReachable(IncarnationId member) => _suspectUntil.GetValueOrDefault(member) <= Time.Now;

    private void Decide(Flight flight)
    {
        if (flight.IsDone || flight.IsGone()) return;
        var request = flight.Request;
        var entry = EntryView.Of(Map, request.Endpoint.KeyHash);
        if (flight.Newer.Version > entry.Version) entry = flight.Newer;
        var isToTried = !entry.To.IsNone && flight.RefusedTo != entry.To && IsReachable(entry.To);
        var decision = ProxyDecision.Decide(new ProxyFacts
        {
            HasEndpoint = true,
            Self = Self,
            Role = MemberRole.Router,
            Map = entry.Version,
            Owner = entry.Owner,
            Epoch = entry.Epoch,
            To = entry.To,
            HopsMax = HopsMax,
            IsToReachable = isToTried,
            IsOwnerReachable = isToTried || IsReachable(entry.Owner),
            IsRelayTried = flight.IsRelayTried,
        });
        if (decision.Action is not (ProxyAction.Forward or ProxyAction.Relay))
        {
            flight.IsRelayTried = false;
            After(Time.Between(30, 120), () => Decide(flight));
            return;
        }
        var isRelay = decision.Action is ProxyAction.Relay;
        flight.IsRelayTried |= isRelay;
        var via = isRelay ? World.Members.Where(m => m.Self != decision.Target && Map.Live.ContainsKey(m.Self)).Select(m => m.Self).FirstOrDefault() : decision.Target;
        if (via.IsNone)
        {
            After(30, () => Decide(flight));
            return;
        }
        new Leg(request, via, entry.Epoch, 1, isRelay, outcome => OnEnd(flight, entry, decision, via, outcome)).Send(World, this);
    }

    private void OnEnd(Flight flight, EntryView entry, ProxyDecision decision, IncarnationId via, LegOutcome outcome)
    {
        if (flight.IsDone) return;
        if (outcome.End is LegEnd.Answered)
        {
            flight.IsDone = true;
            flight.Answer(outcome.Value);
            return;
        }
        var told = outcome.Entry;
        if (outcome.End is LegEnd.Refused && told.Version > entry.Version)
        {
            Hear(told.Version);
            if (told.Owner != default && (told.Owner, told.Epoch, told.To) != (entry.Owner, entry.Epoch, entry.To))
            {
                flight.Newer = told;
                Decide(flight);
                return;
            }
        }
        if (outcome.End is LegEnd.Lost) _suspectUntil[via] = Time.Now + 100;
        if (via == entry.To && !decision.Fallback.IsNone)
        {
            flight.RefusedTo = via; // The destination does not take it: the source does, at once (TRACES 27).
            Decide(flight);
            return;
        }
        After(outcome.End is LegEnd.Lost && !flight.IsRelayTried ? 1 : 40, () => Decide(flight));
    }

    private sealed class Flight(ClientRequest request, Func<bool> isGone, Action<long> answer)
    {
        public ClientRequest Request => request;
        public Func<bool> IsGone => isGone;
        public Action<long> Answer => answer;
        public EntryView Newer;
        public IncarnationId RefusedTo;
        public bool IsRelayTried, IsDone;
    }
}
