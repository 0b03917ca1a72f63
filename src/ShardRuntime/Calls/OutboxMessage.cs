using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Expiring;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Calls;

/// <summary>One call in an endpoint's outbox.</summary>
/// <param name="Number">Names it, with its endpoint: the dot of its posting. Grows with every posting and is never used again, whatever owner comes next.</param>
/// <param name="Path">Path and query.</param>
/// <param name="Target">The endpoint of the path.</param>
/// <param name="ContentType">Of the body; empty without one.</param>
/// <param name="Body">The body.</param>
/// <param name="PostedAt">By its owner's clock, whole milliseconds.</param>
/// <param name="GivenUp">Why it was set aside; null while it waits.</param>
public sealed record OutboxMessage(Dot Number, string Path, EndpointId Target, string ContentType, ReadOnlyMemory<byte> Body, DateTimeOffset PostedAt, string? GivenUp)
{
    /// <summary>Largest message, in bytes as recorded: what the target's owner can hold, too.</summary>
    public const int BytesMax = 64 * 1024;

    /// <summary>Messages set aside that an endpoint keeps.</summary>
    public const int SetAsideMax = 16;

    internal static IReadOnlyList<OutboxMessage> WaitingIn(OrMap fields) => In(fields, SystemFields.Outbox);

    internal static IReadOnlyList<OutboxMessage> SetAsideIn(OrMap fields) => In(fields, SystemFields.OutboxSetAside);

    /// <summary>True when the endpoint has something to send. Cheap.</summary>
    internal static bool HasAny(OrMap fields) => fields.ContainsKey(SystemFields.Outbox);

    internal byte[] ToBytes() => ExpiringWire.Write(to =>
    {
        to.Write(Path);
        to.Write(Target.Value);
        to.Write(ContentType);
        to.Write(PostedAt.ToUnixTimeMilliseconds());
        to.Write(GivenUp ?? "");
        ExpiringWire.WriteBytes(to, Body.ToArray());
    });

    private static IReadOnlyList<OutboxMessage> In(OrMap fields, string list) => [.. fields.List(list).Positions.Select(item => From(item.Position, item.Value.AsBytes()))];

    private static OutboxMessage From(Dot number, ReadOnlyMemory<byte> bytes) => ExpiringWire.Read(bytes, from =>
    {
        var (path, target, type, at, reason) = (from.ReadString(), from.ReadString(), from.ReadString(), from.ReadInt64(), from.ReadString());
        return new OutboxMessage(number, path, new EndpointId(target), type, ExpiringWire.ReadBytes(from), DateTimeOffset.FromUnixTimeMilliseconds(at), reason.Length == 0 ? null : reason);
    });
}
