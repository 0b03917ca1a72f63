using System.Diagnostics;
using System.Text;
using Confluent.Kafka;

namespace ShardCloud.Replication;

/// <summary>Spans of the log's path: source <c>ShardCloud.Replication</c>. docs/metrics.md tells what they are.</summary>
/// <remarks>
/// Only for requests whose trace is recorded. A record carries many requests' deltas: its append is a span in the trace of the first of them, linked to the others, and its
/// <c>traceparent</c> travels as a header of the record (W3C Trace Context), so that what replicas do with it is a part of that trace.
/// </remarks>
public static class LogTraces
{
    /// <summary>Name of the source.</summary>
    public const string SourceName = "ShardCloud.Replication";

    private const string HeaderName = "traceparent";
    private static readonly ActivitySource Source = new(SourceName);

    /// <summary>The trace of the request that runs now, if it is recorded.</summary>
    internal static ActivityContext? Current => Source.HasListeners() && Activity.Current is { Recorded: true } current ? current.Context : null;

    /// <summary>Begins the append of a record; ended by its report.</summary>
    internal static Activity? Append(IReadOnlyList<ActivityContext> requests, int partition)
    {
        var current = Activity.Current;
        var append = Source.StartActivity("log append", ActivityKind.Producer, requests[0], links: requests.Skip(1).Select(request => new ActivityLink(request)));
        Activity.Current = current; // It outlives the caller, who is a request of its own.
        return append?.SetTag("shardcloud.log.partition", partition);
    }

    /// <summary>What goes with the record.</summary>
    internal static Headers? HeadersOf(Activity? append) => append?.Id is { } id ? new Headers { { HeaderName, Encoding.ASCII.GetBytes(id) } } : null;

    /// <summary>The log answered.</summary>
    internal static void Appended(Activity append, Error error)
    {
        var current = Activity.Current;
        if (error.IsError) append.SetStatus(ActivityStatusCode.Error, error.Reason);
        append.Stop();
        Activity.Current = current; // The end would leave the request's span on the client's thread.
    }

    /// <summary>Begins the joining of a record that a replica read; null for one without a recorded trace.</summary>
    internal static Activity? Apply(Headers? headers, int partition)
    {
        if (headers is null || headers.Count == 0 || !Source.HasListeners() || !headers.TryGetLastBytes(HeaderName, out var id)) return null;
        if (!ActivityContext.TryParse(Encoding.ASCII.GetString(id), null, isRemote: true, out var append)) return null;
        return Source.StartActivity("log apply", ActivityKind.Consumer, append)?.SetTag("shardcloud.log.partition", partition);
    }
}

/// <summary>Whose traces the next records of one Event Hub partition belong to. Guarded by the partition's lock; at most <see cref="TracesMax"/>, more are not traced.</summary>
internal sealed class TracedDeltas
{
    public const int TracesMax = 128;

    private readonly List<(OwnedState State, long Last, ActivityContext Trace)> _waiting = [];

    public void Add(OwnedState state, long last, ActivityContext trace)
    {
        _waiting.RemoveAll(traced => traced.State.IsEnded);
        if (_waiting.Count < TracesMax) _waiting.Add((state, last, trace));
    }

    /// <summary>Of the requests whose deltas a record carries.</summary>
    public IReadOnlyList<ActivityContext> Of(OutRecord record)
    {
        if (_waiting.Count == 0 || record.DeltaCount == 0) return [];
        var traces = new List<ActivityContext>();
        foreach (var (state, last) in record.Items)
        {
            traces.AddRange(_waiting.Where(traced => traced.State == state && traced.Last <= last).Select(traced => traced.Trace));
            _waiting.RemoveAll(traced => traced.State == state && traced.Last <= last);
        }
        return traces;
    }
}
