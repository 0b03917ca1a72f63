using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.State;
using ShardCloud.ShardRuntime.Streams;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Requests;

/// <summary>What a reader's answer rests on, and, of an event stream, the moment from which it is no longer this member's to say.</summary>
/// <remarks>
/// An ordinary answer, however long, shows the document of its beginning and may be sent to its end while the endpoint moves. An event stream claims to show what is so
/// now: from the seal on no more events leave, and a handler that has not ended a moment later (one that follows the endpoint ends by itself) is cut off.
/// </remarks>
internal sealed class Reading(HttpContext context, EndpointRequest request, IOwnedState owned, ILeaseView lease, OwnerTraffic traffic, long began) : IAsyncDisposable
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    private CancellationTokenSource? _ended; // Of an event stream.
    private Task _watch = Task.CompletedTask;
    private volatile bool _isMoved;

    /// <summary>An event stream whose endpoint is sealed or served elsewhere.</summary>
    public bool IsMoved => _ended is not null && (_isMoved || owned.NextChange() is { IsCompleted: true, Result: false }); // The handler may hear of it before we do.

    /// <summary>What was refused here goes on elsewhere without the client's doing: the connection is not to be closed.</summary>
    public bool GoesOn => request.Events is not null;

    /// <summary>Waits until everything seen so far may be shown; false: it may not.</summary>
    public ValueTask<bool> ReleaseAsync() => _isMoved ? new(false) : owned.ReleaseAsync(lease, context.RequestAborted);

    /// <summary>The answer's first byte is about to leave. Of an event stream: the client's side of it where the client is here, null at another member.</summary>
    /// <param name="client">The connection's body.</param>
    public EventStream? Begin(Stream client)
    {
        traffic.Answered(began, context.Response.StatusCode); // The rest of it takes as long as the client does, or as the handler has something to say.
        if (!HttpMethods.IsGet(context.Request.Method) || !EventStream.Is(context.Response.ContentType, context.Response.Headers.ContentEncoding)) return null;
        _ended = new CancellationTokenSource();
        _watch = CutWhenMovedAsync(_ended.Token);
        if (request.Streams is not null)
        {
            var events = request.BeginEvents(context, client);
            events.Begin(owned.Epoch, leg: null);
            return events;
        }
        context.Response.Headers[ShardHeaders.Epoch] = owned.Epoch.Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return null;
    }

    /// <summary>Tells the member that asked that the stream ends here, but not for the client.</summary>
    public void SayMoved()
    {
        if (context.Response.SupportsTrailers()) context.Response.AppendTrailer(ShardHeaders.Moved, "1");
    }

    public async ValueTask DisposeAsync()
    {
        if (_ended is null) return;
        await _ended.CancelAsync();
        await _watch; // Nobody aborts this request after it has ended: its connection is another's by then.
        _ended.Dispose();
    }

    private async Task CutWhenMovedAsync(CancellationToken ended)
    {
        try
        {
            while (await owned.NextChange().WaitAsync(ended)) { }
            _isMoved = true;
            await Task.Delay(Grace, ended);
            context.Abort();
        }
        catch (OperationCanceledException)
        {
            // The handler has ended.
        }
    }
}
