using System.ComponentModel.DataAnnotations;
using ShardCloud.Identity;
using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime;

/// <summary>Settings of one member. Checked at start; section <c>ShardCloud</c>, environment <c>ShardCloud__Shard</c> and so on.</summary>
public sealed class ShardRuntimeOptions
{
    /// <summary>Name of the section.</summary>
    public const string SectionName = "ShardCloud";

    /// <summary>Application whose map and log this member follows: 1 to 40 of a-z, 0-9 and '-'.</summary>
    [Required, RegularExpression("^[a-z0-9-]{1,40}$")]
    public string Application { get; set; } = "";

    /// <summary>Shard (or router) this process is an incarnation of.</summary>
    [Required]
    public string Shard { get; set; } = "";

    /// <summary>Default <see cref="MemberRole.Shard"/>.</summary>
    public MemberRole Role { get; set; } = MemberRole.Shard;

    /// <summary>Members of different fault domains do not fail together; backups are chosen across them. Default: the machine's name.</summary>
    public string FaultDomain { get; set; } = Environment.MachineName;

    /// <summary>Version of the application, shown in status and used by staged updates.</summary>
    public string ApplicationVersion { get; set; } = "1.0.0";

    /// <summary>Handle the shard host knows this process by; empty where no host started it.</summary>
    public string HostHandle { get; set; } = "";

    /// <summary>When an answer may leave: <c>log</c> (default), <c>replica</c>, <c>lease</c> or <c>memory</c>; docs/guarantees.md weighs them.</summary>
    [RegularExpression("^(log|replica|lease|memory)$", ErrorMessage = "ShardCloud:Ack is log, replica, lease or memory.")]
    public string Ack { get; set; } = "log";

    /// <summary>What reads rest on: <c>lease</c> (default) or <c>log</c>, which needs no clock and waits as long as a write; docs/protocol/replication.md.</summary>
    [RegularExpression("^(lease|log)$", ErrorMessage = "ShardCloud:Reads is lease or log.")]
    public string Reads { get; set; } = "lease";

    /// <summary>Azure Storage of map, leases and snapshots.</summary>
    public StorageOptions Storage { get; set; } = new();

    /// <summary>Event Hubs (Kafka protocol).</summary>
    public LogSettings Log { get; set; } = new();

    /// <summary>How members recognise each other and the Orchestrator.</summary>
    public AuthOptions Auth { get; set; } = new();

    /// <summary>Listener for other members: HTTP/2, cleartext, never reachable from outside.</summary>
    public ListenerSettings Member { get; set; } = new();

    /// <summary>Listener for clients: HTTP/1.1 and HTTP/2.</summary>
    public ListenerSettings Public { get; set; } = new();

    /// <summary>Lease of this member.</summary>
    public LeaseSettings Lease { get; set; } = new();

    /// <summary>How a member stops.</summary>
    public StopSettings Stop { get; set; } = new();

    /// <summary>Who confirms that another member's process has ended.</summary>
    public WitnessSettings Witness { get; set; } = new();

    /// <summary>Who is told of take-overs.</summary>
    public OrchestratorSettings Orchestrator { get; set; } = new();

    /// <summary>Forwarding and its limits.</summary>
    public ProxySettings Proxy { get; set; } = new();

    /// <summary>Event streams that pass through this member.</summary>
    public StreamSettings Streams { get; set; } = new();

    /// <summary>Parking and its limits.</summary>
    public ParkingSettings Parking { get; set; } = new();

    /// <summary>Exactly-once requests and the queue in front of a handler.</summary>
    public RequestSettings Requests { get; set; } = new();

    /// <summary>An application in any language beside the runtime; of the runtime as a program, not of the library.</summary>
    public Sidecar.AppSettings App { get; set; } = new();

    /// <summary>Calls between endpoints that are recorded with a change.</summary>
    public OutboxSettings Outbox { get; set; } = new();

    /// <summary>WebSockets and their limits.</summary>
    public SocketSettings Sockets { get; set; } = new();

    /// <summary>When documents that hold nothing any more leave the replicas.</summary>
    public SpentSettings Spent { get; set; } = new();

    /// <summary>Observation of which endpoints are used together.</summary>
    public Affinity.AffinitySettings Affinity { get; set; } = new();
}

