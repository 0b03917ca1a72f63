using System.Net.WebSockets;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>What the owner's side of every socket needs.</summary>
internal sealed record SocketTools(
    SocketSettings Settings, OwnedLegs Legs, ConnectedEndpoints Connected, EndpointChanges Changes, ConnectionChanges ConnectionChanges, IHandoffTable Handoffs, ILeaseView Lease,
    Absences Absences, OwnedSocketMetrics Metrics, TimeProvider Time);

/// <summary>One run of the application for a leg, from its arrival until nothing of it is left.</summary>
/// <param name="context">The request.</param>
/// <param name="upgrade">The leg.</param>
/// <param name="endpoint">The endpoint; <c>default</c>: the path names none.</param>
/// <param name="owned">Its state here; null without an endpoint.</param>
/// <param name="tools">The rest.</param>
internal sealed class LegRun(HttpContext context, LegUpgrade upgrade, EndpointId endpoint, IOwnedState? owned, SocketTools tools)
{
    private PlainLeg? _plain;
    private int _hasRead;

    public LegUpgrade Upgrade => upgrade;

    public EndpointId Endpoint => endpoint;

    public IOwnedState? Owned => owned;

    public SocketTools Tools => tools;

    /// <summary>Taken off before the head of the answer leaves.</summary>
    public Action? OnAccept { get; set; }

    /// <summary>The state as it is now, to read; what is sent after it waits until it may be shown.</summary>
    /// <exception cref="ShardCloudException">SC3006: no endpoint.</exception>
    public EndpointState Read()
    {
        if (owned is null) throw SocketErrors.NoEndpoint(context.Request.Path);
        Volatile.Write(ref _hasRead, 1);
        return EndpointState.ReadOnly(endpoint, owned.Current, context.Request.Method);
    }

    /// <summary>Waits until everything that was read may be shown. False: it counts for no one.</summary>
    public async ValueTask<bool> ReleaseAsync(CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _hasRead, 0) == 0) return true;
        try
        {
            return await owned!.ReleaseAsync(tools.Lease, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            Volatile.Write(ref _hasRead, 1); // Not waited for: the next message does.
            throw;
        }
    }

    /// <summary>The application changed nothing because the endpoint is not held here any more: the dial is decided anew.</summary>
    public bool IsAgain { get; set; }

    /// <summary>Attaches the leg to plain WebSocket code.</summary>
    public async Task<WebSocket> AcceptAsync(string? subprotocol)
    {
        if (!await ReleaseAsync(context.RequestAborted))
        {
            context.Abort();
            throw new WebSocketException(WebSocketError.ConnectionClosedPrematurely);
        }
        _plain = new PlainLeg(context, await OpenAsync(subprotocol, new LegAttached(LastIn: 0, IsResumable: false)), this, subprotocol);
        await AttachAsync(_plain);
        _plain.Start();
        return _plain.Socket;
    }

    /// <summary>Answers 200.</summary>
    public Task<LegStream> OpenAsync(string? subprotocol, LegAttached attached)
    {
        OnAccept?.Invoke();
        return upgrade.OpenAsync(subprotocol, attached, tools.Settings.MessageBytesMax);
    }

    /// <summary>From here on a seal sees the leg. An earlier leg of the connection ends first.</summary>
    public async Task AttachAsync(OwnedLeg leg)
    {
        tools.Metrics.Attached(1);
        await tools.Legs.AttachAsync(leg, endpoint, owned);
    }

    /// <summary>The leg has ended.</summary>
    public void Detach(OwnedLeg leg)
    {
        tools.Metrics.Attached(-1);
        tools.Legs.Detach(leg);
        leg.Dispose();
    }

    /// <summary>The application has ended.</summary>
    public async Task FinishAsync(Exception? error)
    {
        if (_plain is null) return;
        try
        {
            await _plain.FinishAsync(error);
        }
        finally
        {
            Detach(_plain);
        }
    }
}
