namespace ShardCloud.Placement.Partitioning;

internal static class Refused
{
    public static ShardCloudException BadGraph(string what) => new(
        ErrorCodes.BadGraph, $"This is not a graph that can be partitioned: {what}.", "Number the vertices from 0, give weights that are not negative, and scale them down until they add up to less than 2,147,483,648.");

    public static ShardCloudException BadPartition(string what) => new(
        ErrorCodes.BadPartition, $"There is no such partition: {what}.", "Name at least one part, an imbalance of 0 to 10, and for each vertex a part that there is.");
}
