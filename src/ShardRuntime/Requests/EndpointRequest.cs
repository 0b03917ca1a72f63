using System.Buffers;
using System.IO.Hashing;
using System.Text;
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
    public bool IsRecorded => !IsSafe && !RequestIds.IsRepeatable(Id);

    /// <summary>The body.</summary>
    public RequestBody Body { get; } = body;

    /// <summary>The right to wait.</summary>
    public ParkTicket Ticket { get; } = new(endpoint, body.Held.Length);

    /// <summary>Legs and runs so far.</summary>
    public int Tries { get; set; }

    /// <summary>Where the client is here and may be answered with an event stream; else null.</summary>
    internal EventStreams? Streams { get; init; }

    /// <summary>The client's side of the event stream that answers it; null until an owner began one.</summary>
    internal EventStream? Events { get; private set; }

    internal EventStream BeginEvents(HttpContext context, Stream client) => Events ??= Streams!.Begin(context, client, Endpoint);

    /// <summary>Tells a repeat from another request that reuses the id: hash of method, path with query, and the held part of the body.</summary>
    public static ulong FingerprintOf(HttpContext context, RequestBody body)
    {
        var hash = new XxHash3();
        Append(hash, context.Request.Method);
        Append(hash, context.Request.Path.Value ?? "");
        Append(hash, context.Request.QueryString.Value ?? "");
        // A body too large to be held counts by its length only: reading it here would take it from the handler.
        if (body.IsWhole) hash.Append(body.Held.Span);
        else Append(hash, context.Request.ContentLength?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "");
        return hash.GetCurrentHashAsUInt64();
    }

    private static void Append(XxHash3 hash, string text)
    {
        var bytes = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length) + 1);
        var length = Encoding.UTF8.GetBytes(text, bytes);
        bytes[length] = 0; // Keeps "a" + "bc" and "ab" + "c" apart.
        hash.Append(bytes.AsSpan(0, length + 1));
        ArrayPool<byte>.Shared.Return(bytes);
    }
}
