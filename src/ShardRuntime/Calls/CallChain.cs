using System.Globalization;

namespace ShardCloud.ShardRuntime.Calls;

/// <summary>The handlers that wait for a call, from the first one down: how many, and whose turns they hold.</summary>
/// <remarks>
/// A changing handler holds its endpoint's turn until it ends. A call that changes an endpoint whose turn is held further up would wait for a
/// handler that waits for it, so it is refused before it leaves. Travels in <c>X-Shard-Chain</c>: the depth, then the key hashes of the held endpoints in hexadecimal.
/// </remarks>
internal readonly record struct CallChain(int Depth, IReadOnlyList<ulong> Held)
{
    /// <summary>Handlers in a chain, at most: it bounds what one client's request may set going in depth.</summary>
    public const int DepthMax = 8;

    /// <summary>A client's request: nobody waits.</summary>
    public static readonly CallChain None = new(0, []);

    /// <summary>Reads what <see cref="ToHeader"/> wrote; anything else counts as full, so that it goes no further.</summary>
    public static CallChain From(string header)
    {
        if (header.Length == 0) return None;
        var words = header.Split(' ');
        var held = new ulong[words.Length - 1];
        var isRead = int.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out var depth) && held.Length <= DepthMax;
        for (var i = 0; isRead && i < held.Length; i++) isRead = ulong.TryParse(words[i + 1], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out held[i]);
        return isRead ? new CallChain(depth, held) : new CallChain(DepthMax, []);
    }

    public string ToHeader() => string.Join(' ', [Depth.ToString(CultureInfo.InvariantCulture), .. Held.Select(hash => hash.ToString("x", CultureInfo.InvariantCulture))]);

    /// <summary>The chain as a handler's calls carry it.</summary>
    public CallChain With(EndpointId endpoint, bool holdsTurn) => new(Depth + 1, holdsTurn ? [.. Held, endpoint.KeyHash] : Held);

    /// <summary>True when a handler further up holds the endpoint's turn.</summary>
    public bool Holds(EndpointId endpoint) => Held.Contains(endpoint.KeyHash);
}
