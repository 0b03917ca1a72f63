using System.ComponentModel.DataAnnotations;
using ShardCloud.Identity;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Orchestrator.Shards.AppService;

namespace ShardCloud.Orchestrator;

/// <summary>Settings of the Orchestrator, section <c>ShardCloud</c>; the same keys as those of the members.</summary>
public sealed class OrchestratorSettings
{
    /// <summary>Section of the configuration (environment: <c>ShardCloud__Application</c> and so on).</summary>
    public const string SectionName = "ShardCloud";

    /// <summary>Name of the application: a-z, 0-9 and '-'. Partition key of its map. Default <c>rooms</c>.</summary>
    [Required, RegularExpression("^[a-z0-9-]{1,40}$")]
    public string Application { get; set; } = "rooms";

    /// <summary>The log, as far as the map has to know it.</summary>
    public LogSettings Log { get; set; } = new();

    /// <summary>How callers and members are recognised.</summary>
    public AuthOptions Auth { get; set; } = new();

    /// <summary>Who makes instances.</summary>
    public ShardHostSettings ShardHost { get; set; } = new();

    /// <summary>Shards as sites of App Service, instead of <see cref="ShardHost"/>.</summary>
    public AppServiceSettings AppService { get; set; } = new();

    /// <summary>Where shards run, as .NET names platforms: what a package's program must be made for. Default: where the Orchestrator runs.</summary>
    [RegularExpression("^(linux|win|osx)-(x64|arm64)$")]
    public string? ShardPlatform { get; set; }

    /// <summary>What happens to a shard that is slow.</summary>
    public SlowShardSettings SlowShards { get; set; } = new();

    /// <summary>What a map is bound to for life.</summary>
    public sealed class LogSettings
    {
        /// <summary>Partitions of the Event Hub of deltas, 1 to 1,024. Default 16. Read only when the map is made.</summary>
        [Range(1, 1_024)]
        public int Partitions { get; set; } = 16;

        /// <summary>What tells this log from a re-created one of the same name. Default <c>deltas</c>. Read only when the map is made.</summary>
        [Required]
        public string Identity { get; set; } = "deltas";
    }

    /// <summary>The shard host.</summary>
    public sealed class ShardHostSettings
    {
        /// <summary>Base address of the local shard host; null with <see cref="AppService"/>.</summary>
        public Uri? Url { get; set; }
    }
}
