using BenchmarkDotNet.Attributes;
using ShardCloud.Placement.Affinity;
using ShardCloud.ShardRuntime.Affinity;

namespace ShardCloud.Bench.Micro;

/// <summary>What observing an access costs a request. Bar: under 200 ns and 0 B, at the member that the client reached and at the owner.</summary>
public class AffinityBenchmarks
{
    private const int Asked = 1 << 12;
    private const string Cookies = "theme=dark; .AspNetCore.Session=CfDJ8M2n0WqQmGVKkSx9aHcQvTnXh2uYb0eJ1dRkLw7fPzC5sGtAiOoUyEjNxBqVrDmWlKh3ZpTgSfXcYvQaRbLwEnUkJtMdHiGoPzCsVxAqNyB; lang=en";

    private readonly EndpointId[] _endpoints = [.. Enumerable.Range(0, Asked).Select(i => new EndpointId($"rooms/{i * 7919 % 1_000_003}"))];
    private readonly AffinityObservation _observation = new(new ObservationLimits(10_000, TimeSpan.FromMinutes(10), TimeSpan.FromSeconds(10), HasLoads: true), TimeProvider.System);
    private readonly Random _random = new(1);
    private readonly int[] _order = new int[1 << 16];
    private int _next;

    /// <summary>Draws who is asked for: of as many endpoints, a few often, as in use.</summary>
    [GlobalSetup]
    public void Setup()
    {
        for (var i = 0; i < _order.Length; i++) _order[i] = (int)(Asked * Math.Pow(_random.NextDouble(), 3));
    }

    /// <summary>At the first member: the client's cookie is found and hashed, its last endpoint looked up, the edge counted.</summary>
    [Benchmark]
    public void Arrived()
    {
        if (ClientCookies.TryFind(Cookies, ".AspNetCore.Session", out var session)) _observation.Used(session, Next());
    }

    /// <summary>At the owner: a handler has run.</summary>
    [Benchmark]
    public void Ran() => _observation.Ran(Next(), 0.0001, 300);

    /// <summary>A handler calls another endpoint.</summary>
    [Benchmark]
    public void Called() => _observation.Called(Next(), _endpoints[0]);

    private EndpointId Next() => _endpoints[_order[_next++ & (_order.Length - 1)]];
}
