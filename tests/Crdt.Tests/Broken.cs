namespace ShardCloud.Crdt.Tests;

/// <summary>Joins with one mistake each, and a law that must notice.</summary>
internal static class Broken
{
    public static readonly IReadOnlyDictionary<string, (Join Join, string Law)> Joins = new Dictionary<string, (Join, string)>
    {
        ["ignores the remote context: what the other side removed stays"] =
            ((l, r) => WithContext(Document.Join(l, WithContext(r, LiveOnly(r))), l.Context.Union(r.Context)), nameof(Laws.CommitIsJoin)),
        ["ignores its own context: what it removed comes back"] =
            ((l, r) => WithContext(Document.Join(WithContext(l, LiveOnly(l)), r), l.Context.Union(r.Context)), nameof(Laws.AgreesWithModel)),
        ["keeps removed dots of both sides"] =
            ((l, r) => WithContext(Document.Join(WithContext(l, LiveOnly(l)), WithContext(r, LiveOnly(r))), l.Context.Union(r.Context)), nameof(Laws.AgreesWithModel)),
        ["drops removals at places the delta does not name"] = (NamedPlacesOnly, nameof(Laws.CommitIsJoin)),
        ["adds up counters instead of taking the maximum"] = (CountersSummed, nameof(Laws.Idempotent)),
        ["lets the lowest write of a register win"] = (Registers((l, r) => l), nameof(Laws.AgreesWithModel)),
        ["throws the losing write of a register away"] = (Registers((l, r) => r), nameof(Laws.Associative)),
        ["takes the maximum of contexts over gaps"] = (Contexts(FillGaps), nameof(Laws.MaximaAreContiguous)),
        ["drops the cloud of stray dots"] = (Contexts(DropCloud), nameof(Laws.ContextIsUnion)),
        ["forgets completion records of the other side"] =
            ((l, r) => new Document(l.Context.Union(r.Context), Document.Join(l, r).Fields, l.RequestTable), nameof(Laws.Commutative)),
        ["takes the side that has seen more"] = ((l, r) => l.Context.Count >= r.Context.Count ? l : r, nameof(Laws.Converges)),
    };

    private static Document WithContext(Document document, CausalContext context) => new(context, document.Fields, document.RequestTable);

    private static CausalContext LiveOnly(Document document) => CausalContext.Of(document.LiveDots());

    private static Document NamedPlacesOnly(Document left, Document right)
    {
        var pass = new JoinPass(left.Context, right.Context);
        return new Document(left.Context.Union(right.Context), left.Fields.JoinFields(right.Fields, pass),
            DottedTables.Join(left.RequestTable, right.RequestTable, pass));
    }

    private static Document CountersSummed(Document left, Document right)
    {
        var joined = Document.Join(left, right);
        var fields = joined.Fields;
        foreach (var (key, value) in joined.Fields.Entries)
        {
            if (value is not PnCounter || left.Fields.Find(key.Name, key.Kind) is not PnCounter mine || right.Fields.Find(key.Name, key.Kind) is not PnCounter theirs) continue;
            var sums = mine.Entries.ToArray().Concat(theirs.Entries.ToArray()).GroupBy(entry => entry.Dot).OrderBy(entry => entry.Key)
                .Select(entry => new Dotted<PnCounter.Totals>(entry.Key, new(entry.Sum(e => e.Payload.Increments), entry.Sum(e => e.Payload.Decrements))));
            fields = fields.With(key, new PnCounter(sums.ToArray()));
        }
        return new Document(joined.Context, fields, joined.RequestTable);
    }

    private static Join Registers(Func<Dotted<LwwRegister.RegisterEntry>, Dotted<LwwRegister.RegisterEntry>, Dotted<LwwRegister.RegisterEntry>> winner) => (left, right) =>
    {
        var joined = Document.Join(left, right);
        var fields = joined.Fields;
        foreach (var (key, value) in joined.Fields.Entries)
            if (value is LwwRegister register) fields = fields.With(key, new LwwRegister([register.Entries.ToArray().Aggregate(winner)]));
        return new Document(joined.Context, fields, joined.RequestTable);
    };

    private static Join Contexts(Func<CausalContext, CausalContext> change) => (left, right) =>
    {
        var joined = Document.Join(left, right);
        return WithContext(joined, change(joined.Context));
    };

    private static CausalContext FillGaps(CausalContext context) =>
        context.Ranges.ToArray().Aggregate(CausalContext.Empty, (filled, range) => filled.Union(CausalContext.Of(range with { First = 1 })));

    private static CausalContext DropCloud(CausalContext context) =>
        context.Ranges.ToArray().Where(range => range.First == 1).Aggregate(CausalContext.Empty, (kept, range) => kept.Union(CausalContext.Of(range)));
}
