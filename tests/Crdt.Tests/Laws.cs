namespace ShardCloud.Crdt.Tests;

/// <summary>The properties every join must have, each a function from a join and a history to a violation or null.</summary>
public static class Laws
{
    public static readonly IReadOnlyDictionary<string, Func<Join, Step[], string?>> All = new Dictionary<string, Func<Join, Step[], string?>>
    {
        [nameof(Commutative)] = Commutative,
        [nameof(Associative)] = Associative,
        [nameof(Idempotent)] = Idempotent,
        [nameof(UpperBound)] = UpperBound,
        [nameof(CommitIsJoin)] = CommitIsJoin,
        [nameof(AgreesWithModel)] = AgreesWithModel,
        [nameof(Converges)] = Converges,
        [nameof(ContextIsUnion)] = ContextIsUnion,
        [nameof(LiveDotsAreSeen)] = LiveDotsAreSeen,
        [nameof(MaximaAreContiguous)] = MaximaAreContiguous,
        [nameof(CounterIsSum)] = CounterIsSum,
        [nameof(CoalescedIsBoth)] = CoalescedIsBoth,
        [nameof(InPlaceIsCopied)] = InPlaceIsCopied,
    };

    /// <summary>Names of the properties that the join breaks in this history.</summary>
    public static IEnumerable<string> BrokenBy(Join join, Step[] steps) => All.Where(law => Violates(law.Value, join, steps)).Select(law => law.Key);

    public static bool IsBroken(string law, Join join, Step[] steps) => Violates(All[law], join, steps);

    public static string? Commutative(Join join, Step[] steps)
    {
        var reached = Sample(new World(join, steps).Reached, 8);
        foreach (var a in reached)
            foreach (var b in reached)
                if (!join(a, b).SameAs(join(b, a))) return $"{a} and {b}";
        return null;
    }

    public static string? Associative(Join join, Step[] steps)
    {
        var reached = Sample(new World(join, steps).Reached, 5);
        foreach (var a in reached)
            foreach (var b in reached)
                foreach (var c in reached)
                    if (!join(join(a, b), c).SameAs(join(a, join(b, c)))) return $"{a}, {b} and {c}";
        return null;
    }

    public static string? Idempotent(Join join, Step[] steps)
    {
        foreach (var a in new World(join, steps).Reached)
        {
            // A copy, so that no shortcut for one and the same object hides the rule.
            var copy = DocumentCodec.DecodeDocument(DocumentCodec.ToBytes(a));
            if (!join(a, copy).SameAs(a)) return $"{a}";
        }
        return null;
    }

    public static string? UpperBound(Join join, Step[] steps)
    {
        var reached = Sample(new World(join, steps).Reached, 8);
        foreach (var a in reached)
            foreach (var b in reached)
                if (join(a, b) is var both && (!join(both, a).SameAs(both) || !join(b, both).SameAs(both))) return $"{a} and {b}";
        return null;
    }

    public static string? CommitIsJoin(Join join, Step[] steps)
    {
        foreach (var (before, delta, after, _) in new World(join, steps).Commits)
            if (!join(before, delta.Changes).SameAs(after)) return $"{delta} on {before}";
        return null;
    }

    /// <summary>After every step every replica reads what the model reads: adds win, the highest write wins, removed keys stay removed.</summary>
    public static string? AgreesWithModel(Join join, Step[] steps)
    {
        string? violation = null;
        _ = new World(join, steps, (world, r) =>
        {
            var (read, expected) = (world.States[r].View(), world.Models[r].View());
            if (!read.SequenceEqual(expected)) violation ??= $"read {string.Join("; ", read)} where the model has {string.Join("; ", expected)}";
        });
        return violation;
    }

    /// <summary>All deltas, each twice, in another order for each replica: all read the same, and what the model reads.</summary>
    public static string? Converges(Join join, Step[] steps)
    {
        var world = new World(join, steps);
        DeliverAll(world, seed: steps.Length);
        if (!world.States.All(state => state.SameAs(world.States[0]))) return "replicas differ";
        return world.States[0].View().SequenceEqual(world.Models[0].View()) ? null : "replicas agree on something else than the model";
    }

    public static string? ContextIsUnion(Join join, Step[] steps)
    {
        var reached = Sample(new World(join, steps).Reached, 8);
        foreach (var a in reached)
            foreach (var b in reached)
            {
                var expected = Dots(a.Context).Union(Dots(b.Context)).Order();
                if (!Dots(join(a, b).Context).SequenceEqual(expected)) return $"{a.Context} and {b.Context}";
            }
        return null;
    }

