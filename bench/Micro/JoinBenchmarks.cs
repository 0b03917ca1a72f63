using Akka.Actor;
using Akka.Cluster;
using Akka.DistributedData;
using BenchmarkDotNet.Attributes;
using ShardCloud.Crdt;

namespace ShardCloud.Bench.Micro;

/// <summary>Question: what does joining a one-entry delta into a set of 25 cost a replica? Budget: 5 million a second on one core, 0 B.</summary>
/// <remarks>
/// The same work for both libraries: 1,000 deltas, each of which adds one of the 25 members anew and so replaces its dot, made beforehand by
/// one writer and joined in order into the state they started from.
/// </remarks>
public class JoinBenchmarks
{
    private const int Members = 25;
    private const int Deltas = 1_000;
    private const int Rounds = 200;

    private readonly Delta[] _deltas = new Delta[Deltas];
    private readonly ORSet<string>.IDeltaOperation[] _akkaDeltas = new ORSet<string>.IDeltaOperation[Deltas];
    private readonly List<LiveDocument> _live = [];
    private Document _start = Document.Empty;
    private ORSet<string> _akkaStart = ORSet<string>.Empty;

    /// <summary>Makes the deltas.</summary>
    [GlobalSetup]
    public void Setup()
    {
        var next = 1L;
        for (var i = 0; i < Members; i++) Commit($"member {i}", ref _start, ref next);
        var state = _start;
        for (var i = 0; i < Deltas; i++) _deltas[i] = Commit($"member {i % Members}", ref state, ref next);

        var node = new UniqueAddress(new Address("akka.tcp", "bench", "127.0.0.1", 2552), 1);
        for (var i = 0; i < Members; i++) _akkaStart = _akkaStart.Add(node, $"member {i}").ResetDelta();
        var akka = _akkaStart;
        for (var i = 0; i < Deltas; i++)
        {
            akka = akka.Add(node, $"member {i % Members}");
            _akkaDeltas[i] = akka.Delta!;
            akka = akka.ResetDelta();
        }
    }

    /// <summary>Fresh replicas for the invocations of one iteration, each with its own copies made: joining starts from where a replica stands.</summary>
    [IterationSetup(Target = nameof(InPlace))]
    public void Replicas()
    {
        _live.Clear();
        for (var i = 0; i < Rounds; i++)
        {
            var live = new LiveDocument(_start);
            live.Join(_deltas[0]);
            _live.Add(live);
        }
    }

    /// <summary>A replica: joined in place.</summary>
    [Benchmark(OperationsPerInvoke = Deltas * Rounds)]
    public long InPlace()
    {
        foreach (var live in _live)
            foreach (var delta in _deltas) live.Join(delta);
        return _live[0].Context.Count;
    }

    /// <summary>Whoever needs every state between: a new immutable document each time.</summary>
    [Benchmark(OperationsPerInvoke = Deltas)]
    public Document Copying()
    {
        var state = _start;
        foreach (var delta in _deltas) state = Document.Join(state, delta);
        return state;
    }

    /// <summary>Akka.NET's ORSet: MergeDelta.</summary>
    [Benchmark(Baseline = true, OperationsPerInvoke = Deltas)]
    public ORSet<string> Akka()
    {
        var state = _akkaStart;
        foreach (var delta in _akkaDeltas) state = state.MergeDelta(delta);
        return state;
    }

    private static Delta Commit(string member, ref Document state, ref long next)
    {
        var transaction = new DocumentTransaction(state, new Epoch(1), next);
        transaction.Set("members").Add(member);
        return transaction.Commit(out state, out next);
    }
}
