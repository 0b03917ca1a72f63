using RequestTable = ShardCloud.Crdt.TableValue<ShardCloud.Crdt.RequestKey, ShardCloud.Crdt.RequestRecord>;

namespace ShardCloud.Crdt.Tests;

/// <summary>Joins with one mistake each, and a law that must notice.</summary>
internal static class Broken
{
    public static readonly IReadOnlyDictionary<string, (Join Join, string Law, FieldKind? Of)> Joins = new Dictionary<string, (Join, string, FieldKind?)>
    {
        ["ignores the remote context: what the other side removed stays"] =
            ((l, r) => WithContext(Document.Join(l, WithContext(r, LiveOnly(r))), l.Context.Union(r.Context)), nameof(Laws.CommitIsJoin), null),
        ["ignores its own context: what it removed comes back"] =
            ((l, r) => WithContext(Document.Join(WithContext(l, LiveOnly(l)), r), l.Context.Union(r.Context)), nameof(Laws.AgreesWithModel), null),
        ["keeps removed dots of both sides"] =
            ((l, r) => WithContext(Document.Join(WithContext(l, LiveOnly(l)), WithContext(r, LiveOnly(r))), l.Context.Union(r.Context)), nameof(Laws.AgreesWithModel), null),
        ["drops removals at places the delta does not name"] = (NamedPlacesOnly, nameof(Laws.CommitIsJoin), null),
        ["takes the maximum of contexts over gaps"] = (Contexts(FillGaps), nameof(Laws.MaximaAreContiguous), null),
        ["drops the cloud of stray dots"] = (Contexts(DropCloud), nameof(Laws.ContextIsUnion), null),
        ["forgets completion records of the other side"] =
            ((l, r) => new Document(l.Context.Union(r.Context), Document.Join(l, r).Root, l.RequestTable), nameof(Laws.Commutative), null),
        ["takes the side that has seen more"] = ((l, r) => l.Context.Count >= r.Context.Count ? l : r, nameof(Laws.Converges), null),

        ["adds up counters instead of taking the maximum"] = (Summed(FieldKind.Counter), nameof(Laws.Idempotent), FieldKind.Counter),
        ["keeps one epoch's part of a counter"] = (Dots<Totals>(FieldKind.Counter, entries => entries[^1..]), nameof(Laws.AgreesWithModel), FieldKind.Counter),
        ["adds up grow-only counters instead of taking the maximum"] = (Summed(FieldKind.GrowCounter), nameof(Laws.Idempotent), FieldKind.GrowCounter),
        ["keeps the highest part of a grow-only counter"] =
            (Dots<Totals>(FieldKind.GrowCounter, entries => [entries.MaxBy(entry => entry.Payload.Increments)]), nameof(Laws.AgreesWithModel), FieldKind.GrowCounter),
        ["adds up bounded counters instead of taking the maximum"] = (Summed(FieldKind.BoundedCounter), nameof(Laws.Idempotent), FieldKind.BoundedCounter),
        ["clamps a bounded counter to its floor at the join"] = (Dots<Totals>(FieldKind.BoundedCounter, Clamped), nameof(Laws.AgreesWithModel), FieldKind.BoundedCounter),

        ["lets the lowest write of a register win"] = (Dots<Held>(FieldKind.Register, entries => entries[..1]), nameof(Laws.AgreesWithModel), FieldKind.Register),
        ["throws the losing write of a register away"] = (Dots<Held>(FieldKind.Register, entries => entries[^1..]), nameof(Laws.Associative), FieldKind.Register),
        ["keeps one of the concurrent values of a multi-value register"] =
            (Dots<Held>(FieldKind.MultiValueRegister, entries => entries[^1..]), nameof(Laws.AgreesWithModel), FieldKind.MultiValueRegister),
        ["lets the larger value of a multi-value register win"] =
            (Dots<Held>(FieldKind.MultiValueRegister, entries => [entries.MaxBy(entry => entry.Payload.Value)]), nameof(Laws.AgreesWithModel), FieldKind.MultiValueRegister),

        ["keeps only the first enabling of a flag"] = (Dots<Nothing>(FieldKind.Flag, entries => entries[..1]), nameof(Laws.Associative), FieldKind.Flag),
        ["lets disabling win where enabling should"] = (Dots<Nothing>(FieldKind.Flag, entries => entries.Length > 1 ? [] : entries), nameof(Laws.AgreesWithModel), FieldKind.Flag),
        ["lets enabling win where disabling should"] =
            (Dots<Vote>(FieldKind.DisableWinsFlag, entries => entries.Any(vote => vote.Payload.IsFor) ? [.. entries.Where(vote => vote.Payload.IsFor)] : entries), nameof(Laws.AgreesWithModel), FieldKind.DisableWinsFlag),
        ["forgets votes against a flag"] = (Dots<Vote>(FieldKind.DisableWinsFlag, entries => [.. entries.Where(vote => vote.Payload.IsFor)]), nameof(Laws.AgreesWithModel), FieldKind.DisableWinsFlag),

        ["lets removals win where adds should"] = (Elements<Element, Nothing>(FieldKind.Set, OneDotEach), nameof(Laws.AgreesWithModel), FieldKind.Set),
        ["keeps the first add of an element"] =
            (Elements<Element, Nothing>(FieldKind.Set, entries => [.. entries.GroupBy(entry => entry.Key.Item).Select(group => group.First())]), nameof(Laws.Associative), FieldKind.Set),
        ["lets adds win where removals should"] = (Elements<Element, Vote>(FieldKind.RemoveWinsSet, AddsWin), nameof(Laws.AgreesWithModel), FieldKind.RemoveWinsSet),
        ["forgets votes against an element"] =
            (Elements<Element, Vote>(FieldKind.RemoveWinsSet, entries => [.. entries.Where(entry => entry.Value.IsFor)]), nameof(Laws.AgreesWithModel), FieldKind.RemoveWinsSet),

        ["takes a nested map from the delta as a whole"] =
            (Fields(FieldKind.Map, (key, value, _, right) => right.Root.Find(key.Name, FieldKind.Map) ?? value), nameof(Laws.CommitIsJoin), FieldKind.Map),
        ["keeps its own nested map"] =
            (Fields(FieldKind.Map, (key, value, left, _) => left.Root.Find(key.Name, FieldKind.Map) ?? value), nameof(Laws.Commutative), FieldKind.Map),

        ["orders a list by arrival"] = (ListsByArrival, nameof(Laws.Commutative), FieldKind.List),
        ["keeps one epoch's part of a list"] =
            (Elements<ListKey, Held>(FieldKind.List, entries => [.. entries.Where(entry => entry.Key.Dot.Epoch == entries[^1].Key.Dot.Epoch)]), nameof(Laws.AgreesWithModel), FieldKind.List),
        ["renews an entry that was removed"] = (Elements<Element, Expiring>(FieldKind.ExpiringMap, Longest), nameof(Laws.AgreesWithModel), FieldKind.ExpiringMap),
        ["expires an entry by itself"] =
            (Elements<Element, Expiring>(FieldKind.ExpiringMap, entries => [.. entries.Where(entry => entry.Value.DeadlineUnixMs > 3)]), nameof(Laws.CommitIsJoin), FieldKind.ExpiringMap),
    };

