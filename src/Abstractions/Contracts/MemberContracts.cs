using System.Text.Json.Serialization;

namespace ShardCloud.Contracts;

#pragma warning disable CS1591 // Wire records: docs/protocol/members.md explains each field.

/// <summary>Header names on the legs between members.</summary>
public static class ShardHeaders
{
    public const string Token = "X-Shard-Token";

    /// <summary>On control calls: the incarnation that calls, where its token does not say (members of an Entra tenant share an identity).</summary>
    public const string From = "X-Shard-From";

    /// <summary>Whom a leg is for: incarnation, epoch and legs so far, with spaces between. One header: each costs both ends of every request (bench/Load).</summary>
    public const string To = "X-Shard-To";

    /// <summary>Who the client is: address and scheme, with a space between.</summary>
    public const string Client = "X-Shard-Client";
    public const string Request = "X-Shard-Request";
    public const string Confirm = "X-Shard-Confirm";

    /// <summary>The handlers that wait for this call: how many, and whose turns they hold (key hashes).</summary>
    public const string Chain = "X-Shard-Chain";
    public const string Entry = "X-Shard-Entry";

    /// <summary>On the legs of WebSockets: docs/protocol/sockets.md.</summary>
    public const string Socket = "X-Shard-Socket";

    /// <summary>To an application beside the runtime: the endpoint that a request names.</summary>
    public const string Endpoint = "X-Shard-Endpoint";

    /// <summary>To an application beside the runtime: the handle of its request's state.</summary>
    public const string State = "X-Shard-State";

    /// <summary>On the answer of an event stream: the epoch it is served under.</summary>
    public const string Epoch = "X-Shard-Epoch";

    /// <summary>Trailer of an event stream that ended because its endpoint moves: it goes on at the next owner.</summary>
    public const string Moved = "X-Shard-Moved";

    /// <summary>A leg of this request was lost, or of a call that its handler made: what it carried may come late. The highest epoch such a leg named. On the legs after it, and on the answer to the member before.</summary>
    public const string Late = "X-Shard-Late";

    /// <summary>Every header of ours starts so; what a client sends under it is dropped at the public listener.</summary>
    public const string Prefix = "X-Shard-";
}

/// <summary>State of a handoff as destination or source sees it; ordered as in docs/protocol/handoff.md.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<HandoffPhase>))]
public enum HandoffPhase { Warming, Warm, Verified, Sealing, Granted, Serving, Published, Retired, Cancelled }

/// <summary>Step 2: asks the destination to warm up. <c>entries</c>: <c>rooms/1</c> or <c>slots:0-1023</c>.</summary>
public sealed record HandoffRequest(long Handoff, string From, string To, IReadOnlyList<string> Entries, string Migration);

/// <summary>Step 5: destination asks source to seal. <c>positions</c>: Event Hub partition -> last offset the destination has applied.</summary>
public sealed record SealRequest(long Handoff, IReadOnlyList<string> Entries, string Destination, IReadOnlyDictionary<int, long> Positions);

public sealed record MapVersionNotice(long Version);

/// <summary>A member that could not be reached, and who says so.</summary>
public sealed record SuspectReport(string Member, IReadOnlyList<string> By);

public sealed record WireError(string Code, string Message, string Remedy);

/// <summary>Where a handoff stands. <c>pausesMs</c>: one number an entry, from the seal request leaving the destination until it may release the entry's answers.</summary>
public sealed record HandoffStatus(
    long Handoff, HandoffPhase Phase, long LagRecords, WireError? Error, IReadOnlyList<double> PausesMs, double MaxWaitMs,
    IReadOnlyDictionary<string, double> PhasesMs, long Bytes, long Parked, long Forwarded, long GrantedVersion);

/// <summary>The newer entry a 421 carries, so that the sender need not read the table.</summary>
public sealed record WireEntry(long Version, string Owner, long Epoch, string? To, long? Handoff, string? Address);

/// <summary>What a proxy would do with a request for an endpoint now, and whether the target answered a ping.</summary>
public sealed record RouteProbe(string Endpoint, string Decision, string? Owner, string? Target, long Epoch, long MapVersion, bool TargetReachable);

/// <summary>How soon another member answered the one that was asked to try; absent when it did not within the time given.</summary>
public sealed record ReachReport(string Member, double? AnsweredMs);

public sealed record MemberStatus(
    string Incarnation, string Shard, string Role, string Version, string PublicAddress, string MemberAddress, int Pid,
    double LeaseRemainingMs, long MapVersion, long Endpoints, long LagRecords, long Requests, long Parked, long Forwarded, long Repeated, IReadOnlyList<SuspectReport> Suspects,
    MemberTraffic? Traffic = null, CloudRelease? Release = null, MemberLoad? Load = null, MemberCalls? Calls = null);

/// <summary>Processor time that this incarnation's process has used since it started, and the cores that it can use. Two looks, subtracted, tell of the time between them.</summary>
public sealed record MemberLoad(double CpuMs, double Cores);

/// <summary>Calls between endpoints that this incarnation's endpoints made since it started: to endpoints here, and to those of other shards.</summary>
public sealed record MemberCalls(long Here, long Crossed);

