using System.Globalization;
using Microsoft.AspNetCore.Http.Features;
using ShardCloud.Contracts;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>The data path of every router and shard: decide, then serve, forward, park or refuse, until the request has its one answer.</summary>
/// <remarks>
/// The steps are in docs/protocol/proxy.md and <see cref="ProxyDecision.Decide"/>; this class does what it says and tells it what happened.
/// Each round looks at one fresh map snapshot. Rounds are bounded by hops (between members) and by parking time (here). What a member behind
/// us refused was not run; a leg that was lost may have run, and is repeated under the same request id, which the owner knows.
/// </remarks>
internal sealed class ShardProxy(
    ShardContext shard, IMapView maps, ILeaseView lease, IEndpointStates states, IHandoffTable handoffs, EndpointExecutor executor, MemberLegs legs,
    Reachability reachability, Parking parking, HandoffMeters meters, RequestIds ids, Confirmations confirmations, CompletionRecords records, ShardMetrics metrics,
    ILogger<ShardProxy> log)
{
    private static readonly TimeSpan RetryAfterPark = TimeSpan.FromSeconds(2);
    private readonly ProxySettings _settings = shard.Options.Proxy;
    private int _nextShard;

    public Task InvokeAsync(HttpContext context, RequestDelegate application)
    {
        var isFromMember = context.Features.Get<MemberConnection>() is not null;
        if (isFromMember)
        {
            // Control paths carry no X-Shard-To; they are this member's own endpoints.
            if (context.Request.Path.StartsWithSegments(Security.ListenerGate.InternalPath)) return application(context);
            ForwardedIdentity.Apply(context);
        }

        var rawTarget = RawTargetOf(context);
        var map = maps.Current;
        Span<char> key = stackalloc char[EndpointId.BytesMax];
        switch (map.Templates.Match(rawTarget, key, out var length, out _))
        {
            case MatchResult.Malformed:
                return Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.BadEndpoint, "The path has no one spelling: an empty, dot or oversize segment, a bad escape or an encoded slash.",
                    "Send the path in its plain form, for example /rooms/42."), StatusCodes.Status400BadRequest, "Bad path");
            case MatchResult.Match:
                metrics.Request();
                return RouteAsync(context, application, new Arrival(isFromMember, rawTarget, context), new EndpointId(new string(key[..length])));
            default:
                return shard.Role is MemberRole.Shard ? application(context) : AnyShardAsync(context, application, new Arrival(isFromMember, rawTarget, context));
        }
    }

    /// <summary>What this proxy would do now with a client's request for the endpoint: the probe of a handoff's step 4.</summary>
    public (ProxyDecision Decision, EntryView Entry) Probe(EndpointId endpoint)
    {
        var entry = EntryView.Of(maps.Current, endpoint.KeyHash);
        return (ProxyDecision.Decide(FactsOf(default, endpoint, entry, maps.Current.Version, isToRefused: false, isRelayTried: false, out _)), entry);
    }

    private async Task RouteAsync(HttpContext context, RequestDelegate application, Arrival arrival, EndpointId endpoint)
    {
        try
        {
            if (context.Request.ContentLength > _settings.BodyBytesMax)
            {
                await TooLargeAsync(context);
                return;
            }
            var id = ids.Of(context);
            if (arrival.Confirmed.Length > 0) records.Confirm(endpoint, arrival.Confirmed);
            var body = await RequestBody.ReadAsync(context, _settings.RepeatableBodyBytesMax);
            await RouteAsync(context, application, arrival, new EndpointRequest(endpoint, id, body));
        }
        catch (ShardCloudException error) when (!context.Response.HasStarted)
        {
            ProxyLog.RequestFailed(log, endpoint.Value, error.Code, error.Message);
            context.Response.Clear();
            await Problems.WriteAsync(context, error, StatusOf(error.Code), "Request failed");
        }
        catch (BadHttpRequestException error) when (error.StatusCode is StatusCodes.Status413PayloadTooLarge && !context.Response.HasStarted)
        {
            await TooLargeAsync(context); // Without a length it shows only while it is read.
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client left; there is nobody to tell.
        }
    }

    private async Task RouteAsync(HttpContext context, RequestDelegate application, Arrival arrival, EndpointRequest request)
    {
        var endpoint = request.Endpoint;
        var keyHash = endpoint.KeyHash;
        EntryView newer = default;
        IncarnationId refusedTo = default;
        var isRelayTried = false;

        while (true)
        {
            // Read before the decision: a wake-up between decision and stay ends the stay at once.
            request.Ticket.Seen = parking.Round;
            var map = maps.Current;
            var entry = EntryView.Of(map, keyHash);
            if (newer.Version > entry.Version) entry = newer;
            if (request.Tries > 0) metrics.Repeated();

            var facts = FactsOf(arrival, endpoint, entry, map.Version, refusedTo == entry.To, isRelayTried, out var owned);
            var decision = ProxyDecision.Decide(facts);
            switch (decision.Action)
            {
                case ProxyAction.Serve:
                    request.Tries++;
                    switch (await executor.RunAsync(context, request, owned!, application))
                    {
                        case RunOutcome.Answered:
                            Delivered(arrival, request);
                            return;
                        case RunOutcome.Rejected when arrival.IsFromMember:
                            context.Abort(); // Without a byte: the sender asks the next owner by id.
                            return;
                    }
                    if (!request.Body.CanRepeat)
                    {
                        await MovedAsync(context, endpoint); // Nothing was committed, or what was counts for no one.
                        return;
                    }
                    // Sealed, lost or rejected: what this member shows of the endpoint has changed, or does so with the next map.
                    if (!await ParkAsync(context, request, entry, TimeSpan.FromMilliseconds(20))) return;
                    continue;

                case ProxyAction.Forward:
                case ProxyAction.Relay:
                    var via = decision.Action is ProxyAction.Relay ? ThirdMember(map, decision.Target) : decision.Target;
                    if (decision.Action is ProxyAction.Relay) isRelayTried = true;
                    if (via.IsNone || AddressOf(map, entry, via) is not { } address)
                    {
                        // Named, but its address is not known here: gone, or known only to a newer map.
                        if (decision.Action is ProxyAction.Relay) continue;
                        if (!decision.Fallback.IsNone) refusedTo = via;
                        else if (!await ParkAsync(context, request, entry, _settings.SuspectFor)) return;
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
                        RequestId = request.Id,
                        IsRelay = decision.Action is ProxyAction.Relay,
                        WaitsForContinue = !request.Body.IsWhole,
                        Confirmed = request.IsSafe ? [] : confirmations.Take(endpoint),
                    };
                    request.Tries++;
                    var outcome = await legs.SendAsync(context, request.Body, leg);
                    if (outcome is LegOutcome.Answered)
                    {
                        Delivered(arrival, request);
                        return;
                    }
                    if (outcome is LegOutcome.Ended) return;
                    if (!request.Body.CanRepeat)
                    {
                        if (outcome is LegOutcome.Lost) await UnknownAsync(context, endpoint, "the leg to its owner was lost and its body is too large to be held");
                        else await MovedAsync(context, endpoint);
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
                    if (outcome is LegOutcome.Unreachable && !isRelayTried) continue; // Decides on a relay.
                    if (!await ParkAsync(context, request, entry, outcome is LegOutcome.Refused && !leg.IsUnavailable ? TimeSpan.FromMilliseconds(50) : _settings.SuspectFor)) return;
                    continue;

                case ProxyAction.Park:
                    if (decision.Reason is ProxyReason.MapBehind) maps.Poke(arrival.NamedEpoch.GrantedAt);
                    if (!await ParkAsync(context, request, entry, SliceOf(decision.Reason))) return;
                    isRelayTried = false;
                    continue;

                default:
                    await RefuseAsync(context, endpoint, decision, entry);
                    return;
            }
        }
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
            IsLeaseValid = lease.IsValid,
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
    private async Task<bool> ParkAsync(HttpContext context, EndpointRequest request, EntryView entry, TimeSpan slice)
    {
        request.Ticket.Handoff = entry.Handoff;
        switch (await parking.ParkAsync(request.Ticket, slice, context.RequestAborted))
        {
            case ParkOutcome.Woken:
                return true;
            case ParkOutcome.Full:
                await Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.ParkingFull, $"Endpoint '{request.Endpoint}' has no reachable owner just now, and too many requests wait already.",
                    "Retry later with the same Idempotency-Key."), StatusCodes.Status503ServiceUnavailable, "Too many waiting requests", RetryAfterPark);
                return false;
            default:
                await Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.ParkedTooLong, $"Endpoint '{request.Endpoint}' had no reachable owner for {parking.TimeMax.TotalSeconds:0.#} s.",
                    "Retry with the same Idempotency-Key; 'shardcloud status' shows which shard is missing."), StatusCodes.Status503ServiceUnavailable, "No owner", RetryAfterPark);
                return false;
        }
    }

    private void Delivered(in Arrival arrival, EndpointRequest request)
    {
        // The first member knows that the answer arrived. A client's own key is kept until it expires: the client may ask again.
        if (!arrival.IsFromMember && !request.IsSafe && !RequestIds.IsClients(request.Id)) confirmations.Add(request.Endpoint, request.Id);
    }

    private async Task AnyShardAsync(HttpContext context, RequestDelegate application, Arrival arrival)
    {
        // The router's own cheap page, where the application has none to offer through it.
        if (context.Request.Path == "/" && context.GetEndpoint() is not null)
        {
            await application(context);
            return;
        }
        var body = await RequestBody.ReadAsync(context, _settings.RepeatableBodyBytesMax);
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
                    await UnknownAsync(context, default, "the leg to a shard was lost; a path without an endpoint has no record of what ran");
                    return;
            }
        }
        await Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.NoShard, "No shard is ready to answer a path without an endpoint.", "Retry; 'shardcloud status' lists the shards."),
            StatusCodes.Status503ServiceUnavailable, "No shard", RetryAfterPark);
    }

    private Task TooLargeAsync(HttpContext context)
    {
        context.Response.Clear();
        return Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.BodyTooLarge, $"The request's body is over {_settings.BodyBytesMax} bytes.",
            "Send less at once, or raise ShardCloud:Proxy:BodyBytesMax on every member."), StatusCodes.Status413PayloadTooLarge, "Body too large");
    }

    private static Task UnknownAsync(HttpContext context, EndpointId endpoint, string why) =>
        Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.OutcomeUnknown, $"Whether the request{(endpoint == default ? "" : $" for endpoint '{endpoint}'")} was carried out is unknown: {why}.",
            "Repeat it with the same Idempotency-Key if it had one, else read the state first. Bodies of at most 64 KiB are repeated by themselves."), StatusCodes.Status502BadGateway, "Outcome unknown");

    private static Task MovedAsync(HttpContext context, EndpointId endpoint) =>
        Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.NotOwner, $"Endpoint '{endpoint}' changed its owner while the body was read; the request changed nothing.",
            "Send it again."), StatusCodes.Status503ServiceUnavailable, "Endpoint moved", TimeSpan.FromSeconds(1));

    private static Task RefuseAsync(HttpContext context, EndpointId endpoint, ProxyDecision decision, EntryView entry)
    {
        context.Response.Headers[ShardHeaders.Entry] = entry.ToHeader();
        var (code, status, what) = decision.Action switch
        {
            ProxyAction.TooManyHops => (ErrorCodes.TooManyHops, StatusCodes.Status503ServiceUnavailable, "has gone through too many members"),
            ProxyAction.Unavailable => (ErrorCodes.NotOwner, StatusCodes.Status503ServiceUnavailable, "cannot be served or passed on by this member now"),
            _ when decision.Reason is ProxyReason.WrongIncarnation => (ErrorCodes.WrongIncarnation, StatusCodes.Status421MisdirectedRequest, "was meant for another incarnation"),
            _ => (ErrorCodes.NotOwner, StatusCodes.Status421MisdirectedRequest, "was sent under a grant that this member does not hold"),
        };
        return Problems.WriteAsync(context, new ShardCloudException(code, $"A request for endpoint '{endpoint}' {what} ({decision.Reason}).",
            "The sender decides anew with the entry in X-Shard-Entry."), status, "Not here");
    }

    private IncarnationId ThirdMember(RoutingMap map, IncarnationId owner)
    {
        foreach (var member in map.Live.Values)
        {
            if (member.Incarnation != owner && member.Incarnation != shard.Self && reachability.IsReachable(member.Incarnation)) return member.Incarnation;
        }
        return default;
    }

    private static string? AddressOf(RoutingMap map, EntryView entry, IncarnationId member) =>
        map.Live.TryGetValue(member, out var live) ? live.MemberAddress.TrimEnd('/') : member == entry.Owner ? entry.OwnerAddress?.TrimEnd('/') : null;

    /// <summary>Every change wakes what is parked; the slice only bounds how long a lost wake-up can cost.</summary>
    private TimeSpan SliceOf(ProxyReason reason) => reason switch
    {
        ProxyReason.OwnerSuspect or ProxyReason.LeaseLost => _settings.SuspectFor,
        ProxyReason.Recovering => TimeSpan.FromMilliseconds(100),
        _ => TimeSpan.FromSeconds(1),
    };

    private static int StatusOf(string code) => code switch
    {
        ErrorCodes.MissingValue or ErrorCodes.BadEndpoint => StatusCodes.Status400BadRequest,
        ErrorCodes.QueueFull => StatusCodes.Status503ServiceUnavailable, // Too much waits for the log; the commit was refused.
        ErrorCodes.DeltaTooLarge or ErrorCodes.DocumentTooLarge => StatusCodes.Status413PayloadTooLarge,
        _ => StatusCodes.Status500InternalServerError,
    };

    private static string RawTargetOf(HttpContext context)
    {
        var raw = context.Features.Get<IHttpRequestFeature>()?.RawTarget;
        // Absolute-form and asterisk-form (RFC 9112, 3.2) have no path to take as it is.
        return raw is ['/', ..] ? raw : context.Request.Path.ToUriComponent() + context.Request.QueryString.ToUriComponent();
    }

    /// <summary>What the request said about itself when it came in.</summary>
    private readonly struct Arrival
    {
        public Arrival(bool isFromMember, string rawTarget, HttpContext context)
        {
            (IsFromMember, RawTarget, Confirmed) = (isFromMember, rawTarget, "");
            if (!isFromMember) return;
            var headers = context.Request.Headers;
            NamedTo = TryIncarnation(headers[ShardHeaders.To].ToString());
            NamedEpoch = new Epoch(NumberOf(headers[ShardHeaders.Epoch].ToString()));
            Hops = (int)Math.Clamp(NumberOf(headers[ShardHeaders.Hops].ToString()), 0, int.MaxValue - 1);
            IsRelay = headers.ContainsKey(Leg.RelayHeader);
            Confirmed = headers[ShardHeaders.Confirm].ToString();
        }

        public bool IsFromMember { get; }
        public string RawTarget { get; }
        public IncarnationId NamedTo { get; }
        public Epoch NamedEpoch { get; }
        public int Hops { get; }
        public bool IsRelay { get; }
        public string Confirmed { get; }

        private static long NumberOf(string text) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

        private static IncarnationId TryIncarnation(string text)
        {
            try
            {
                return text.Length == 0 ? default : new IncarnationId(text);
            }
            catch (ShardCloudException)
            {
                return default; // Names nobody, so it is misdirected.
            }
        }
    }
}

/// <summary>Log lines of the proxy; event ids 4100-4199.</summary>
internal static partial class ProxyLog
{
    [LoggerMessage(4100, LogLevel.Warning, "Request for endpoint {Endpoint} failed: {Code} {Message}")]
    public static partial void RequestFailed(ILogger logger, string endpoint, string code, string message);
}