    private static Document WithContext(Document document, CausalContext context) => new(context, document.Root, document.RequestTable);

    private static CausalContext LiveOnly(Document document) => CausalContext.Of(document.LiveDots());

    private static Document NamedPlacesOnly(Document left, Document right)
    {
        var pass = new JoinPass(left.Context, right.Context, Stamps.Next());
        return new Document(left.Context.Union(right.Context), (MapValue)left.Root.Join(right.Root, ref pass), (RequestTable)left.RequestTable.Join(right.RequestTable, ref pass));
    }

    /// <summary>A right join whose fields of one type are changed afterwards.</summary>
    private static Join Fields(FieldKind kind, Func<FieldKey, CrdtValue, Document, Document, CrdtValue> change) => (left, right) =>
    {
        var joined = Document.Join(left, right);
        var (root, stamp) = (joined.Root, Stamps.Next());
        foreach (var (key, value) in joined.Fields.Values.ToList())
            if (key.Kind == kind) root = root.Put([key], change(key, value, left, right), value.Weight, stamp);
        return new Document(joined.Context, root, joined.RequestTable);
    };

    private static Join Dots<T>(FieldKind kind, Func<Dotted<T>[], Dotted<T>[]> change)
        where T : IPayload<T> => Fields(kind, (_, value, _, _) => new DotValue<T>(kind, change(((DotValue<T>)value).Entries.ToArray())));

