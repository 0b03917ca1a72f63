namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>One request's right to wait: which endpoint, how many body bytes it holds, when it arrived at the lot first, for which handoff it waits now.</summary>
public sealed class ParkTicket(EndpointId endpoint, long bodyBytes)
{
    /// <summary>What is waited for.</summary>
    public EndpointId Endpoint { get; } = endpoint;

    /// <summary>Bytes of the held body.</summary>
    public long BodyBytes { get; } = bodyBytes;

    /// <summary>The handoff that is the reason, or <see cref="HandoffId.None"/>; its meter counts the stay.</summary>
    public HandoffId Handoff { get; set; }

    /// <summary>Map version on which the request decided to wait. If a newer one has been announced since, the stay ends at once.</summary>
    public long Seen { get; set; }

    /// <summary>Time of the first stay; null before it.</summary>
    internal long? FirstParked { get; set; }
}
