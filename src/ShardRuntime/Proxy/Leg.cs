using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Requests;
using Yarp.ReverseProxy.Forwarder;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>How one leg to another member ended.</summary>
internal enum LegOutcome
{
    /// <summary>The answer was passed on.</summary>
    Answered,

    /// <summary>421 or 503 with an entry: nothing ran there.</summary>
    Refused,

    /// <summary>No connection: nothing ran there.</summary>
    Unreachable,

    /// <summary>The connection, or the stream in it, ended before an answer: whether the request ran is unknown.</summary>
    Lost,

    /// <summary>The client left, or the answer broke off half way: nothing more can be said to the client.</summary>
    Ended,

    /// <summary>An event stream ended because its endpoint moves: it goes on at the next owner.</summary>
    Moved,
}

/// <summary>One leg: whom it names and what it carries between members.</summary>
internal sealed class Leg : HttpTransformer
{
    /// <summary>Header of a leg that a third member is to pass on to the owner.</summary>
    public const string RelayHeader = ShardHeaders.Prefix + "Relay";

    public required IncarnationId Target { get; init; }
    public required string Address { get; init; }
    public required string RawTarget { get; init; }
    public required Epoch Epoch { get; init; }
    public required int Hops { get; init; }
    public required string Token { get; init; }
    public string RequestId { get; init; } = "";
    public string Chain { get; init; } = "";
    public bool IsRelay { get; init; }
    public bool WaitsForContinue { get; init; }
    public IReadOnlyList<string> Confirmed { get; init; } = [];

    /// <summary>Highest epoch of the request's lost legs; after the leg, of those behind the target too, which says so.</summary>
    public Epoch LateUnder { get; set; }

    /// <summary>The request, whose answer may be an event stream that is followed from owner to owner; null where none is.</summary>
    public EndpointRequest? Followed { get; init; }

    /// <summary>The entry of a refusal, after the leg.</summary>
    public EntryView? Entry { get; private set; }

    /// <summary>True when the target refused instead of answering.</summary>
    public bool IsRefused { get; private set; }

    /// <summary>The target refused because it, too, can only wait (503), not because the leg was misdirected (421).</summary>
    public bool IsUnavailable { get; private set; }

    public override async ValueTask TransformRequestAsync(HttpContext httpContext, HttpRequestMessage proxyRequest, string destinationPrefix, CancellationToken cancellationToken)
    {
        await base.TransformRequestAsync(httpContext, proxyRequest, destinationPrefix, cancellationToken);
        // Byte for byte as the client sent it: the receiver matches templates on the same text.
        proxyRequest.RequestUri = new Uri(Address + RawTarget, new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });
        // The Host header is copied as it came, with the others.
        if (WaitsForContinue) proxyRequest.Headers.ExpectContinue = true;
        else if (proxyRequest.Headers.NonValidated.Contains("Expect")) proxyRequest.Headers.ExpectContinue = false; // The client's; its body is here.

        ForwardedIdentity.Write(proxyRequest, httpContext);
        var headers = proxyRequest.Headers;
        headers.TryAddWithoutValidation(ShardHeaders.Token, Token);
        headers.TryAddWithoutValidation(ShardHeaders.To, string.Create(CultureInfo.InvariantCulture, $"{Target.Value} {Epoch.Value} {Hops}"));
        if (RequestId.Length > 0) headers.TryAddWithoutValidation(ShardHeaders.Request, RequestId);
        if (Chain.Length > 0) headers.TryAddWithoutValidation(ShardHeaders.Chain, Chain);
        if (IsRelay) headers.TryAddWithoutValidation(RelayHeader, "1");
        if (LateUnder > Epoch.None) headers.TryAddWithoutValidation(ShardHeaders.Late, LateUnder.Value.ToString(CultureInfo.InvariantCulture));
        LegHeaders.CarryTrace(headers);
        if (Followed?.Events?.LastId is { } last)
        {
            headers.Remove("Last-Event-ID"); // The client's own, from before this stream began.
            if (last.Length > 0) headers.TryAddWithoutValidation("Last-Event-ID", last);
        }
        if (Confirmed.Count > 0) headers.TryAddWithoutValidation(ShardHeaders.Confirm, string.Join(',', Confirmed));
    }

    /// <summary>True for what is said between members and not to the client: the target does not serve this.</summary>
    public bool TakesRefusal(HttpResponseMessage answer)
    {
        if (LegHeaders.NumberOf(answer.Headers.NonValidated, ShardHeaders.Late) is { } late) LateUnder = new Epoch(late);
        if (answer.StatusCode is not (System.Net.HttpStatusCode.MisdirectedRequest or System.Net.HttpStatusCode.ServiceUnavailable)
            || !answer.Headers.TryGetValues(ShardHeaders.Entry, out var entries)) return false;
        IsRefused = true;
        IsUnavailable = answer.StatusCode is System.Net.HttpStatusCode.ServiceUnavailable;
        Entry = EntryView.FromHeader(string.Join(',', entries));
        return true;
    }

    public override async ValueTask<bool> TransformResponseAsync(HttpContext httpContext, HttpResponseMessage? proxyResponse, CancellationToken cancellationToken)
    {
        if (proxyResponse is null) return await base.TransformResponseAsync(httpContext, proxyResponse, cancellationToken);
        if (TakesRefusal(proxyResponse)) return false;
        var copies = await base.TransformResponseAsync(httpContext, proxyResponse, cancellationToken);
        LegHeaders.DropOurs(httpContext, proxyResponse, isToMember: httpContext.Features.Get<MemberConnection>() is not null);
        return copies;
    }

    public override async ValueTask TransformResponseTrailersAsync(HttpContext httpContext, HttpResponseMessage proxyResponse, CancellationToken cancellationToken)
    {
        await base.TransformResponseTrailersAsync(httpContext, proxyResponse, cancellationToken);
        if (httpContext.Features.Get<MemberConnection>() is null) LegHeaders.DropOursOfTrailers(httpContext, proxyResponse);
    }
}