/// <summary>Requests whose handler this incarnation ran as owner since it started. Two looks, subtracted, tell of the time between them.</summary>
/// <param name="Answered">All of them, errors included.</param>
/// <param name="ServerErrors">Those that were answered with 500 to 599, or whose handler threw.</param>
/// <param name="LatencyCounts">One number for each bound of <see cref="LatencyBoundsMs"/>, and one for what took longer than the last: how many runs took at most that long, and longer than the bound
/// before. From the beginning of the handler's run until its answer may leave.</param>
public sealed record MemberTraffic(long Answered, long ServerErrors, IReadOnlyList<long> LatencyCounts)
{
    /// <summary>Upper bounds in ms, each included.</summary>
    public static readonly IReadOnlyList<int> LatencyBoundsMs = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
}

/// <summary>Asks a shard to hold replicas of Event Hub partitions for so long (1 to 600 s). <c>from</c>: the member whose accepted layer it takes where it has none. <c>partitions</c>: absent for all.</summary>
public sealed record WarmRequest(string? From, int Seconds, IReadOnlyList<int>? Partitions = null);

/// <summary>How far that is. <c>partitions</c>: how many were asked for. <c>seededFrom</c>: member, <c>blob</c> or <c>log</c> -> how many of the complete replicas began with its state; <c>lagRecords</c>: of all of them together.</summary>
public sealed record WarmStatus(int Partitions, int Complete, long LagRecords, IReadOnlyDictionary<string, int> SeededFrom);

/// <summary>What is in use of all that a shard owns: ranges of slots with an endpoint in use that is not placed, as <c>slots:0-1</c>, and placed endpoints. <c>everyPlaced</c>: more than 10,000 of
/// these are in use; none is named, and all that the shard owns count.</summary>
public sealed record BusyReport(IReadOnlyList<string> Slots, IReadOnlyList<string> Endpoints, bool EveryPlaced)
{
    /// <summary>Longest idle time that may be asked for, in seconds.</summary>
    public const int IdleSecondsMax = 3_600;
}

/// <summary>Asks a shard to run its application's contract probes, all of them within so long (1 to 600 s).</summary>
public sealed record ProbeRequest(int Seconds);

/// <summary>One request of a contract probe; a template without any has one entry with no name. <c>error</c>: why it did not pass.</summary>
public sealed record ProbeResult(string Template, string? Name, string? Method, string? Path, bool Passed, int Status, string? Error, double DurationMs);

public sealed record ProbeReport(IReadOnlyList<ProbeResult> Results);

/// <summary>Asks an owner to repeat a sample of its readers' requests at a member for so long (1 to 600 s). <c>share</c>: above 0, at most 1; 0 ends it.</summary>
public sealed record ShadowRequest(string To, double Share, int Seconds);

/// <summary>What became of the samples since this incarnation started. <c>dropped</c>: the queue was full; <c>failed</c>: the member took none or did not answer.</summary>
public sealed record ShadowSampling(string? To, double Share, long Sent, long Dropped, long Failed);

public sealed record ShadowHeader(string Name, string Value);

/// <summary>A reader's request and the answer that its owner gave, from the document that had seen all up to epoch <c>base</c>, and <c>sequence</c> changes of <c>epoch</c>.</summary>
public sealed record ShadowRead(
    string Endpoint, long Base, long Epoch, long Sequence, string Method, string Target, IReadOnlyList<ShadowHeader> Headers, int Status, string? ContentType, byte[] Body);

/// <summary>Where two versions answered differently; each value is cut at 256 characters.</summary>
public sealed record ShadowDifference(string Endpoint, string Path, string Reason, string Expected, string Got);

/// <summary>What shadow reads showed here since this incarnation started. <c>skipped</c>: its document was another one; <c>failed</c>: nothing could be compared. <c>examples</c>: the last 16.</summary>
public sealed record ShadowReport(long Compared, long Different, long Skipped, long Failed, IReadOnlyList<ShadowDifference> Examples);

/// <summary>A record that could not be read: its place in the log, and its bytes in base64, up to 64 KiB.</summary>
public sealed record SetAsideItem(long Offset, string Reason, int Length, string Bytes);

/// <summary>How many records were set aside since the member started, and the last 16 of them.</summary>
public sealed record SetAsideReport(long Count, IReadOnlyList<SetAsideItem> Kept);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(HandoffRequest))]
[JsonSerializable(typeof(SealRequest))]
[JsonSerializable(typeof(MapVersionNotice))]
[JsonSerializable(typeof(SuspectReport))]
[JsonSerializable(typeof(HandoffStatus))]
[JsonSerializable(typeof(WireEntry))]
[JsonSerializable(typeof(RouteProbe))]
[JsonSerializable(typeof(ReachReport))]
[JsonSerializable(typeof(MemberStatus))]
[JsonSerializable(typeof(SetAsideReport))]
[JsonSerializable(typeof(WarmRequest))]
[JsonSerializable(typeof(WarmStatus))]
[JsonSerializable(typeof(ProbeRequest))]
[JsonSerializable(typeof(ProbeReport))]
[JsonSerializable(typeof(ShadowRequest))]
[JsonSerializable(typeof(ShadowSampling))]
[JsonSerializable(typeof(ShadowRead))]
[JsonSerializable(typeof(ShadowReport))]
[JsonSerializable(typeof(BusyReport))]
[JsonSerializable(typeof(Problem))]
public sealed partial class MemberJson : JsonSerializerContext;
