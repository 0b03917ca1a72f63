namespace ShardCloud.Crdt;

/// <summary>Bytes that are not a document or delta of a format this build reads. Nothing of them was applied.</summary>
public sealed class CorruptDeltaException(string reason, int offset) : ShardCloudException(
    code: ErrorCodes.CorruptDelta,
    message: $"The encoded state is corrupt at byte {offset}: {reason}.",
    remedy: "Set the record aside and repair the endpoint from a complete replica; a repeated read of the same bytes cannot succeed.")
{
    /// <summary>What is wrong, a few words.</summary>
    public string Reason { get; } = reason;

    /// <summary>Where, in bytes from the start.</summary>
    public int Offset { get; } = offset;
}