/// <summary>The log.</summary>
public sealed class LogSettings
{
    /// <summary>Kafka endpoint of the Event Hubs namespace, <c>host:port</c>.</summary>
    [Required]
    public string BootstrapServers { get; set; } = "";

    /// <summary>Hub of deltas.</summary>
    public string Hub { get; set; } = "deltas";

    /// <summary>Hub of control records; one partition.</summary>
    public string ControlHub { get; set; } = "control";

    /// <summary><c>none</c>, <c>key</c> (SASL PLAIN with <see cref="ConnectionString"/>) or <c>entra</c> (SASL OAUTHBEARER over TLS).</summary>
    [RegularExpression("^(none|key|entra)$")]
    public string Security { get; set; } = "none";

    /// <summary>Connection string of the namespace, for <c>key</c>. A secret: give it by the environment or a vault, never on a command line.</summary>
    public string? ConnectionString { get; set; }

    /// <summary>
    /// Throughput units of the namespace, shared evenly by the live shards: each keeps to 900 records/s and 0.9 MB/s a unit, divided by their number (a tenth is left for
    /// control records). Default 0: no budget; a namespace over its quota then answers late, and groups grow by that alone.
    /// </summary>
    [Range(0, 1_000)]
    public int ThroughputUnits { get; set; }

    /// <summary>Records a second that this member may append, instead of its share of <see cref="ThroughputUnits"/>. Default 0: the share.</summary>
    [Range(0, 1_000_000)]
    public double RecordsPerSecond { get; set; }

    /// <summary>Bytes a second that this member may append, instead of its share of <see cref="ThroughputUnits"/>. Default 0: the share.</summary>
    [Range(0, 1_000_000_000)]
    public double BytesPerSecond { get; set; }

    /// <summary>What one of so many live shards may append; 0: no limit.</summary>
    internal (double RecordsPerSecond, double BytesPerSecond) BudgetOf(int shards)
    {
        var share = 0.9 * ThroughputUnits / Math.Max(shards, 1);
        return (RecordsPerSecond > 0 ? RecordsPerSecond : share * 1_000, BytesPerSecond > 0 ? BytesPerSecond : share * 1_000_000);
    }
}

/// <summary>Spent documents; docs/protocol/forgetting.md.</summary>
public sealed class SpentSettings
{
    /// <summary>Spent documents that a shard holds in an Event Hub partition before it renews its grant there so that they leave, and no fewer than hold something. Default 10,000.</summary>
    [Range(1, 10_000_000)]
    public int Least { get; set; } = 10_000;

    /// <summary>Least time between two renewals of a partition: each costs its endpoints the pause of a move. Default 10 min.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00")]
    public TimeSpan Every { get; set; } = TimeSpan.FromMinutes(10);
}

/// <summary>One listener.</summary>
public sealed class ListenerSettings
{
    /// <summary>Address to bind; port 0 takes a free one, which the member row then reports.</summary>
    public Uri Url { get; set; } = new("http://127.0.0.1:0");

    /// <summary>Address others call it by, where something stands in between (address translation, a relay); null (default): the bound one.</summary>
    public Uri? AdvertisedUrl { get; set; }

    /// <summary>
    /// Front ends before the public listener whose word on the client's address and scheme is believed. 1: the last value of <c>X-Forwarded-For</c> and <c>-Proto</c> is the platform's
    /// (App Service, Container Apps). Set it only where clients cannot come around that front end. Default 0: none; all such fields are dropped.
    /// </summary>
    [Range(0, 1)]
    public int TrustedHops { get; set; }

    /// <summary>
    /// A second public listener that speaks HTTP/2 without TLS and nothing else, for gRPC: on one cleartext port a server cannot offer both versions. A front end sends it what needs HTTP/2, as
    /// App Service does with <c>HTTP20_ONLY_PORT</c>. Default null: none. Without meaning for the member listener.
    /// </summary>
    public Uri? Http2Url { get; set; }

    /// <summary>Connections at the same time, over both listeners together; past it the newest are closed. Default 10,000.</summary>
    [Range(16, 1_000_000)]
    public int ConnectionsMax { get; set; } = 10_000;
}

/// <summary>Lease.</summary>
public sealed class LeaseSettings
{
    /// <summary>Default 15 s: a storage stall of seconds is ordinary and must not stop every shard at once. 2 s on a laptop.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:05:00")]
    public TimeSpan Length { get; set; } = TimeSpan.FromSeconds(15);
}

