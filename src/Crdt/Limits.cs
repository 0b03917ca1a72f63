namespace ShardCloud.Crdt;

/// <summary>Bounds of a state document. The transaction refuses to pass them; the codec refuses bytes that do.</summary>
public static class Limits
{
    /// <summary>Longest name of a field or key of a map, and longest request id, in bytes of UTF-8.</summary>
    public const int NameBytesMax = 256;

    /// <summary>Largest delta of one transaction, encoded: 256 KiB.</summary>
    public const int DeltaBytesMax = 256 * 1024;

    /// <summary>Largest document that a transaction may leave behind, encoded: 512 KiB.</summary>
    public const int DocumentBytesMax = 512 * 1024;

    /// <summary>Largest input the codec reads: 4 MiB. Above the document's bound, because a join of two replicas may pass it and must still travel.</summary>
    public const int EncodedBytesMax = 4 * 1024 * 1024;

    /// <summary>How deep maps may nest; the document's own fields are depth 1.</summary>
    public const int MapDepthMax = 8;
}
