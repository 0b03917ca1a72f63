namespace ShardCloud.Crdt;

/// <summary>Names of editing sessions. A part of a document that carries the session's stamp was made by it and seen by nobody else: it may change in place.</summary>
/// <remarks>
/// A stamp is used by one transaction, or by one <see cref="LiveDocument"/> between two snapshots, and never again: what it marks is immutable
/// from then on, without a walk that freezes it. 0 marks what never changes. The same idea as Clojure's transients.
/// </remarks>
internal static class Stamps
{
    private static long _last;

    public static long Next() => Interlocked.Increment(ref _last);
}
