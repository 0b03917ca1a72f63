using System.Reflection;

namespace ShardCloud;

/// <summary>A release of ShardCloud itself, as a member or the Orchestrator says it runs it; not the version of the application.</summary>
/// <param name="Version">Three numbers, e.g. <c>0.1.0</c>; for people.</param>
/// <param name="Level">Protocol level: what it can read, and write once the cloud is at that level. 1 or more; it grows by one with a release that writes something new (docs/upgrading.md).</param>
/// <param name="LowestLevel">The lowest level of others that it works beside.</param>
public sealed record CloudRelease(string Version, int Level, int LowestLevel)
{
    /// <summary>What stands where a record names none: it was written before records named any.</summary>
    public static readonly CloudRelease First = new("0.1.0", 1, 1);

    /// <summary>What this process runs.</summary>
    public static readonly CloudRelease Own = new(VersionOf(typeof(CloudRelease).Assembly), CloudLevel.Own, CloudLevel.LowestOf(CloudLevel.Own));

    /// <summary>True when the two may be in one cloud: neither is further from the other than one level.</summary>
    public bool WorksWith(CloudRelease other) => Level >= other.LowestLevel && other.Level >= LowestLevel;

    /// <inheritdoc/>
    public override string ToString() => $"ShardCloud {Version} (level {Level})";

    // Of a build from a repository it ends in "+" and the commit.
    private static string VersionOf(Assembly assembly) =>
        assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? First.Version;
}
