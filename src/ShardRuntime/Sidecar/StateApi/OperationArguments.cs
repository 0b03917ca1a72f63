using System.Text.Json;
using ShardCloud.Crdt;

namespace ShardCloud.ShardRuntime.Sidecar.StateApi;

/// <summary>Members of an operation's JSON body. All are looked at before anything is changed.</summary>
internal sealed class OperationArguments
{
    private readonly JsonElement? _body;

    /// <exception cref="ShardCloudException">SC5002: a member that the operation does not have.</exception>
    public OperationArguments(JsonElement? body, IReadOnlyList<string> members, TimeProvider time)
    {
        (_body, Now) = (body, time.GetUtcNow());
        foreach (var member in body?.EnumerateObject() ?? default)
        {
            if (!members.Contains(member.Name))
                throw new ShardCloudException(ErrorCodes.UnknownMember, $"The operation has no member '{member.Name}'.", members.Count == 0 ? "It takes none." : $"Members: {string.Join(", ", members)}.");
        }
    }

    /// <summary>The member's clock.</summary>
    public DateTimeOffset Now { get; }

    public long Int64(string name, long otherwise) => Find(name) is not { } member ? otherwise
        : member.ValueKind is JsonValueKind.Number && member.TryGetInt64(out var number) ? number : throw Bad(name, "a whole number of 64 bits");

    public Value Value(string name) => Find(name) is { } member ? JsonValues.Read(member, name) : throw Missing(name);

    public string Text(string name) => Find(name) is not { } member ? throw Missing(name)
        : member.ValueKind is JsonValueKind.String ? member.GetString()! : throw Bad(name, "text");

    public DateTimeOffset Time(string name, DateTimeOffset? otherwise = null) => Find(name) is not { } member ? otherwise ?? throw Missing(name)
        : member.ValueKind is JsonValueKind.String && member.TryGetDateTimeOffset(out var point) ? point : throw Bad(name, "a point in time (RFC 3339)");

    internal static ShardCloudException Bad(string name, string wanted) => new(ErrorCodes.BadValue, $"'{name}' is not {wanted}.", "See docs/api/app-state.openapi.yaml.");

    private static ShardCloudException Missing(string name) => new(ErrorCodes.MissingValue, $"'{name}' is missing.", "See docs/api/app-state.openapi.yaml.");

    private JsonElement? Find(string name) => _body is { } body && body.TryGetProperty(name, out var member) ? member : null;
}
