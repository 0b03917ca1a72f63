namespace ShardCloud;

/// <summary>An operating error: a stable code, the facts, and what to do now. Codes are listed in <c>docs/errors.md</c>; match codes, never text.</summary>
public class ShardCloudException(string code, string message, string remedy, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Stable code, e.g. <c>SC1004</c>.</summary>
    public string Code { get; } = code;

    /// <summary>What to do now, one or two sentences.</summary>
    public string Remedy { get; } = remedy;

    /// <inheritdoc/>
    public override string ToString() => $"{Code}: {Message} {Remedy}{Environment.NewLine}{StackTrace}";
}
