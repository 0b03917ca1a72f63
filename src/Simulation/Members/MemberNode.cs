using ShardCloud.Routing;

namespace ShardCloud.Simulation;

/// <summary>What every member has: a row with a lease, and a map that follows. The cores are <see cref="LeaseKeeper"/> and <see cref="MapFollower"/>.</summary>
internal abstract class MemberNode : Node
{
    private const long PollEvery = 300;

    private readonly MemberRole _role;
    private LeaseKeeper? _keeper;
    private MapFollower? _follower;
    private MemberRow _row;
    private long _wakes;

    protected MemberNode(World world, IncarnationId self, MemberRole role, bool isFirst) : base(world, self)
    {
        _role = role;
        _row = new MemberRow { Incarnation = self, Role = role, LeaseLength = TimeSpan.FromMilliseconds(Scenario.Lease), State = MemberState.Joining };
        if (isFirst) Registered(world.Rows.Register(_row), Clock);
        else Register();
        if (isFirst) Loaded(world.Map.Head);
        else LoadMap();
    }

    public bool IsLeaseValid => _keeper?.IsValid(Clock) is true;

    /// <summary>Since when its lease has been valid without a break; it came to life then, or back to it.</summary>
    public long ValidSince { get; private set; }

    /// <summary>True once it has a map and a row.</summary>
    public bool IsUp => _keeper is not null && _follower is not null;

    public RoutingMap Map => _follower!.Current;

    public bool HasMap => _follower is not null;

    protected bool IsLeaving { get; set; }

    protected virtual MemberState State => MemberState.Ready;

    /// <summary>A request arrives from another member.</summary>
    public abstract void Arrive(Leg leg);

    /// <summary>Somebody says that there is this version.</summary>
    public void Hear(MapVersion version)
    {
        if (_follower is not null) Do(_follower.Step(new FollowerEvent.Heard(version)));
    }

    protected void Offer(RoutingMap map)
    {
        if (_follower is not null) Do(_follower.Step(new FollowerEvent.MapRead(map)));
    }

    /// <summary>A new version is applied.</summary>
    protected abstract void OnMap();

    /// <summary>Its row is fenced or gone: it is over.</summary>
    protected abstract void Over(string why);

    /// <summary>The last word.</summary>
    protected void SayLeaving(Action done) => World.Network.Call(this, () => World.Rows.Read(Self) is not { IsFinal: false } row || World.Rows.Replace(row with { State = MemberState.Leaving }) is not null, left =>
    {
        if (left) done();
        else After(20, () => SayLeaving(done));
    }, () => After(20, () => SayLeaving(done)));

    // Lease ------------------------------------------------------------------------------------------------------------------------

    private void Register()
    {
        var firstTry = Clock;
        World.Network.Call(this, () => World.Rows.Register(_row), row => Registered(row, firstTry), () => After(50, Register));
    }

    private void Registered(MemberRow row, LeaseClock firstTry)
    {
        if (_keeper is not null) return;
        (_row, _keeper) = (row, new LeaseKeeper(row, firstTry, World.Guards));
        After(0, () => Lease(new LeaseEvent.Tick()));
    }

    private void Lease(LeaseEvent happened)
    {
        if (IsLeaving) return;
        var wasValid = IsLeaseValid;
        var commands = _keeper!.Step(happened, Clock);
        if (!wasValid && IsLeaseValid) ValidSince = Time.Now;
        foreach (var command in commands)
        {
            switch (command)
            {
                case LeaseCommand.WakeAfter later:
                    var wake = ++_wakes;
                    After((long)later.Delay.TotalMilliseconds + 1, () =>
                    {
                        if (wake == _wakes) Lease(new LeaseEvent.Tick());
                    });
                    break;
                case LeaseCommand.Renew renew:
                    var next = _row with { RenewalCount = renew.Count, ETag = renew.ETag, AppliedMapVersion = _follower?.Current.Version ?? MapVersion.None, State = State };
                    World.Network.Call(this, () => World.Rows.Replace(next), row =>
                    {
                        if (row is not null) _row = row;
                        Lease(row is null ? new LeaseEvent.NotConfirmed(renew.Count) : new LeaseEvent.Renewed(renew.Count, row.ETag));
                    }, () => Lease(new LeaseEvent.NotConfirmed(renew.Count)), Scenario.Lease / 4);
                    break;
                case LeaseCommand.ReadRow:
                    World.Network.Call(this, () => World.Rows.Read(Self), row => Lease(new LeaseEvent.RowRead(row)), () => Lease(new LeaseEvent.ReadFailed()), Scenario.Lease / 4);
                    break;
                case LeaseCommand.ReportLost lost:
                    Over(lost.Error.Message);
                    break;
            }
        }
    }

    // Map --------------------------------------------------------------------------------------------------------------------------

    private void LoadMap() => World.Map.ReadFrom(this, Loaded, () => After(50, LoadMap));

    private void Loaded(RoutingMap map)
    {
        if (_follower is not null) return;
        _follower = new MapFollower(map, World.Map.Apply);
        After(0, OnMap);
        Poll();
    }

    private void Poll() => After(Time.Between(PollEvery / 2, PollEvery), () =>
    {
        Do(_follower!.Step(new FollowerEvent.Poll()));
        Poll();
    });

    private void Do(IReadOnlyList<FollowerCommand> commands)
    {
        foreach (var command in commands)
        {
            switch (command)
            {
                case FollowerCommand.ReadHead read:
                    World.Network.Call(this, () => World.Map.Head.Version, version => Do(_follower!.Step(new FollowerEvent.HeadRead(version, read.AppliedAtSend))), Failed);
                    break;
                case FollowerCommand.ReadChanges read:
                    World.Network.Call(this, () => World.Map.Changes.Skip((int)read.After.Value).ToList(), changes => Do(_follower!.Step(new FollowerEvent.ChangesRead(changes))), Failed);
                    break;
                case FollowerCommand.Publish:
                    OnMap();
                    if (IsAlive && _keeper is not null) Lease(new LeaseEvent.RenewSoon());
                    break;
                case FollowerCommand.Stop stop:
                    Over(stop.Error.Message);
                    break;
            }
        }

        void Failed() => Do(_follower!.Step(new FollowerEvent.ReadFailed()));
    }
}
