using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Affinity;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.Security;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.State;
using ShardCloud.ShardRuntime.Streams;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>The data path of every router and shard: decide, then serve, forward, park or refuse, until the request has its one answer.</summary>
/// <remarks>
/// The steps are in docs/protocol/proxy.md and <see cref="ProxyDecision.Decide"/>; this class does what it says and tells it what happened.
/// Each round looks at one fresh map snapshot. Rounds are bounded by hops (between members) and by parking time (here). What a member behind
/// us refused was not run; a leg that was lost may have run, and is repeated under the same request id, which the owner knows.
/// </remarks>
internal sealed class ShardProxy(
    ShardContext shard, IMapView maps, ILeaseView lease, IEndpointStates states, IHandoffTable handoffs, EndpointExecutor executor, MemberLegs legs,
    LegRunner sockets, Reachability reachability, Parking parking, HandoffMeters meters, RequestIds ids, Confirmations confirmations, CompletionRecords records, ShardMetrics metrics,
    EventStreams streams, ScratchRuns scratches, EndpointUses uses, AffinityObserver affinity, ILogger<ShardProxy> log)
{
    private static readonly TimeSpan RunAgainAfter = TimeSpan.FromMilliseconds(20);

    private readonly ProxySettings _settings = shard.Options.Proxy;
    private int _nextShard;

    public Task InvokeAsync(HttpContext context, RequestDelegate application)
    {
        var arrival = new Arrival(context);
        if (arrival.IsFromMember)
        {
            // Control calls are no legs; a client's request in one would be run with this cluster's own token, however its path was spelled.
            if (context.Request.Path.StartsWithSegments(ListenerGate.InternalPath)) return arrival.IsLeg ? ListenerGate.HideAsync(context).AsTask() : application(context);
            if (!arrival.IsLeg && context.Request.Headers.ContainsKey(ScratchRuns.Header)) return scratches.InvokeAsync(context, arrival.RawTarget, application);
            Arrival.Hide(context);
            ForwardedIdentity.Apply(context);
        }

        // (1) Endpoint.
        Span<char> key = stackalloc char[EndpointId.BytesMax];
        switch (maps.Current.Templates.Match(arrival.RawTarget, key, out var length, out _))
        {
            case MatchResult.Malformed:
                return ProxyProblems.BadPathAsync(context);
            case MatchResult.Match:
                metrics.Request();
                var endpoint = new EndpointId(new string(key[..length]));
                if (!arrival.IsFromMember && BuiltInEndpoints.Has(endpoint)) return ListenerGate.HideAsync(context).AsTask(); // No client names one, however spelled.
                if (!arrival.IsFromMember) affinity.Arrived(context, endpoint);
                if (context.Features.Get<LegUpgrade>() is { } upgrade) return AttachAsync(context, application, arrival, endpoint, upgrade);
                return RouteAsync(context, BuiltInEndpoints.Has(endpoint) ? BuiltInEndpoints.InvokeAsync : application, arrival, endpoint);
            default:
                if (context.Features.Get<LegUpgrade>() is { } any) return sockets.RunAsync(context, any, default, null, application);
                if (shard.Role is MemberRole.Router) return AnyShardAsync(context, application, arrival);
                context.Response.OnStarting(DropOurs, context.Response);
                return application(context);
        }
    }

    /// <summary>What this proxy would do now with a client's request for the endpoint: the probe of a handoff's step 4.</summary>
    public (ProxyDecision Decision, EntryView Entry) Probe(EndpointId endpoint)
    {
        var entry = EntryView.Of(maps.Current, endpoint.KeyHash);
        return (ProxyDecision.Decide(FactsOf(default, endpoint, entry, maps.Current.Version, isToRefused: false, isRelayTried: false, out _)), entry);
    }

    /// <summary>A call of this member's own: <see cref="OwnCalls"/>.</summary>
    public Task CallAsync(HttpContext context, OwnCall call) => RouteAsync(context, BuiltInEndpoints.Has(call.Endpoint) ? BuiltInEndpoints.InvokeAsync : null, new Arrival(context), call.Endpoint, call);

    /// <summary>A socket's leg: served here or refused with the entry, never passed on. It waits as a request does.</summary>
    private async Task AttachAsync(HttpContext context, RequestDelegate application, Arrival arrival, EndpointId endpoint, LegUpgrade upgrade)
    {
        var request = new EndpointRequest(endpoint, "", RequestBody.None);
        try
        {
            while (true)
            {
                request.Ticket.Seen = parking.Round;
                var map = maps.Current;
                var entry = EntryView.Of(map, endpoint.KeyHash);
                var decision = ProxyDecision.Decide(FactsOf(arrival, endpoint, entry, map.Version, isToRefused: false, isRelayTried: true, out var owned));
                if (sockets.IsClosing) decision = new ProxyDecision(ProxyAction.Unavailable, ProxyReason.Stopping);
                switch (decision.Action)
                {
                    case ProxyAction.Serve:
                        var open = uses.Begin(endpoint);
                        try
                        {
                            if (await sockets.RunAsync(context, upgrade, endpoint, owned!, application) is RunOutcome.Answered) return;
                        }
                        finally
                        {
                            uses.End(open);
                        }
                        break;
                    case ProxyAction.Park:
                        if (decision.Reason is ProxyReason.MapBehind) maps.Poke(arrival.NamedEpoch.GrantedAt);
                        break;
                    default:
                        await ProxyProblems.NotHereAsync(context, endpoint, decision, entry);
                        return;
                }
                if (!await ParkAsync(context, request, entry.Handoff, decision.Action is ProxyAction.Serve ? RunAgainAfter : SliceOf(decision.Reason))) return;
            }
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The carrier has given this dial up.
        }
        catch (ShardCloudException error) when (!context.Response.HasStarted)
        {
            ProxyLog.RequestFailed(log, endpoint.Value, error.Code, error.Message);
            await ProxyProblems.FailedAsync(context, error);
        }
    }

    // One method, so that a forwarded request needs one state machine here and one in MemberLegs.
    private async Task RouteAsync(HttpContext context, RequestDelegate? application, Arrival arrival, EndpointId endpoint, OwnCall? own = null)
    {
        EndpointRequest? request = null;
        try
        {
            if (context.Request.ContentLength > _settings.BodyBytesMax)
            {
                await ProxyProblems.TooLargeAsync(context, _settings.BodyBytesMax);
                return;
            }
            var id = own is null ? ids.Of(context, arrival.RequestId) : own.Id;
            if (arrival.Confirmed.Length > 0) records.Confirm(endpoint, arrival.Confirmed);
            request = new EndpointRequest(endpoint, id, own is not null ? RequestBody.Of(own.Body) : await RequestBody.ReadAsync(context, BuiltInEndpoints.Has(endpoint) ? BuiltInEndpoints.BodyBytesMax : _settings.RepeatableBodyBytesMax))
            {
                Streams = !arrival.IsFromMember && own is null && HttpMethods.IsGet(context.Request.Method) ? streams : null,
            };
            request.LegWasLost(arrival.LateUnder);
            EntryView newer = default;
            IncarnationId refusedTo = default;
            var isRelayTried = false;

            while (true)
            {
                // (2) Owner. The parking round is read before the decision: a wake-up between decision and stay ends the stay at once.
                request.Ticket.Seen = parking.Round;
                var map = maps.Current;
                var entry = EntryView.Of(map, endpoint.KeyHash);
                if (newer.Version > entry.Version) entry = newer;
                if (request.Tries > 0) metrics.Repeated();

                var decision = ProxyDecision.Decide(FactsOf(arrival, endpoint, entry, map.Version, refusedTo == entry.To, isRelayTried, out var owned));
                TimeSpan wait;
                switch (decision.Action)
                {
                    case ProxyAction.Serve when application is not null && request.Events is null: // (3)
                        request.Tries++;
                        RunOutcome run;
                        var use = uses.Begin(endpoint);
                        try
                        {
                            run = await executor.RunAsync(context, request, owned!, application);
                        }
                        catch (ShardCloudException error) when (error.Code is ErrorCodes.AppBroke && !request.HasBroken && request.Body.CanRepeat && request.Events is null && !context.Response.HasStarted)
                        {
                            request.HasBroken = true; // Once: it may be this request that ends the program.
                            context.Response.Clear();
                            run = RunOutcome.Again;
                        }
                        finally
                        {
                            uses.End(use);
                        }
                        if (run is RunOutcome.Answered)
                        {
                            Delivered(arrival, request, owned!.Epoch);
                            return;
                        }
                        if (request.LateUnder > arrival.LateUnder) SayLate(context, arrival, request); // A call of its handler.
                        if (run is RunOutcome.Rejected && arrival.IsFromMember)
                        {
                            context.Abort(); // Without a byte: the sender asks the next owner by id.
                            return;
                        }
                        if (!request.Body.CanRepeat)
                        {
                            await ProxyProblems.MovedAsync(context, endpoint); // Nothing was committed, or what was counts for no one.
                            return;
                        }
                        // Sealed, lost or rejected: what this member shows of the endpoint has changed, or does so with the next map.
                        wait = RunAgainAfter;
                        break;

                    case ProxyAction.Serve: // A handler's call needs what only a listener gives a handler, a stream that goes on an answer not begun yet: they come back in through ours.
                    case ProxyAction.Forward: // (4)
                    case ProxyAction.Relay:
                        var isRelay = decision.Action is ProxyAction.Relay;
                        isRelayTried |= isRelay;
                        var via = isRelay ? ThirdMember(map, decision.Target) : decision.Action is ProxyAction.Serve ? shard.Self : decision.Target;
                        if (via.IsNone || AddressOf(map, entry, via) is not { } address)
                        {
                            // Named, but its address is not known here: gone, or known only to a newer map.
                            if (isRelay) continue;
                            wait = _settings.SuspectFor;
                            if (decision.Fallback.IsNone) break;
                            refusedTo = via;
                            continue;
                        }
                        if (entry.Handoff != HandoffId.None) meters.Of(entry.Handoff).CountForward();
                        var leg = new Leg
                        {
                            Target = via,
                            Address = address,
                            RawTarget = arrival.RawTarget,
                            Epoch = entry.Epoch,
                            Hops = arrival.Hops + 1,
                            Token = await legs.TokenAsync(context.RequestAborted),
                            RequestId = id,
                            Chain = own is not null ? own.Chain : context.Features.Get<PassedOn>()?.Chain ?? "",
                            IsRelay = isRelay,
                            Followed = request.Streams is null ? null : request,
                            WaitsForContinue = !request.Body.IsWhole,
                            Confirmed = request.IsSafe ? [] : confirmations.Take(endpoint),
                            LateUnder = request.LateUnder,
                        };
                        request.Tries++;
                        var outcome = await legs.SendAsync(context, request.Body, leg);
                        if (outcome is LegOutcome.Lost) request.LegWasLost(isRelay || via != entry.Owner ? EndpointRequest.AnyGrant : entry.Epoch);
                        request.LegWasLost(leg.LateUnder);
                        if (request.LateUnder > arrival.LateUnder && !request.IsSafe)
                        {
                            SayLate(context, arrival, request);
                            own?.Caller?.LegWasLost();
                        }
                        if (outcome is LegOutcome.Answered) Delivered(arrival, request, leg.Epoch);
                        if (outcome is LegOutcome.Answered or LegOutcome.Ended) return;
                        if (request.Events is { } events && events.TakeProgress())
                        {
                            // The stream lived: it starts afresh at the next owner, with all the time a request has.
                            (newer, refusedTo, isRelayTried) = (default, default, false);
                            request.Ticket.FirstParked = null;
                            if (outcome is LegOutcome.Moved) continue; // Owners wait for each other better than we do.
                        }
                        if (!request.Body.CanRepeat)
                        {
                            if (outcome is LegOutcome.Lost) await ProxyProblems.UnknownAsync(context, endpoint, "the leg to its owner was lost and its body is too large to be held");
                            else await ProxyProblems.MovedAsync(context, endpoint);
                            return;
                        }
                        if (outcome is LegOutcome.Refused && leg.Entry is { } told)
                        {
                            maps.Poke(told.Version);
                            if (told.Version > entry.Version && told.Owner != default && (told.Owner, told.Epoch, told.To) != (entry.Owner, entry.Epoch, entry.To))
                            {
                                newer = told;
                                continue;
                            }
                        }
                        if (via == entry.To && !decision.Fallback.IsNone)
                        {
                            refusedTo = via; // The destination does not take it: the source does, at once (TRACES 27).
                            continue;
                        }
                        if (outcome is LegOutcome.Unreachable && !isRelayTried && via != shard.Self) continue; // Decides on a relay.
                        wait = outcome is LegOutcome.Refused && !leg.IsUnavailable ? TimeSpan.FromMilliseconds(50) : _settings.SuspectFor;
                        break;

                    case ProxyAction.Park: // (5)
                        if (decision.Reason is ProxyReason.MapBehind) maps.Poke(arrival.NamedEpoch.GrantedAt);
                        wait = SliceOf(decision.Reason);
                        isRelayTried = false;
                        break;

                    default:
                        await ProxyProblems.NotHereAsync(context, endpoint, decision, entry);
                        return;
                }
                if (!await ParkAsync(context, request, entry.Handoff, wait)) return;
            }
        }
        catch (ShardCloudException error) when (!context.Response.HasStarted)
        {
            ProxyLog.RequestFailed(log, endpoint.Value, error.Code, error.Message);
            await ProxyProblems.FailedAsync(context, error);
        }
        catch (BadHttpRequestException error) when (error.StatusCode is StatusCodes.Status413PayloadTooLarge && !context.Response.HasStarted)
        {
            await ProxyProblems.TooLargeAsync(context, _settings.BodyBytesMax); // Without a length it shows only while it is read.
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client left; there is nobody to tell.
        }
        finally
        {
            if (request?.Events is { } ended) await streams.EndAsync(ended);
        }
    }

    private static Task DropOurs(object response)
    {
        LegHeaders.DropOurs(((HttpResponse)response).Headers);
        return Task.CompletedTask;
    }

    /// <summary>The member before hears it with whatever this request will be answered.</summary>
    private static void SayLate(HttpContext context, in Arrival arrival, EndpointRequest request)
    {
        if (!arrival.IsFromMember || context.Response.HasStarted) return;
        context.Response.OnStarting(() =>
        {
            context.Response.Headers[ShardHeaders.Late] = request.LateUnder.Value.ToString(CultureInfo.InvariantCulture);
            return Task.CompletedTask;
        });
    }

    private ProxyFacts FactsOf(in Arrival arrival, EndpointId endpoint, in EntryView entry, MapVersion map, bool isToRefused, bool isRelayTried, out IOwnedState? owned)
    {
        owned = null;
        var isOpen = entry.Owner == shard.Self && states.TryOpen(endpoint, out owned) && owned.Epoch == entry.Epoch;
        var isToTried = shard.Role is MemberRole.Router && !arrival.IsRelay && !entry.To.IsNone && !isToRefused && reachability.IsReachable(entry.To);
        return new ProxyFacts
        {
            HasEndpoint = true,
            Self = shard.Self,
            Role = shard.Role,
            Map = map > entry.Version ? map : entry.Version,
            Owner = entry.Owner,
            Epoch = entry.Epoch,
            To = entry.To,
            IsLeaseValid = lease.IsValid || (isOpen && owned!.IsConvergent),
            IsOpen = isOpen,
            Handoff = handoffs.Look(endpoint).Role,
            IsFromMember = arrival.IsFromMember,
            NamedTo = arrival.NamedTo,
            NamedEpoch = arrival.NamedEpoch,
            IsRelay = arrival.IsRelay,
            Hops = arrival.Hops,
            HopsMax = _settings.HopsMax,
            // Asked only where it matters: after a failure each question may grant the one attempt.
            IsToReachable = isToTried,
            IsOwnerReachable = entry.Owner == shard.Self || isToTried || reachability.IsReachable(entry.Owner),
            IsRelayTried = isRelayTried,
        };
    }

    /// <summary>Waits for a change; false: the request was answered with 503.</summary>
    private async Task<bool> ParkAsync(HttpContext context, EndpointRequest request, HandoffId handoff, TimeSpan slice)
    {
        request.Ticket.Handoff = handoff;
        switch (await parking.ParkAsync(request.Ticket, slice, context.RequestAborted))
        {
            case ParkOutcome.Woken:
                return true;
            case var _ when request.Events is not null:
                return false; // The stream ends, at an event's end; its client asks again, from its last id.
            case ParkOutcome.Full:
                await ProxyProblems.ParkingFullAsync(context, request.Endpoint);
                return false;
            default:
                await ProxyProblems.ParkedTooLongAsync(context, request.Endpoint, parking.TimeMax);
                return false;
        }
    }

    private void Delivered(in Arrival arrival, EndpointRequest request, Epoch under)
    {
        // The first member knows that the answer arrived.
        if (!arrival.IsFromMember && request.IsRecorded && request.LateUnder < under && RequestIds.IsOverWhenAnswered(request.Id)) confirmations.Add(request.Endpoint, request.Id);
    }

    private async Task AnyShardAsync(HttpContext context, RequestDelegate application, Arrival arrival)
    {
        var body = await RequestBody.ReadAsync(context, GrpcCalls.Is(context.Request.ContentType) ? 0 : _settings.RepeatableBodyBytesMax); // A gRPC client may wait for an answer before it goes on.
        var map = maps.Current;
        LiveMember[] candidates = [.. map.Live.Values.Where(m => m.Ready && !m.Cordoned && reachability.IsReachable(m.Incarnation))];
        var isSafe = RequestIds.IsSafe(context.Request.Method);
        for (var i = 0; i < Math.Min(candidates.Length, 3) && body.CanRepeat; i++)
        {
            var target = candidates[(uint)Interlocked.Increment(ref _nextShard) % candidates.Length];
            var leg = new Leg
            {
                Target = target.Incarnation,
                Address = target.MemberAddress,
                RawTarget = arrival.RawTarget,
                Epoch = Epoch.None,
                Hops = arrival.Hops + 1,
                Token = await legs.TokenAsync(context.RequestAborted),
                WaitsForContinue = !body.IsWhole,
            };
            switch (await legs.SendAsync(context, body, leg))
            {
                case LegOutcome.Answered or LegOutcome.Ended:
                    return;
                case LegOutcome.Lost when !isSafe:
                    await ProxyProblems.UnknownAsync(context, default, "the leg to a shard was lost; a path without an endpoint has no record of what ran");
                    return;
            }
        }
        // The router's own cheap page: a platform that asks for "/" to see whether the router lives shall not hear that the shards do not.
        if (context.Request.Path == "/" && context.GetEndpoint() is not null) await application(context);
        else await ProxyProblems.NoShardAsync(context);
    }

    private IncarnationId ThirdMember(RoutingMap map, IncarnationId owner)
    {
        foreach (var member in map.Live.Values)
        {
            if (member.Incarnation != owner && member.Incarnation != shard.Self && reachability.IsReachable(member.Incarnation)) return member.Incarnation;
        }
        return default;
    }

    internal static string? AddressOf(RoutingMap map, EntryView entry, IncarnationId member) =>
        map.Live.TryGetValue(member, out var live) ? live.MemberAddress.TrimEnd('/') : member == entry.Owner ? entry.OwnerAddress?.TrimEnd('/') : null;

    /// <summary>Every change wakes what is parked; the slice only bounds how long a lost wake-up can cost.</summary>
    private TimeSpan SliceOf(ProxyReason reason) => reason switch
    {
        ProxyReason.OwnerSuspect or ProxyReason.LeaseLost => _settings.SuspectFor,
        ProxyReason.Recovering => TimeSpan.FromMilliseconds(100),
        _ => TimeSpan.FromSeconds(1),
    };
}

/// <summary>Log lines of the proxy; event ids 4100-4199.</summary>
internal static partial class ProxyLog
{
    [LoggerMessage(4100, LogLevel.Warning, "Request for endpoint {Endpoint} failed: {Code} {Message}")]
    public static partial void RequestFailed(ILogger logger, string endpoint, string code, string message);
}
