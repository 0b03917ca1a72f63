namespace ShardCloud.Routing;

/// <summary>What a template's endpoints may do during a network split.</summary>
public enum Mode : byte
{
    /// <summary>At most one incarnation serves an endpoint; linearizable; waits for the fence at failover.</summary>
    Exclusive = 0,

    /// <summary>Both sides of a network split may serve; the join reconciles.</summary>
    Convergent = 1,
}

/// <summary>Names the endpoints of an application: a path prefix of literal and <c>{named}</c> segments, e.g. <c>/rooms/{room}</c>.</summary>
/// <param name="Pattern">1 to <see cref="TemplateTable.SegmentsMax"/> segments; every endpoint key is the matching path prefix without its leading slash.</param>
/// <param name="Mode">Consistency of the endpoints.</param>
public sealed record TemplateSpec(string Pattern, Mode Mode = Mode.Exclusive);

/// <summary>What a path is to the templates.</summary>
public enum MatchResult
{
    /// <summary>No template: any shard may serve it.</summary>
    NoTemplate,

    /// <summary>The path belongs to an endpoint; its key was written.</summary>
    Match,

    /// <summary>The path has no one spelling (dot or empty segment, bad escape, encoded slash, too long): answer 400.</summary>
    Malformed,
}
