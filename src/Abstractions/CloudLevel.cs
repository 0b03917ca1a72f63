namespace ShardCloud;

/// <summary>The one place that decides which releases of ShardCloud may be in one cloud, and what may be written there (docs/upgrading.md).</summary>
/// <remarks>
/// A member has a level: the newest form that it reads. A cloud has one too, in its routing map: the newest form that may be written in it, whoever reads it later. A new
/// release comes in member by member while the cloud stays at the old level, so that the old release reads all there is and every step can be gone back. Once every member
/// has the new level the cloud is raised to it, by hand, and members below it are refused from then on.
/// </remarks>
public static class CloudLevel
{
    /// <summary>Level of this build.</summary>
    public const int Own = 2;

    /// <summary>Level N works beside N-1 (and so beside N+1, which says the same of N), and nothing further apart.</summary>
    public static int LowestOf(int level) => Math.Max(1, level - 1);

    /// <summary>True when what only readers of this level understand may be written in a cloud. Asked before it is, for every log record by its <c>MinReader</c>.</summary>
    public static bool MayWrite(int level, int cloud) => level <= cloud;

    /// <summary>Why a member must not join; null when it may.</summary>
    /// <param name="who">The newcomer.</param>
    /// <param name="release">What it runs.</param>
    /// <param name="cloud">The cloud's level.</param>
    /// <param name="others">Members in office.</param>
    public static ShardCloudException? Refusal(string who, CloudRelease release, int cloud, IEnumerable<(string Who, CloudRelease Release)> others)
    {
        if (release.Level < cloud)
            return TooFar($"{who} runs {release} and the cloud is at level {cloud}: there may be records that it cannot read.", $"Start it with a release of level {cloud} or {cloud + 1}.");
        if (release.LowestLevel > cloud)
            return TooFar($"{who} runs {release}, which works from level {release.LowestLevel} on, and the cloud is at level {cloud}.", $"Bring all members to level {cloud + 1} first and raise the cloud to it, then start this release.");
        foreach (var (other, theirs) in others)
            if (!release.WorksWith(theirs))
                return TooFar($"{who} runs {release} and {other} runs {theirs}: they are more than one level apart.", "Bring the older one to the level between first (docs/upgrading.md).");
        return null;
    }

    /// <summary>Why a cloud must not be raised to a level; null when it may.</summary>
    public static ShardCloudException? WhyNotRaised(int level, int cloud, IEnumerable<(string Who, CloudRelease Release)> members)
    {
        if (level != cloud + 1) return TooFar($"The cloud is at level {cloud}; it can be raised to {cloud + 1}, not to {level}.", "Raise it by one level at a time.");
        foreach (var (who, release) in members)
            if (release.Level < level)
                return TooFar($"{who} runs {release}: it could not read what is written at level {level}.", "Update it first (docs/upgrading.md); 'shardcloud status' shows who runs what.");
        return null;
    }

    private static ShardCloudException TooFar(string facts, string remedy) => new(ErrorCodes.LevelTooFar, facts, remedy);
}