/// <summary>Stopping a member.</summary>
public sealed class StopSettings
{
    /// <summary>
    /// From the signal to stop until the process ends, at most: below what its host gives it before it kills. Of a shard's, three quarters are for handing over what it owns, the rest for open requests and
    /// the log; what was not moved then falls to its backups. A router closes its sockets over it (<see cref="SocketSettings.DrainFor"/>). Default 115 s, for App Service with
    /// <c>WEBSITES_CONTAINER_STOP_TIME_LIMIT=120</c>; 20 s in the local cloud.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:04", "00:10:00")]
    public TimeSpan Within { get; set; } = TimeSpan.FromSeconds(115);

    /// <summary>The part of it that is for handing over.</summary>
    internal TimeSpan HandOverWithin => Within * 3 / 4;
}

/// <summary>Whoever runs the members' processes and sees them end.</summary>
public sealed class WitnessSettings
{
    /// <summary>Base address of a shard host that has the capability <c>ConfirmsDeath</c>, with a slash at its end. Default null: none, and only leases tell.</summary>
    public Uri? Url { get; set; }

    /// <summary>For one answer; without one the lease decides. Default 500 ms.</summary>
    [Range(typeof(TimeSpan), "00:00:00.050", "00:00:10")]
    public TimeSpan Timeout { get; set; } = TimeSpan.FromMilliseconds(500);
}

/// <summary>The Orchestrator, as far as members know it: no request and no take-over waits for it.</summary>
public sealed class OrchestratorSettings
{
    /// <summary>Base address of its API, with a slash at its end. Default null: take-overs are not reported, and it finds them in the map.</summary>
    public Uri? Url { get; set; }
}

/// <summary>Forwarding.</summary>
public sealed class ProxySettings
{
    /// <summary>Legs between members for one request, at most. Default 3: stale router, destination, source.</summary>
    [Range(1, 8)]
    public int HopsMax { get; set; } = 3;

    /// <summary>Bodies up to this many bytes are held until an answer's headers arrive, so that the request can be repeated; larger ones are streamed once.</summary>
    /// <value>Default 64 KiB.</value>
    [Range(0, 1024 * 1024)]
    public int RepeatableBodyBytesMax { get; set; } = 64 * 1024;

    /// <summary>Largest request body, in bytes. Default 30 MB.</summary>
    [Range(1, long.MaxValue)]
    public long BodyBytesMax { get; set; } = 30_000_000;

    /// <summary>Time to connect to another member before it counts as unreachable. Default 1 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00.050", "00:00:30")]
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>A member that could not be reached is not tried again for this long. Default 250 ms.</summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "00:00:30")]
    public TimeSpan SuspectFor { get; set; } = TimeSpan.FromMilliseconds(250);
}

/// <summary>Parking: requests whose endpoint nobody can serve just now wait here instead of failing.</summary>
public sealed class ParkingSettings
{
    /// <summary>Parked requests of one endpoint, at most; past it 503 (SC4003). Default 1,000.</summary>
    [Range(1, 1_000_000)]
    public int PerEndpointMax { get; set; } = 1_000;

    /// <summary>Parked requests of this member, at most; past it 503 (SC4003). Default 10,000.</summary>
    [Range(1, 1_000_000)]
    public int TotalMax { get; set; } = 10_000;

    /// <summary>Bytes of held bodies of parked requests, at most; past it 503 (SC4003). Default 64 MiB.</summary>
    [Range(0, long.MaxValue)]
    public long BytesMax { get; set; } = 64 * 1024 * 1024;

    /// <summary>Bytes of held bodies of one endpoint's parked requests, at most; past it 503 (SC4003). A hot endpoint cannot take all of <see cref="BytesMax"/>. Default 16 MiB.</summary>
    [Range(0, long.MaxValue)]
    public long PerEndpointBytesMax { get; set; } = 16 * 1024 * 1024;

    /// <summary>How long a request may be parked in all; past it 503 (SC4004). Null: 1.1 lease lengths + 10 s, which is also the least allowed (a shorter one would end before a crash is settled).</summary>
    public TimeSpan? TimeMax { get; set; }
}

/// <summary>Exactly-once requests and the queue in front of a handler.</summary>
public sealed class RequestSettings
{
    /// <summary>Unsafe requests that wait for one endpoint's handler, at most; past it 503 (SC4011). Default 1,000.</summary>
    [Range(1, 1_000_000)]
    public int QueueMax { get; set; } = 1_000;

