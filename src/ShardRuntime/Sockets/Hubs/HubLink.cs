using System.IO.Pipelines;
using System.Security.Claims;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace ShardCloud.ShardRuntime.Sockets.Hubs;

/// <summary>A leg as a SignalR hub knows it: a connection with two pipes.</summary>
/// <remarks>Both pipes hold one message: a write ends when the other side has taken it, so the hub is slowed down by its client, and no message is cut or glued.</remarks>
internal sealed class HubLink : ConnectionContext, IConnectionUserFeature, IConnectionHeartbeatFeature, ITransferFormatFeature, IHttpContextFeature
{
    private static readonly PipeOptions OneMessage = new(pauseWriterThreshold: 1, resumeWriterThreshold: 1, useSynchronizationContext: false);

    private readonly Pipe _in = new(OneMessage), _out = new(OneMessage);
    private readonly CancellationTokenSource _closed = new();
    private readonly Lock _gate = new();
    private readonly List<(Action<object> Action, object State)> _heartbeats = [];

    public HubLink(string id, HttpContext context)
    {
        (ConnectionId, HttpContext, User) = (id, context, context.User);
        Transport = new Sides(_in.Reader, _out.Writer);
        ConnectionClosed = _closed.Token;
        Features.Set<IConnectionUserFeature>(this);
        Features.Set<IConnectionHeartbeatFeature>(this);
        Features.Set<ITransferFormatFeature>(this);
        Features.Set<IHttpContextFeature>(this);
    }

    public override string ConnectionId { get; set; }

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new ConnectionItems();

    public override IDuplexPipe Transport { get; set; }

    public override CancellationToken ConnectionClosed { get; set; }

    public ClaimsPrincipal? User { get; set; }

    public TransferFormat SupportedFormats => TransferFormat.Binary | TransferFormat.Text;

    /// <summary>Set by the handshake: messages of the client are text or binary frames.</summary>
    public TransferFormat ActiveFormat { get; set; } = TransferFormat.Text;

    public HttpContext? HttpContext { get; set; }

    /// <summary>What the client says goes in here.</summary>
    public PipeWriter In => _in.Writer;

    /// <summary>What the hub says comes out here.</summary>
    public PipeReader Out => _out.Reader;

    public void OnHeartbeat(Action<object> action, object state)
    {
        lock (_gate) _heartbeats.Add((action, state));
    }

    /// <summary>Once a second: the hub's pings and time-outs.</summary>
    public void Beat()
    {
        (Action<object> Action, object State)[] all;
        lock (_gate) all = [.. _heartbeats];
        foreach (var (action, state) in all) action(state);
    }

    public override void Abort(ConnectionAbortedException abortReason) => _closed.Cancel();

    public override async ValueTask DisposeAsync()
    {
        await _in.Writer.CompleteAsync();
        await _in.Reader.CompleteAsync();
        await _out.Writer.CompleteAsync();
        await _out.Reader.CompleteAsync();
        _closed.Dispose();
        await base.DisposeAsync();
    }

    private sealed record Sides(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
