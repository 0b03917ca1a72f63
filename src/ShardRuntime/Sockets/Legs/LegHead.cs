using System.Globalization;

namespace ShardCloud.ShardRuntime.Sockets.Legs;

/// <summary>What a dial says beside its numbers.</summary>
[Flags]
internal enum DialFlags
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>An owner has attached the connection before. One that does not know it then has closed it, and must not open it again: its messages would count twice.</summary>
    Attached = 1,

    /// <summary>The client has a resume token: without a leg the connection is kept for <c>ShardCloud:Sockets:ResumeFor</c> instead of the parking time.</summary>
    HasToken = 2,
}

/// <summary>What a dial says of its connection, in <c>X-Shard-Socket</c>.</summary>
/// <param name="Connection">Id of the connection: 128 random bits, base64url, the same on all its legs.</param>
/// <param name="Attempt">Counts the dials of the connection, from 1; of two legs the later one counts.</param>
/// <param name="Flags">What an owner could not know otherwise.</param>
/// <param name="LastOut">Highest out-number that the client has; 0 for a new connection.</param>
/// <param name="Verifier">SHA-256 of the connection's secret, base64url: who shows another one may not take the connection over.</param>
internal readonly record struct LegDial(string Connection, int Attempt, DialFlags Flags, long LastOut, string Verifier)
{
    /// <summary>Value of <c>:protocol</c> in the extended CONNECT (RFC 8441).</summary>
    public const string Protocol = "shardcloud-socket";

    /// <summary>Characters of an id: 16 bytes in base64url.</summary>
    public const int IdLength = 22;

    /// <summary>Characters of a verifier: 32 bytes in base64url.</summary>
    public const int VerifierLength = 43;

    /// <summary>As it travels.</summary>
    public string ToHeader() => string.Create(CultureInfo.InvariantCulture, $"{Connection} {Attempt} {(int)Flags} {LastOut} {Verifier}");

    /// <summary>Reads what <see cref="ToHeader"/> wrote; null for anything else.</summary>
    public static LegDial? FromHeader(string header) =>
        header.Split(' ') is [{ Length: IdLength } id, var attempt, ['0' or '1' or '2' or '3'] flags, var lastOut, { Length: VerifierLength } verifier]
        && int.TryParse(attempt, NumberStyles.None, CultureInfo.InvariantCulture, out var attempts)
        && long.TryParse(lastOut, NumberStyles.None, CultureInfo.InvariantCulture, out var last)
            ? new LegDial(id, attempts, (DialFlags)(flags[0] - '0'), last, verifier)
            : null;
}

/// <summary>What the owner says when it attaches a leg, in <c>X-Shard-Socket</c> of its 200.</summary>
/// <param name="LastIn">Highest in-number whose effects are kept; 0 where nothing is.</param>
/// <param name="IsResumable">The connection is part of the endpoint's state: a client with its token may go on at another router.</param>
internal readonly record struct LegAttached(long LastIn, bool IsResumable)
{
    /// <summary>As it travels.</summary>
    public string ToHeader() => string.Create(CultureInfo.InvariantCulture, $"{LastIn} {(IsResumable ? 1 : 0)}");

    /// <summary>Reads what <see cref="ToHeader"/> wrote; null for anything else.</summary>
    public static LegAttached? FromHeader(string header) =>
        header.Split(' ') is [var lastIn, "0" or "1"] && long.TryParse(lastIn, NumberStyles.None, CultureInfo.InvariantCulture, out var last)
            ? new LegAttached(last, header[^1] == '1')
            : null;
}
