namespace ShardCloud.Cli.Packaging;

/// <summary>What can be built for Azure.</summary>
internal enum PackageKind
{
    /// <summary>The Functions app. It brings .NET along: the image of a custom handler has none.</summary>
    Orchestrator,

    /// <summary>The shard runtime as the program of a router.</summary>
    Router,

    /// <summary>A version of an application, with <c>shardcloud.json</c>.</summary>
    Application,
}

/// <summary>A package that was built.</summary>
internal sealed record BuiltPackage(string Kind, string Path, long Bytes, string Sha256, bool SelfContained, string? Version);

[System.Text.Json.Serialization.JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web, DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull)]
[System.Text.Json.Serialization.JsonSerializable(typeof(BuiltPackage))]
internal sealed partial class PackagingJson : System.Text.Json.Serialization.JsonSerializerContext;
