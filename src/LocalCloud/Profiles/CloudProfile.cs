using System.Text.Json;
using System.Text.Json.Serialization;

namespace ShardCloud.LocalCloud.Profiles;

/// <summary>How slow and how busy the stand-ins are to be. Applied by gates in front of them and by the stand-ins themselves, so that no product code knows.</summary>
/// <remarks>Its members can be set, not only initialised: generated JSON code gives an init-only member that a file does not name no default.</remarks>
public sealed record CloudProfile
{
    /// <summary>Event Hubs: from a request to its answer.</summary>
    public Latency Log { get; set; } = new(15, 150);

    /// <summary>Azure Tables: a call.</summary>
    public Latency Tables { get; set; } = new(10, 60);

    /// <summary>Azure Blobs: a call.</summary>
    public Latency Blobs { get; set; } = new(10, 60);

    /// <summary>Of so many calls to Tables or Blobs one is refused with 503 (server busy); 0: none. Default 500.</summary>
    public int ThrottledOneIn { get; set; } = 500;

    /// <summary>Of so many calls to Tables or Blobs one, and of so many 100 ms of a log connection one, stalls for <see cref="StallMs"/>; 0: none. Default 5,000.</summary>
    public int StalledOneIn { get; set; } = 5_000;

    /// <summary>Length of a stall, milliseconds; up to 60,000. Default 2,000.</summary>
    public int StallMs { get; set; } = 2_000;

    /// <summary>Throughput units of the Event Hubs namespace, 1 to 40; 0: no limit. Default 4: Standard tier, 4 MB or 4,000 events a second in.</summary>
    public int ThroughputUnits { get; set; } = 4;

    /// <summary>App Service: from the request for a shard to the start of its process, milliseconds; up to 300,000. Default 60,000. Several are created at once.</summary>
    public int ShardCreationMs { get; set; } = 60_000;

    /// <summary>Durable Functions: from the start of an orchestration to its first turn, milliseconds; up to 60,000. Default 1,000.</summary>
    public int OrchestrationStartMs { get; set; } = 1_000;

    /// <summary>Seed of everything random in it; the order of calls still varies from run to run.</summary>
    public int Seed { get; set; } = 1;

    /// <summary>Lease of the members beside such stores: the product's default, since they answer as Azure's do.</summary>
    [JsonIgnore]
    public static TimeSpan LeaseLength => TimeSpan.FromSeconds(15);

    /// <summary>Reads a profile from JSON; members that are missing keep their defaults.</summary>
    /// <exception cref="ShardCloudException">SC7013: not such a file.</exception>
    public static CloudProfile Read(string file)
    {
        try
        {
            var profile = JsonSerializer.Deserialize(File.ReadAllBytes(file), ProfileJson.Default.CloudProfile);
            if (profile?.WhatIsWrong is { } wrong) throw Bad(file, wrong, null);
            return profile ?? throw Bad(file, "it is null", null);
        }
        catch (Exception error) when (error is JsonException or IOException or UnauthorizedAccessException)
        {
            throw Bad(file, error.Message, error);
        }
    }

    private string? WhatIsWrong => (Log, Tables, Blobs) is not ({ IsInRange: true }, { IsInRange: true }, { IsInRange: true })
        ? $"latencies are 0 to {Latency.MaxMs} ms, p99Ms not below p50Ms"
        : ThrottledOneIn < 0 || StalledOneIn < 0 ? "throttledOneIn and stalledOneIn are 0 or more"
        : StallMs is < 0 or > 60_000 ? "stallMs is 0 to 60000"
        : ThroughputUnits is < 0 or > 40 ? "throughputUnits is 0 to 40"
        : ShardCreationMs is < 0 or > 300_000 ? "shardCreationMs is 0 to 300000"
        : OrchestrationStartMs is < 0 or > 60_000 ? "orchestrationStartMs is 0 to 60000" : null;

    private static ShardCloudException Bad(string file, string why, Exception? inner) => new(
        ErrorCodes.BadProfile, $"'{file}' is not a profile: {why}.", "See docs/local-cloud/profiles.md for its members.", inner);
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(CloudProfile))]
internal sealed partial class ProfileJson : JsonSerializerContext;
