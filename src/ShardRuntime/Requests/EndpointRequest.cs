using ShardCloud.ShardRuntime.Calls;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Streams;

namespace ShardCloud.ShardRuntime.Requests;

/// <summary>One request for an endpoint on its way through this member: what must stay the same over all its legs.</summary>
public sealed class EndpointRequest(EndpointId endpoint, string id, RequestBody body)
{
    /// <summary>The endpoint.</summary>
    public EndpointId Endpoint { get; } = endpoint;

    /// <summary>Request id; empty for a safe method.</summary>
    public string Id { get; } = id;

    /// <summary>True for GET, HEAD, OPTIONS and TRACE.</summary>
    public bool IsSafe => Id.Length == 0;

    /// <summary>True when its answer is recorded with its changes, so that a repeat does not run again.</summary>
    public bool IsRecorded => !IsSafe && !RequestIds.IsRepeatable(Id) && Outbox is null;

    /// <summary>The message of another endpoint's outbox that it is, or null: a receipt is recorded instead of its answer.</summary>
    internal OutboxId? Outbox { get; } = OutboxId.From(id);

    /// <summary>The body.</summary>
    public RequestBody Body { get; } = body;

    /// <summary>The right to wait.</summary>
    public ParkTicket Ticket { get; } = new(endpoint, body.Held.Length);

    /// <summary>Legs and runs so far.</summary>
    public int Tries { get; set; }

    /// <summary>Epoch of a leg that more owners than one of that epoch could take: one for a third member or a destination to pass on.</summary>
    public static readonly Epoch AnyGrant = new(long.MaxValue);

    /// <summary>The highest epoch that a lost leg of it named, here or at another member, or <see cref="AnyGrant"/>; <see cref="Epoch.None"/>: none was lost. What that leg carried may come late, after the answer that
    /// another brought. Owners under later grants refuse it; if the answer came under no later one, it is not confirmed, and its record stays until it expires. Its handler's calls are not confirmed at all.</summary>
    public Epoch LateUnder { get; private set; }

    /// <summary>Notes that a leg was lost which named an epoch.</summary>
    public void LegWasLost(Epoch epoch)
    {
        if (epoch > LateUnder) LateUnder = epoch;
    }

    /// <summary>The application beside the runtime broke off under it; nothing was changed, and it ran again.</summary>
    public bool HasBroken { get; set; }

    /// <summary>Where the client is here and may be answered with an event stream; else null.</summary>
    internal EventStreams? Streams { get; init; }

    /// <summary>The client's side of the event stream that answers it; null until an owner began one.</summary>
    internal EventStream? Events { get; private set; }

    internal EventStream BeginEvents(HttpContext context, Stream client) => Events ??= Streams!.Begin(context, client, Endpoint);
}
