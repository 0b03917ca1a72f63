using ShardCloud.Crdt;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>The causal context of a quiet document, as three numbers: all up to a base, and the first so many changes of one epoch after it.</summary>
internal readonly record struct ShadowContext(long Base, long Epoch, long Sequence)
{
    /// <summary>False where it takes more than that: changes of several epochs are not folded yet, or some are missing.</summary>
    public static bool TryOf(CausalContext context, out ShadowContext shadow)
    {
        var ranges = context.Ranges;
        shadow = ranges.Length == 0 ? new(context.Base.Value, 0, 0) : new(context.Base.Value, ranges[0].Epoch.Value, ranges[0].Last);
        return ranges.Length == 0 || (ranges.Length == 1 && ranges[0].First == 1);
    }

    /// <summary>The context again.</summary>
    /// <exception cref="ShardCloudException">SC5020: the numbers are none that a context has.</exception>
    public CausalContext ToContext()
    {
        if (Base < 0 || Epoch < 0 || Sequence < 0 || Sequence > Dot.SequenceMax || (Sequence > 0 && Epoch <= Base && Base > 0))
            throw UpdateErrors.BadValue($"There is no causal context of base {Base}, epoch {Epoch} and sequence {Sequence}.", "Send the numbers of the document that the answer was made from.");
        var changes = Sequence == 0 ? CausalContext.Empty : CausalContext.Of(new DotRange(new Epoch(Epoch), 1, Sequence));
        return changes.Fold(new Epoch(Base));
    }
}
