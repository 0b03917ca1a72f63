using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Protocol;

namespace ShardCloud.ShardRuntime.Sockets.Hubs;

/// <summary>A hub protocol as one connection uses it: it tells <see cref="HubProgress"/> what begins and what is answered, and keeps the end of a leg from the client.</summary>
/// <remarks>An invocation that wants no answer is given an id here, and its answer goes nowhere: so its end is seen too.</remarks>
internal sealed class TrackedProtocol(IHubProtocol inner, HubRun run) : IHubProtocol
{
    /// <summary>Begins with what no client's own ids do: theirs are numbers.</summary>
    private const string OwnIds = "~shard-";

    private long _lastOwnId;

    public string Name => inner.Name;

    public int Version => inner.Version;

    public TransferFormat TransferFormat => inner.TransferFormat;

    public bool IsVersionSupported(int version) => inner.IsVersionSupported(version);

    public ReadOnlyMemory<byte> GetMessageBytes(HubMessage message) => inner.GetMessageBytes(message);

    public bool TryParseMessage(ref ReadOnlySequence<byte> input, IInvocationBinder binder, [NotNullWhen(true)] out HubMessage? message)
    {
        if (!inner.TryParseMessage(ref input, binder, out message)) return false;
        if (message is StreamInvocationMessage or InvocationMessage { StreamIds.Length: > 0 })
        {
            if (((HubInvocationMessage)message).InvocationId is { } stream) run.StreamBegan(stream);
            return true;
        }
        if (message is not InvocationMessage invocation) return true;
        if (invocation.InvocationId is null)
        {
            message = invocation = new InvocationMessage(string.Create(CultureInfo.InvariantCulture, $"{OwnIds}{Interlocked.Increment(ref _lastOwnId)}"),
                invocation.Target, invocation.Arguments, invocation.StreamIds)
            { Headers = invocation.Headers };
        }
        run.Progress.Invoked(invocation.InvocationId!);
        return true;
    }

    public void WriteMessage(HubMessage message, IBufferWriter<byte> output)
    {
        switch (message)
        {
            case CloseMessage when run.IsMoving:
                return; // The connection lives on.
            case CompletionMessage { InvocationId: { } id }:
                if (!id.StartsWith(OwnIds, StringComparison.Ordinal)) inner.WriteMessage(message, output);
                run.Answered(id);
                return;
            default:
                inner.WriteMessage(message, output);
                return;
        }
    }
}

/// <summary>Finds the protocol a client asks for; on a leg, with its progress tracked.</summary>
internal sealed class TrackedProtocols(IEnumerable<IHubProtocol> protocols) : IHubProtocolResolver
{
    private readonly Dictionary<string, IHubProtocol> _protocols = protocols.GroupBy(p => p.Name, StringComparer.OrdinalIgnoreCase).ToDictionary(p => p.Key, p => p.Last(), StringComparer.OrdinalIgnoreCase);

    public IReadOnlyList<IHubProtocol> AllProtocols => [.. _protocols.Values];

    public IHubProtocol? GetProtocol(string protocolName, IReadOnlyList<string>? supportedProtocols)
    {
        if (!_protocols.TryGetValue(protocolName, out var protocol) || supportedProtocols?.Contains(protocolName, StringComparer.OrdinalIgnoreCase) is false) return null;
        return HubRun.Current is { } run ? run.Protocol = new TrackedProtocol(protocol, run) : protocol;
    }
}