    public static string? LiveDotsAreSeen(Join join, Step[] steps)
    {
        foreach (var state in new World(join, steps).Reached)
            if (!state.LiveDots().All(dot => state.Context.Contains(dot))) return $"{state}";
        return null;
    }

    /// <summary>The maximum of an epoch is what arrived without a gap, and not one dot more.</summary>
    public static string? MaximaAreContiguous(Join join, Step[] steps)
    {
        var world = new World(join, steps);
        var replica = Document.Empty;
        var arrived = new HashSet<Dot>();
        foreach (var (_, delta, _, _) in world.Commits.Where((_, i) => i % 3 != 1).Reverse())
        {
            replica = join(replica, delta.Changes);
            arrived.UnionWith(Dots(delta.Changes.Context));
            foreach (var epoch in arrived.Select(dot => dot.Epoch).Distinct())
            {
                var expected = 0L;
                while (arrived.Contains(new Dot(epoch, expected + 1))) expected++;
                if (replica.Context.MaximumOf(epoch) != expected) return $"{epoch}: {replica.Context.MaximumOf(epoch)}, not {expected}";
            }
        }
        return null;
    }

    public static string? CounterIsSum(Join join, Step[] steps)
    {
        var world = new World(join, steps);
        DeliverAll(world, seed: steps.Length + 1);
        return world.States.All(state => state.Fields.Counter("c0") == world.CounterSum) ? null : $"{world.States[0].Fields.Counter("c0")}, not {world.CounterSum}";
    }

    /// <summary>Deltas of one epoch that follow each other do as one what they do one by one.</summary>
    public static string? CoalescedIsBoth(Join join, Step[] steps)
    {
        var world = new World(join, steps);
        foreach (var epoch in world.Commits.GroupBy(commit => commit.Delta.Epoch))
        {
            var deltas = epoch.Select(commit => commit.Delta).ToList();
            var one = deltas.Aggregate(Delta.Coalesce);
            foreach (var state in Sample(world.Reached, 5))
                if (!join(state, one.Changes).SameAs(deltas.Aggregate(state, (joined, delta) => join(joined, delta.Changes)))) return $"{one} on {state}";
        }
        return null;
    }

    /// <summary>Joining in place gives what joining copies gives, and what was handed out on the way, or taken in, never changes.</summary>
    public static string? InPlaceIsCopied(Join join, Step[] steps)
    {
        var world = new World(join, steps);
        var random = new Random(steps.Length);
        var (live, copied) = (new LiveDocument(), Document.Empty);
        var given = world.Reached.Select(document => (Document: document, Bytes: DocumentCodec.ToBytes(document))).ToList();
        foreach (var document in world.Commits.Concat(world.Commits).Select(commit => commit.Delta.Changes).Concat(Sample(world.Reached, 5)).OrderBy(_ => random.Next()).ToList())
        {
            live.Join(document);
            copied = join(copied, document);
            if (random.Next(3) == 0) given.Add((live.Snapshot(), DocumentCodec.ToBytes(live.Snapshot())));
        }
        if (!live.Snapshot().SameAs(copied)) return $"{live.Snapshot()}, not {copied}";
        return given.All(then => DocumentCodec.ToBytes(then.Document).AsSpan().SequenceEqual(then.Bytes)) ? null : "a document changed after it was handed out";
    }

    private static bool Violates(Func<Join, Step[], string?> law, Join join, Step[] steps)
    {
        try
        {
            return law(join, steps) is not null;
        }
        catch (ShardCloudException)
        {
            return true; // A broken join may leave a document that cannot be written or read.
        }
        catch (ArgumentException)
        {
            return true;
        }
    }

    private static void DeliverAll(World world, int seed)
    {
        var random = new Random(seed);
        for (var r = 0; r < Histories.Replicas; r++)
        {
            var twice = world.Commits.Concat(world.Commits).ToArray();
            random.Shuffle(twice);
            foreach (var (_, delta, _, model) in twice) world.Deliver(r, delta, model);
        }
    }

    private static Document[] Sample(List<Document> all, int count) =>
        all.Count <= count ? all.ToArray() : Enumerable.Range(0, count).Select(i => all[(int)((long)i * (all.Count - 1) / (count - 1))]).ToArray();

    private static List<Dot> Dots(CausalContext context)
    {
        var dots = new List<Dot>();
        foreach (var range in context.Ranges)
            for (var sequence = range.First; sequence <= range.Last; sequence++) dots.Add(new Dot(range.Epoch, sequence));
        return dots;
    }
}
