namespace ShardCloud.Crdt;

/// <summary>What one holder of a document lacks of another's: the deltas of anti-entropy.</summary>
/// <remarks>
/// A delta of the join-irreducible parts that the other has not seen (Enes, Almeida, Baquero, Leitao, "Efficient Synchronization of State-based CRDTs",
/// ICDE 2019), found from its causal context alone. Joining it gives exactly the join of both documents: what the other has seen and still holds is in
/// neither the content nor the context of the delta, so nothing is said about it; what was removed here is in the context only.
/// </remarks>
public static class DocumentDifference
{
    /// <summary>What a holder of a context lacks of this document.</summary>
    /// <param name="document">The document.</param>
    /// <param name="seen">Context of the other's document.</param>
    /// <param name="sameFolded">True when the other has the same base and the same <see cref="Folded"/>; then nothing of the folded epochs travels.</param>
    /// <returns>
    /// A delta that issues nothing. Its context names what was removed here, also where the other has removed it too: a context alone does not tell.
    /// </returns>
    public static Delta Missing(this Document document, CausalContext seen, bool sameFolded = false)
    {
        var live = new DotList(default);
        document.CollectDots(ref live);
        live.Span.Sort();

        // A base cannot leave a dot out, so every live dot of a folded epoch goes with it.
        var folded = FoldedIn(document, live);
        var kept = sameFolded ? [] : live.Span[..folded];
        var (root, requests) = Only(document, seen, kept);

        var known = new List<Dot>();
        foreach (var dot in live.Span[folded..])
            if (seen.Contains(dot)) known.Add(dot);
        live.Dispose();
        var context = document.Context.Without(known, withBase: !sameFolded);
        return Delta.Carrying(context.IsEmpty ? Document.Empty : new Document(context, root, requests));
    }

    /// <summary>The part of a document that stands under folded epochs, with the base. Two documents of one base and equal folded parts need not exchange it.</summary>
    public static Document Folded(this Document document)
    {
        if (document.Context.Base == Epoch.None) return Document.Empty;
        var live = new DotList(default);
        document.CollectDots(ref live);
        live.Span.Sort();
        var (root, requests) = Only(document, document.Context, live.Span[..FoldedIn(document, live)]);
        live.Dispose();
        return new Document(CausalContext.Empty.Fold(document.Context.Base), root, requests);
    }

    private static int FoldedIn(Document document, in DotList live)
    {
        var count = 0;
        while (count < live.Count && document.Context.IsFolded(live.Span[count].Epoch)) count++;
        return count;
    }

    /// <summary>The content whose dots were not seen, or are named.</summary>
    private static (MapValue Root, TableValue<RequestKey, RequestRecord> Requests) Only(Document document, CausalContext seen, ReadOnlySpan<Dot> named)
    {
        var pass = new JoinPass(CausalContext.Empty, seen, Stamps.Next());
        pass.StartRemoving(named);
        return ((MapValue)document.Root.Where(ref pass), (TableValue<RequestKey, RequestRecord>)document.RequestTable.Where(ref pass));
    }
}