    /// <summary>Completion records one document may hold; past it 503 (SC4009). Default 256.</summary>
    [Range(1, 100_000)]
    public int RecordsMax { get; set; } = 256;

    /// <summary>Largest answer body that a completion record keeps; of a larger one only the status is kept (SC4010). Default 16 KiB.</summary>
    [Range(0, 64 * 1024)]
    public int RecordedBodyBytesMax { get; set; } = 16 * 1024;

    /// <summary>A completion record is dropped with the first write after this time, counted by its owner from the answer and anew from every grant. Default 2 minutes.</summary>
    [Range(typeof(TimeSpan), "00:00:10", "01:00:00")]
    public TimeSpan RecordsExpireAfter { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>Answer bytes held until they may leave. A reader's longer answer is released piece by piece; a changing request's longer answer is refused (SC4006). Default 1 MiB.</summary>
    [Range(1024, 64 * 1024 * 1024)]
    public int AnswerBytesMax { get; set; } = 1024 * 1024;
}

/// <summary>WebSockets; docs/protocol/sockets.md.</summary>
public sealed class SocketSettings
{
    /// <summary>Largest message, in bytes, fragments together; a client's larger one closes its socket with 1009. Default 64 KiB.</summary>
    [Range(1, 1024 * 1024)]
    public int MessageBytesMax { get; set; } = 64 * 1024;

    /// <summary>Messages of one direction that may be under way without confirmation; past it the sender waits. Default 256.</summary>
    [Range(1, 10_000)]
    public int InFlightMax { get; set; } = 256;

    /// <summary>Bytes of one direction that may be under way without confirmation; past it the sender waits, but one message may always go. Default 256 KiB.</summary>
    [Range(1, 16 * 1024 * 1024)]
    public int InFlightBytesMax { get; set; } = 256 * 1024;

    /// <summary>The client is pinged this often when it is silent, so that no front end cuts the connection (App Service: 230 s). Default 30 s.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:03:00")]
    public TimeSpan PingEvery { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>A client that does not answer a ping for this long is gone. Default 20 s.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:03:00")]
    public TimeSpan PongWithin { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>A socket without a message in either direction for this long is closed with 1000. Default: never.</summary>
    public TimeSpan? IdleMax { get; set; }

    /// <summary>How long a connection with a resume token waits for its client after its last leg. Default 2 minutes.</summary>
    [Range(typeof(TimeSpan), "00:00:05", "01:00:00")]
    public TimeSpan ResumeFor { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>A member that stops closes its clients' sockets (1012) spread over this time, so that they do not all come back at once. Default 2 minutes, bounded by <c>ShardCloud:Stop:Within</c> less 10 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "01:00:00")]
    public TimeSpan DrainFor { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>Compresses messages to and from clients that offer it (RFC 7692). Default false: it costs memory for each socket, and secrets beside what a client chooses can be guessed from lengths.</summary>
    public bool Compression { get; set; }
}

/// <summary>Calls between endpoints that are recorded with a change: docs/calls.md.</summary>
public sealed class OutboxSettings
{
    /// <summary>Messages that may wait in one endpoint's outbox; past it posting fails (SC4017, 503). Default 256.</summary>
    [Range(1, 10_000)]
    public int MessagesMax { get; set; } = 256;

    /// <summary>Bytes that may wait in one endpoint's outbox; past it posting fails (SC4017, 503). Default 128 KiB, a quarter of a document.</summary>
    [Range(1024, 256 * 1024)]
    public int BytesMax { get; set; } = 128 * 1024;

    /// <summary>How long a message that gets no final answer is repeated, with pauses that grow to 30 s, before it is set aside. The same at all members. Default 24 hours.</summary>
    [Range(typeof(TimeSpan), "00:01:00", "7.00:00:00")]
    public TimeSpan RepeatFor { get; set; } = TimeSpan.FromHours(24);

    /// <summary>Sending endpoints whose receipts one endpoint keeps. A receipt goes only for another's, and only twice <see cref="RepeatFor"/> after its last message; with none such, the new sender's message is refused (SC4018, 503) and repeated. Default 1,000: about 50 KB.</summary>
    [Range(1, 5_000)]
    public int SendersMax { get; set; } = 1_000;
}
