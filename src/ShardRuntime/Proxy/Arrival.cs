using System.Globalization;
using Microsoft.AspNetCore.Http.Features;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>What the member before said of a request: of its client (address and scheme), and of the handlers that wait for it. A feature, because it outlives the headers.</summary>
internal sealed record PassedOn(string Client, string Chain);

/// <summary>What the request said about itself when it came in.</summary>
internal readonly struct Arrival
{
    public Arrival(HttpContext context)
    {
        IsFromMember = context.Features.Get<MemberConnection>() is not null;
        RawTarget = RawTargetOf(context);
        Confirmed = RequestId = "";
        if (!IsFromMember) return;
        var headers = context.Request.Headers;
        var to = headers[ShardHeaders.To].ToString();
        IsLeg = to.Length > 0;
        Span<Range> words = stackalloc Range[4];
        if (to.AsSpan().Split(words, ' ') == 3)
        {
            NamedTo = TryIncarnation(to[words[0]]);
            NamedEpoch = new Epoch(NumberOf(to.AsSpan(words[1])));
            Hops = (int)Math.Clamp(NumberOf(to.AsSpan(words[2])), 0, int.MaxValue - 1);
        }
        IsRelay = headers.ContainsKey(Leg.RelayHeader);
        Confirmed = headers[ShardHeaders.Confirm].ToString();
        RequestId = headers[ShardHeaders.Request].ToString();
        LateUnder = new Epoch(NumberOf(headers[ShardHeaders.Late].ToString()));
    }

    public bool IsFromMember { get; }

    /// <summary>A request that a member passes on, and not one of its own to this member.</summary>
    public bool IsLeg { get; }
    public string RawTarget { get; }
    public IncarnationId NamedTo { get; }
    public Epoch NamedEpoch { get; }
    public int Hops { get; }
    public bool IsRelay { get; }
    public string Confirmed { get; }

    /// <summary>Highest epoch of its lost legs before this one.</summary>
    public Epoch LateUnder { get; }

    /// <summary>What the member before named it; empty from a client.</summary>
    public string RequestId { get; }

    /// <summary>Takes what members say to each other off the request: the application is not to see it, and a later leg says it anew.</summary>
    public static void Hide(HttpContext context)
    {
        var headers = context.Request.Headers;
        context.Features.Set(new PassedOn(headers[ShardHeaders.Client].ToString(), headers[ShardHeaders.Chain].ToString()));
        LegHeaders.DropOurs(headers);
    }

    /// <summary>Path and query, byte for byte as they came.</summary>
    public static string RawTargetOf(HttpContext context)
    {
        var raw = context.Features.Get<IHttpRequestFeature>()?.RawTarget;
        if (raw is ['/', ..]) return raw;
        // Absolute-form (RFC 9112, 3.2.2), as sent too: the server's path is decoded once, and what it would be after another decoding is not what the gate has looked at.
        if (raw?.IndexOf("://", StringComparison.Ordinal) is > 0 and var scheme)
        {
            var rest = raw.AsSpan(scheme + 3);
            return rest.IndexOfAny('/', '?', '#') switch
            {
                < 0 => "/",
                var path when rest[path] == '/' => rest[path..].ToString(),
                var query => $"/{rest[query..]}",
            };
        }
        return context.Request.Path.ToUriComponent() + context.Request.QueryString.ToUriComponent(); // Asterisk-form.
    }

    private static long NumberOf(ReadOnlySpan<char> text) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

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
