using CsCheck;
using ShardCloud.Contracts;
using ShardCloud.Placement.Affinity;
using ShardCloud.Placement.Scaling;

namespace ShardCloud.Placement.Tests.Scaling;

/// <summary>The number of shards over many looks. Every change that is asked for is made at once, except where a test says otherwise.</summary>
public sealed class ScalingPlannerTests
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(10);

    private static readonly Gen<ScalingPolicy> Policies =
        from min in Gen.Int[1, 3]
        from more in Gen.Int[0, 12]
        from low in Gen.Double[0.1, 0.6]
        from gap in Gen.Double[0.01, 0.3]
        from looks in Gen.Int[1, 4]
        from coolDown in Gen.Int[0, 60]
        select new ScalingPolicy(min, min + more, Low: low, High: low + gap, Looks: looks, CoolDownSeconds: coolDown);

    // Method: any policy, any number of shards to begin with, a constant load that lies among them differently at every look.
    [Fact]
    public void ConstantLoad_IsFollowedOneWayOnly_AndThenLeftAlone() =>
        Gen.Select(Policies, Gen.Int[1, 10], Gen.OneOf(Gen.Double[0, 3], Gen.Double[0, 10]), Gen.Int).Sample((policy, shards, load, seed) =>
        {
            var cloud = new Cloud(policy, shards, seed) { Load = load };
            cloud.Run(LooksToRest(policy, 16));

            Assert.InRange(cloud.Count, policy.Min, policy.Max);
            var (changes, atRest) = (cloud.Changes.ToList(), cloud.Count);
            Assert.True(changes.All(change => change.Change == ScalingChange.Add) || changes.All(change => change.Change == ScalingChange.Remove), string.Join(", ", changes));
            Assert.True(atRest == policy.Max || load / atRest <= policy.High, $"{load} on {atRest}");
            Assert.True(atRest == policy.Min || load / (atRest - 1) >= policy.Low, $"{load} on {atRest}");
            cloud.Run(LooksToRest(policy, 2));
            Assert.Equal(atRest, cloud.Count);
        }, iter: 1_000);

    // Method: the load may change at any look. However it does, the number stays in its bounds once it is there, and changes by load keep their distance.
    [Fact]
    public void AnyLoad_KeepsTheBoundsAndTheCoolDown() =>
        Gen.Select(Policies, Gen.Int[1, 20], Gen.Double[0, 15].Array[50], Gen.Int).Sample((policy, shards, loads, seed) =>
        {
            var cloud = new Cloud(policy, shards, seed);
            cloud.Run(20); // Into the bounds: of these changes none waits.
            cloud.Changes.Clear();
            foreach (var load in loads)
            {
                cloud.Load = load;
                cloud.Run(1);
                Assert.InRange(cloud.Count, policy.Min, policy.Max);
            }
            for (var i = 1; i < cloud.Changes.Count; i++) Assert.True((cloud.Changes[i].At - cloud.Changes[i - 1].At).TotalSeconds >= policy.CoolDownSeconds);
        });

    [Fact]
    public void DoubledLoad_IsMetByAtMostTwiceTheShards() =>
        Gen.Select(Policies, Gen.Double[0.1, 15], Gen.Int).Sample((policy, load, seed) =>
        {
            policy = policy with { Max = 100 };
            var cloud = new Cloud(policy, policy.Min, seed) { Load = load };
            cloud.Run(LooksToRest(policy, 100));
            var before = cloud.Count;
            cloud.Load = 2 * load;
            cloud.Run(LooksToRest(policy, 100));
            Assert.InRange(cloud.Count, before, 2 * before);
        }, iter: 50);

    [Fact]
    public void Busiest_OfSeveralMeasures_Decides()
    {
        var policy = new ScalingPolicy(1, 5, Looks: 1);
        EndpointLoad capacity = new(Requests: 100, Cpu: 2, Bytes: double.PositiveInfinity, Connections: 1_000, StateBytes: double.PositiveInfinity);
        ScalingStep Next(EndpointLoad load) => ScalingPlanner.Next(policy, default, new(DateTimeOffset.UnixEpoch, [new(new ShardId("shard-1"), load, capacity)]));

        Assert.Equal(ScalingChange.Add, Next(new(10, 0.1, 0, 800, 0)).Change);
        Assert.Equal("connections at 80 % (800 of 1000) for 1 looks, above 70 %", Next(new(10, 0.1, 0, 800, 0)).Reason);
        Assert.Equal(ScalingChange.None, Next(new(10, 0.1, 1e9, 600, 1e12)).Change);
        Assert.Equal(["cpu", "requests", "connections"], Next(default).Use.Select(use => use.Measure));
    }

    [Fact]
    public void OneLookBelow_BeginsTheCountAnew()
    {
        var cloud = new Cloud(new ScalingPolicy(1, 5, Looks: 3), 1, 1);
        foreach (var load in (double[])[0.9, 0.9, 0.5, 0.9, 0.9])
        {
            cloud.Load = load;
            cloud.Run(1);
        }
        Assert.Empty(cloud.Changes);
        cloud.Run(1);
        Assert.Equal(ScalingChange.Add, Assert.Single(cloud.Changes).Change);
    }

    [Fact]
    public void NotNow_WhilePausedOrHeld_AndTheCountGoesOnWhereItWas()
    {
        var cloud = new Cloud(new ScalingPolicy(2, 5, Looks: 2), 2, 1) { Load = 5 };
        cloud.Run(1);
        cloud.Held = "an update runs";
        cloud.Run(10);
        Assert.Equal("an update runs", cloud.Reason);
        cloud.Held = null;
        cloud.Policy = cloud.Policy with { Paused = true };
        cloud.Run(10);
        Assert.Empty(cloud.Changes);
        cloud.Policy = cloud.Policy with { Paused = false };
        cloud.Run(2);
        Assert.Single(cloud.Changes);
    }

    [Fact]
    public void ChangeThatFailed_IsTriedAgainAfterTheCoolDown()
    {
        var cloud = new Cloud(new ScalingPolicy(3, 5, CoolDownSeconds: 100), 2, 1) { Fails = true };
        cloud.Run(30);
        Assert.Equal([0, 100, 200], cloud.Changes.Select(change => (change.At - DateTimeOffset.UnixEpoch).TotalSeconds));
    }

    [Fact]
    public void ShardThatDoesNotSayItsLoad_IsNoReasonToRemoveOne()
    {
        var cloud = new Cloud(new ScalingPolicy(1, 5, Looks: 1), 3, 1) { Load = 0.1, Silent = 1 };
        cloud.Run(20);
        Assert.Empty(cloud.Changes);
        cloud.Load = 60;
        cloud.Run(1);
        Assert.Equal(ScalingChange.Add, Assert.Single(cloud.Changes).Change);
    }

    [Fact]
    public void Removed_IsTheOneWithLeastLoad_ThatNothingIsPinnedTo()
    {
        ScalingShard Shard(int number, double load, bool isNeeded = false) => new(new ShardId($"shard-{number}"), new(0, load, 0, 0, 0), Cloud.Capacity, isNeeded);
        ScalingStep Next(params ScalingShard[] shards) => ScalingPlanner.Next(new ScalingPolicy(1, 9, Looks: 1), default, new(DateTimeOffset.UnixEpoch, shards));

        Assert.Equal(new ShardId("shard-3"), Next(Shard(1, 0.2), Shard(2, 0, isNeeded: true), Shard(3, 0.1), Shard(4, 0.2)).Shard);
        Assert.Equal(new ShardId("shard-10"), Next(Shard(1, 0.1), Shard(2, 0.1), Shard(10, 0.1)).Shard);
        Assert.Equal(ScalingChange.None, Next(Shard(1, 0.1, isNeeded: true), Shard(2, 0, isNeeded: true)).Change);
    }

    private static int LooksToRest(ScalingPolicy policy, int changes) => changes * (policy.Looks + (int)Math.Ceiling(policy.CoolDownSeconds / LookEvery.TotalSeconds) + 1);

    /// <summary>Shards of one processor core each.</summary>
    private sealed class Cloud(ScalingPolicy policy, int count, int seed)
    {
        public static readonly EndpointLoad Capacity = new(double.PositiveInfinity, 1, double.PositiveInfinity, double.PositiveInfinity, double.PositiveInfinity);

        private readonly Random _random = new(seed);
        private readonly List<ShardId> _shards = [.. Enumerable.Range(1, count).Select(number => new ShardId($"shard-{number}"))];
        private ScalingMemory _memory;
        private DateTimeOffset _now = DateTimeOffset.UnixEpoch;

        public ScalingPolicy Policy { get; set; } = policy;

        public double Load { get; set; }

        public string? Held { get; set; }

        public bool Fails { get; init; }

        public int Silent { get; init; }

        public int Count => _shards.Count;

        public string Reason { get; private set; } = "";

        public List<(ScalingChange Change, DateTimeOffset At)> Changes { get; } = [];

        public void Run(int looks)
        {
            for (var look = 0; look < looks; look++, _now += LookEvery)
            {
                double[] parts = [.. _shards.Select(_ => _random.NextDouble() + 0.01)];
                var shards = _shards.Select((shard, i) => new ScalingShard(shard, i < Silent ? null : new(0, Load * parts[i] / parts.Sum(), 0, 0, 0), Capacity)).ToList();
                var step = ScalingPlanner.Next(Policy, _memory, new ScalingLook(_now, shards, Held));
                (_memory, Reason) = (step.Memory, step.Reason);
                if (step.Change == ScalingChange.None) continue;
                Changes.Add((step.Change, _now));
                if (Fails) _memory = _memory with { HasFailed = true };
                else if (step.Change == ScalingChange.Remove) Assert.True(_shards.Remove(step.Shard!.Value));
                else _shards.Add(new ShardId($"shard-{_shards.Max(shard => int.Parse(shard.Value[6..], System.Globalization.CultureInfo.InvariantCulture)) + 1}"));
            }
        }
    }
}
