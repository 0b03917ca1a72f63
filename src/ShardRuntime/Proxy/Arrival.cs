using System.Globalization;
using Microsoft.AspNetCore.Http.Features;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>What the request said about itself when it came in.</summary>
internal readonly struct Arrival
{
    public Arrival(HttpContext context)
    {
        IsFromMember = context.Features.Get<MemberConnection>() is not null;
        RawTarget = RawTargetOf(context);
        Confirmed = "";
        if (!IsFromMember) return;
        var headers = context.Request.Headers;
        var to = headers[ShardHeaders.To].ToString();
        Span<Range> words = stackalloc Range[4];
        if (to.AsSpan().Split(words, ' ') == 3)
        {
            NamedTo = TryIncarnation(to[words[0]]);
            NamedEpoch = new Epoch(NumberOf(to.AsSpan(words[1])));
            Hops = (int)Math.Clamp(NumberOf(to.AsSpan(words[2])), 0, int.MaxValue - 1);
        }
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

    /// <summary>Path and query, byte for byte as they came.</summary>
    public static string RawTargetOf(HttpContext context)
    {
        var raw = context.Features.Get<IHttpRequestFeature>()?.RawTarget;
        // Absolute-form and asterisk-form (RFC 9112, 3.2) have no path to take as it is.
        return raw is ['/', ..] ? raw : context.Request.Path.ToUriComponent() + context.Request.QueryString.ToUriComponent();
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
