using System.Buffers;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>Finds the owner of one connection and dials it, again and again: bounded by the parking time, woken by every change.</summary>
internal sealed class SocketConnector(CarrierTools tools, CarriedRequest request)
{
    /// <summary>Of an application's refusal, passed on to the client.</summary>
    private const int RefusalBytesMax = 64 * 1024;

    /// <summary>Every change ends a wait; this only bounds what a lost wake-up costs.</summary>
    private static readonly TimeSpan Slice = TimeSpan.FromSeconds(1);

    private TimeSpan? _withoutSince;
    private int _silentLegs;

    /// <summary>What the client is told when no leg could be had.</summary>
    public int CloseCode { get; private set; }

    /// <summary>A leg ended. One that led to something begins the time without an owner anew.</summary>
    public void LegEnded(LegWire leg, TimeSpan now)
    {
        if (leg.HasSpoken || now - leg.AttachedAt >= CarrierTools.SteadyAfter) (_withoutSince, _silentLegs) = (null, 0);
        else _silentLegs++;
    }

    /// <summary>Dials until a leg is attached. Null: given up; a client that waits for its upgrade was answered, for another see <see cref="CloseCode"/>.</summary>
    /// <param name="isMoved">The last leg ended with a Moved.</param>
    /// <param name="isFirst">The client waits for the answer to its upgrade.</param>
    /// <param name="nextDial">What the dial says of the connection.</param>
    /// <param name="isOver">True when the connection needs no leg any more.</param>
    /// <param name="dialled">Told of each leg before it is dialled, so that it can be given up.</param>
    public async Task<(LegWire? Leg, DialAnswer Answer)> ConnectAsync(bool isMoved, bool isFirst, Func<LegDial> nextDial, Func<bool> isOver, Action<LegWire> dialled)
    {
        var (newer, refusedTo) = (default(EntryView), default(IncarnationId));
        _withoutSince ??= tools.Now;
        if (!isFirst) tools.Metrics.Parked(1);
        try
        {
            // Legs that end without a word: not as fast as they come.
            if (_silentLegs > 1 && !await WaitAsync(tools.Roster.Change, tools.Shard.Options.Proxy.SuspectFor, isFirst)) return default;
            while (!isOver())
            {
                var change = tools.Roster.Change; // Before the decision: what changes after it ends the wait.
                var map = tools.Maps.Current;
                var entry = request.EntryOf(map);
                if (newer.Version > entry.Version) entry = newer;
                var target = request.HasEndpoint ? LegChoice.Of(entry, isMoved, refusedTo, tools.Reachability.IsReachable) : AnyShard(map);
                if (target.IsNone && isFirst && !request.HasEndpoint)
                {
                    await ProxyProblems.NoShardAsync(request.Context);
                    return default;
                }
                var wait = entry.Owner.IsNone ? Slice : tools.Shard.Options.Proxy.SuspectFor;
                if (!target.IsNone && ShardProxy.AddressOf(map, entry, target) is { } address)
                {
                    var leg = new Leg
                    {
                        Target = target,
                        Address = address,
                        RawTarget = request.RawTarget,
                        Epoch = entry.Epoch,
                        Hops = 1,
                        Token = await tools.Dialler.TokenAsync(tools.Roster.Stopping),
                    };
                    var (wire, answer) = await DialAsync(leg, entry.Version, nextDial(), isFirst, dialled);
                    switch (answer.Outcome)
                    {
                        case DialOutcome.Attached:
                            return (wire, answer);
                        case DialOutcome.Answered:
                            using (answer.Answer)
                            {
                                if (isFirst) await PassRefusalAsync(answer.Answer!);
                                if (isFirst || LegChoice.CloseCodeOf((int)answer.Answer!.StatusCode) is { } code && (CloseCode = code) > 0) return default;
                            }
                            break;
                        case DialOutcome.Refused when leg.Entry is { } told:
                            tools.Maps.Poke(told.Version);
                            if (told.Version > entry.Version && !told.Owner.IsNone && (told.Owner, told.Epoch, told.To) != (entry.Owner, entry.Epoch, entry.To))
                            {
                                newer = told;
                                continue;
                            }
                            break;
                    }
                    if (target == entry.To)
                    {
                        refusedTo = target; // The source has it still, or the next entry says who does.
                        continue;
                    }
                    if (answer.Outcome is DialOutcome.Refused && !leg.IsUnavailable) wait = TimeSpan.FromMilliseconds(50);
                }
                if (!await WaitAsync(change, wait, isFirst)) return default;
            }
            return default;
        }
        catch (OperationCanceledException) when (tools.Roster.Stopping.IsCancellationRequested)
        {
            CloseCode = CloseCodes.ServiceRestart;
            return default;
        }
        finally
        {
            if (!isFirst) tools.Metrics.Parked(-1);
        }
    }

    private async Task<(LegWire Wire, DialAnswer Answer)> DialAsync(Leg leg, MapVersion decidedAt, LegDial dial, bool isFirst, Action<LegWire> dialled)
    {
        var wire = new LegWire(leg.Target, decidedAt);
        dialled(wire);
        if (dial.Attempt > 1) tools.Metrics.Redialled();
        DialAnswer answer = default;
        try
        {
            answer = await tools.Dialler.DialAsync(request.Context, leg, dial, request.Protocols, isFirst, wire);
            return (wire, answer);
        }
        finally
        {
            if (answer.Outcome is not DialOutcome.Attached) wire.Dispose();
        }
    }

    /// <summary>Waits for a change. False: for too long now, or the client left.</summary>
    private async Task<bool> WaitAsync(Task change, TimeSpan atMost, bool isFirst)
    {
        var left = tools.Parking.TimeMax - (tools.Now - _withoutSince!.Value);
        if (left <= TimeSpan.Zero)
        {
            CloseCode = CloseCodes.TryAgainLater;
            if (isFirst) await ProxyProblems.ParkedTooLongAsync(request.Context, request.Endpoint, tools.Parking.TimeMax);
            return false;
        }
        try
        {
            await change.WaitAsync(left < atMost ? left : atMost, tools.Time, isFirst ? request.Context.RequestAborted : tools.Roster.Stopping);
        }
        catch (TimeoutException)
        {
            // The slice is over: look again.
        }
        catch (OperationCanceledException) when (isFirst)
        {
            return false;
        }
        return true;
    }

    private IncarnationId AnyShard(RoutingMap map)
    {
        if (tools.Shard.Role is MemberRole.Shard) return tools.Shard.Self; // As for requests: a shard answers these itself.
        LiveMember[] candidates = [.. map.Live.Values.Where(m => m.Ready && !m.Cordoned && tools.Reachability.IsReachable(m.Incarnation))];
        return candidates.Length == 0 ? default : candidates[Random.Shared.Next(candidates.Length)].Incarnation;
    }

    private async Task PassRefusalAsync(HttpResponseMessage answer)
    {
        var body = ArrayPool<byte>.Shared.Rent(RefusalBytesMax);
        try
        {
            var source = await answer.Content.ReadAsStreamAsync(request.Context.RequestAborted);
            var length = await source.ReadAtLeastAsync(body.AsMemory(0, RefusalBytesMax), RefusalBytesMax, throwOnEndOfStream: false, request.Context.RequestAborted);
            request.Context.Response.ContentLength = length;
            await request.Context.Response.Body.WriteAsync(body.AsMemory(0, length), request.Context.RequestAborted);
        }
        catch (Exception cause) when (cause is IOException or HttpRequestException or OperationCanceledException)
        {
            request.Context.Abort();
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(body);
        }
    }
}
