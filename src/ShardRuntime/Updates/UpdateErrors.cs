namespace ShardCloud.ShardRuntime.Updates;

/// <summary>What the calls of an update refuse.</summary>
internal static class UpdateErrors
{
    /// <summary>Longest that one call lasts.</summary>
    public const int SecondsMax = 600;

    /// <exception cref="ShardCloudException">SC5020: not 1 to 600.</exception>
    public static TimeSpan Seconds(int seconds) => seconds is >= 1 and <= SecondsMax ? TimeSpan.FromSeconds(seconds)
        : throw BadValue($"'seconds' is {seconds}.", $"Send 1 to {SecondsMax}, and call again to go on.");

    public static ShardCloudException UnknownMember(IncarnationId member, MapVersion version) =>
        new(ErrorCodes.UnknownMember, $"Map version {version}, the newest here, lists no other live member '{member}'.", "Name a live incarnation of another shard; 'shardcloud status' lists them.");

    public static ShardCloudException BadValue(string what, string remedy) => new(ErrorCodes.BadValue, what, remedy);
}
