namespace ShardCloud.Model.Tests;

/// <summary>A property does not hold.</summary>
internal sealed class BrokenException(string what) : Exception(what);
