using System.Globalization;
using System.Text.Json.Nodes;
using ShardCloud.Contracts;

namespace ShardCloud.Orchestrator.Shards.AppService;

/// <summary>Whose a site is and what for, kept in its tags.</summary>
/// <param name="Name">Name of the site: the handle.</param>
/// <param name="Application">Whose.</param>
/// <param name="Operation">Who asked for it.</param>
/// <param name="Shard">Which shard.</param>
/// <param name="Version">Which version of the application.</param>
/// <param name="Created">When it was asked for, by the Orchestrator's clock.</param>
internal sealed record SiteTags(string Name, string Application, string Operation, string Shard, string Version, DateTimeOffset Created)
{
    private const string ApplicationTag = "shardcloud-application", OperationTag = "shardcloud-operation", ShardTag = "shardcloud-shard", VersionTag = "shardcloud-version", CreatedTag = "shardcloud-created";

    public JsonObject ToJson() => new()
    {
        [ApplicationTag] = Application,
        [OperationTag] = Operation,
        [ShardTag] = Shard,
        [VersionTag] = Version,
        [CreatedTag] = Created.UtcDateTime.ToString("O", CultureInfo.InvariantCulture),
    };

    /// <summary>Of a site as Azure describes it; null where the tags are not ours.</summary>
    public static SiteTags? Of(JsonObject site) =>
        site["name"]?.GetValue<string>() is { } name && Tag(site, ApplicationTag) is { } application && Tag(site, OperationTag) is { } operation && Tag(site, ShardTag) is { } shard
            && Tag(site, VersionTag) is { } version && DateTimeOffset.TryParse(Tag(site, CreatedTag), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var created)
            ? new SiteTags(name, application, operation, shard, version, created) : null;

    /// <summary>The instance. A site that is stopped has ended, but nobody has seen its process end.</summary>
    public ShardInstance ToInstance(JsonObject site) =>
        new(Name, Operation, Shard, Version, IsStopped(site) ? InstanceState.Exited : InstanceState.Running, Pid: null, ExitCode: null, ConfirmedEnded: false, Created);

    /// <summary>Azure says that the site is stopped.</summary>
    public static bool IsStopped(JsonObject site) => string.Equals(site["properties"]?["state"]?.GetValue<string>(), "Stopped", StringComparison.OrdinalIgnoreCase);

    private static string? Tag(JsonObject site, string name) => site["tags"]?[name]?.GetValue<string>();
}
