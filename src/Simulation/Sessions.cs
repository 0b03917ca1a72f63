using ShardCloud.Crdt;

namespace ShardCloud.Simulation;

/// <summary>Endpoints that are written, expire and come back: what they held must be gone, and what they hold must be there, also where replicas have forgotten them in between.</summary>
/// <remarks>
/// One client for each, one operation at a time, so that what a read must show is known. An operation is repeated until it is answered; one that its client has finished with runs no more, as
/// records of requests see to it in production for longer than a leg can be late.
/// </remarks>
internal sealed class Sessions(World world)
{
    private const string Field = "life";
    private const long RepeatAfter = 1_500;

    private readonly Dictionary<EndpointId, long> _lives = [];

    /// <summary>Operations without an answer.</summary>
    public int Waiting { get; private set; }

    /// <summary>What a session holds; 0: nothing.</summary>
    public static long ValueOf(Document document) => document.Fields.Register(Field) is { IsNone: false } life ? life.AsInt64() : 0;

    public void Start()
    {
        if (!world.Scenario.HasSessions) return;
        foreach (var session in World.Sessions) Next(session, holds: 0);
    }

    private void Next(EndpointId session, long holds)
    {
        if (world.Time.Now >= Scenario.FaultsUntil) return;
        if (world.Time.Chance(0.4))
        {
            Ask(session, null, shown =>
            {
                if (shown != holds) History.Broken(Promise.Linearizable, $"{session} holds {holds} and a read showed {shown}");
                Later(session, holds);
            });
            return;
        }
        var next = holds > 0 && world.Time.Chance(0.7) ? 0 : _lives[session] = _lives.GetValueOrDefault(session) + 1;
        Ask(session, document => Set(document, next), _ => Later(session, next));
    }

    private void Later(EndpointId session, long holds) => world.Time.After(world.Time.Between(5, 120), () => Next(session, holds));

    private static void Set(DocumentTransaction change, long life)
    {
        if (life == 0) change.Register(Field).Clear();
        else change.Register(Field).Set(life);
    }

    private void Ask(EndpointId session, Action<DocumentTransaction>? change, Action<long> answered)
    {
        var isDone = false;
        Waiting++;
        Send();

        void Send()
        {
            if (isDone) return;
            var isGivenUp = false;
            var request = new ClientRequest(session, change is null ? null : "", 0) { Change = change, IsOver = () => isDone };
            var router = world.Time.OneOf(world.Routers);
            router.After(world.Network.Delay(world.Scenario.SlowNetwork, 300), () => router.Take(request, () => isGivenUp, value => world.Time.After(world.Time.Between(1, 5), () =>
            {
                if (isDone) return;
                isDone = true;
                Waiting--;
                answered(value);
            })));
            world.Time.After(RepeatAfter + world.Time.Between(0, 400), () =>
            {
                isGivenUp = true;
                Send();
            });
        }
    }
}