    private static Join Elements<TKey, T>(FieldKind kind, Func<List<Entry<TKey, T>>, Entry<TKey, T>[]> change)
        where TKey : struct, IDottedKey<TKey>
        where T : IPayload<T> => Fields(kind, (_, value, _, _) =>
    {
        var entries = new List<Entry<TKey, T>>();
        foreach (ref readonly var entry in ((TableValue<TKey, T>)value).Entries) entries.Add(entry);
        var changed = change(entries);
        return new TableValue<TKey, T>(kind) { Entries = Table<TKey, T>.FromSorted(changed, changed.Length) };
    });

    private static Join Summed(FieldKind kind) => Fields(kind, (key, value, left, right) =>
    {
        if (left.Root.Find(key.Name, kind) is not DotValue<Totals> mine || right.Root.Find(key.Name, kind) is not DotValue<Totals> theirs) return value;
        return new DotValue<Totals>(kind, mine.Entries.ToArray().Concat(theirs.Entries.ToArray()).GroupBy(entry => entry.Dot).OrderBy(entry => entry.Key)
            .Select(entry => new Dotted<Totals>(entry.Key, new(entry.Sum(e => e.Payload.Increments), entry.Sum(e => e.Payload.Decrements)))).ToArray());
    });

    private static Dotted<Totals>[] Clamped(Dotted<Totals>[] entries) =>
        Totals.Sum(entries) >= 0 ? entries : [new(entries[^1].Dot, new(entries.Sum(entry => entry.Payload.Decrements), entries.Sum(entry => entry.Payload.Decrements)))];

    private static Entry<Element, Nothing>[] OneDotEach(List<Entry<Element, Nothing>> entries) =>
        [.. entries.GroupBy(entry => entry.Key.Item).Where(group => group.Count() == 1).Select(group => group.Single())];

    private static Entry<Element, Vote>[] AddsWin(List<Entry<Element, Vote>> entries) =>
        [.. entries.GroupBy(entry => entry.Key.Item).SelectMany(votes => votes.Any(vote => vote.Value.IsFor) ? votes.Where(vote => vote.Value.IsFor) : votes)];

    private static Entry<Element, Expiring>[] Longest(List<Entry<Element, Expiring>> entries) =>
        [.. entries.GroupBy(entry => entry.Key.Item).Select(group => group.MaxBy(entry => entry.Value.DeadlineUnixMs))];

    /// <summary>The items of the left side, then those that are new.</summary>
    private static Join ListsByArrival => Fields(FieldKind.List, (key, value, left, _) =>
    {
        var had = left.Fields.List(key.Name).Positions.Select(item => item.Position).ToHashSet();
        var arrived = new AppendList(value).Positions.OrderBy(item => had.Contains(item.Position) ? 0 : 1).Select(item => new Held(item.Value)).ToArray();
        var mixed = new AppendList(value).Positions.Select((item, i) => new Entry<ListKey, Held>(new(item.Position), arrived[i])).ToArray();
        return new TableValue<ListKey, Held>(FieldKind.List) { Entries = Table<ListKey, Held>.FromSorted(mixed, mixed.Length) };
    });

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
