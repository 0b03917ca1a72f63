namespace ShardCloud.DurableTask;

/// <summary>Order of the versions that instances are started under. It is the host's, which compares them too (<c>versionMatchStrategy</c> of host.json).</summary>
public static class OrchestrationVersion
{
    /// <summary>Below zero when the left one is older. None, or an empty one, is older than every other; numbers with dots compare by number, anything else as text.</summary>
    public static int Compare(string? left, string? right)
    {
        if (string.IsNullOrEmpty(left) || string.IsNullOrEmpty(right)) return (left?.Length ?? 0).CompareTo(right?.Length ?? 0);
        return Version.TryParse(left, out var one) && Version.TryParse(right, out var other) ? one.CompareTo(other) : string.Compare(left, right, StringComparison.OrdinalIgnoreCase);
    }
}
