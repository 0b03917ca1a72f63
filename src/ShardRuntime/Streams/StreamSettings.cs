using System.ComponentModel.DataAnnotations;

namespace ShardCloud.ShardRuntime;

/// <summary>Event streams (<c>text/event-stream</c>) that pass through this member: docs/streams.md.</summary>
public sealed class StreamSettings
{
    /// <summary>A stream that was silent for this long gets a comment line, so that nothing in front of it takes it for idle (Azure's front ends: 230 s). Default 20 s; zero: none.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:03:00")]
    public TimeSpan Heartbeat { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>
    /// Bytes of one event that are held until its end has come, so that a cut leaves nothing half at the client. A longer event is passed on as it comes; broken off in
    /// it, the stream ends at the client too. Default 64 KiB.
    /// </summary>
    [Range(0, 16 * 1024 * 1024)]
    public int EventBytesMax { get; set; } = 64 * 1024;
}
