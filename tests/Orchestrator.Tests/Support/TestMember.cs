using System.Collections.Concurrent;
using System.IO.Compression;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using ShardCloud.Contracts;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Tests.Support;

/// <summary>A member as the Orchestrator sees it: a row with a lease, a place in the map, and a member listener (HTTP/2 cleartext) that plays the
/// destination's part of a handoff on the real map. Tests hold it at a phase or let it go silent.</summary>
public sealed class TestMember : IAsyncDisposable
{
    private static readonly HttpClient Peers = new();
    private volatile TaskCompletionSource? _stall;

    private readonly WebApplication _app;
    private readonly MapStore _store;
    private readonly MemberDirectory _directory;
    private readonly ConcurrentDictionary<long, Handoff> _handoffs = new();
    private readonly CancellationTokenSource _stop = new();
    private MemberRow _row = null!;
    private Task _renewing = Task.CompletedTask;

    private TestMember(WebApplication app, MapStore store, MemberDirectory directory, IncarnationId incarnation, string version) =>
        (_app, _store, _directory, Incarnation, Version) = (app, store, directory, incarnation, version);

    public IncarnationId Incarnation { get; }

    public string Version { get; }

    /// <summary>What its application has answered since it started, as its status tells.</summary>
    public MemberTraffic Traffic { get; set; } = new(0, 0, []);

    /// <summary>Processor time that it has used since it started.</summary>
    public MemberLoad? Load { get; set; }

    /// <summary>Requests that it has parked.</summary>
    public long Parked { get; set; }

    /// <summary>Answer to the contract probes.</summary>
    public ProbeReport Probes { get; set; } = new([new ProbeResult("/rooms/{room}", "counts", "GET", "/rooms/probe", Passed: true, 200, null, 1)]);

    /// <summary>What shadow reads have shown here.</summary>
    public ShadowReport Shadow { get; set; } = new(100, 0, 0, 0, []);

    /// <summary>What it says is in use.</summary>
    public BusyReport Busy { get; set; } = new([], [], false);

    /// <summary>What it observed of its endpoints' use, as bytes; null: it does not know the call.</summary>
    public byte[]? Affinity { get; set; }

    /// <summary>False: it answers that unpacked, as members of older releases do. Null: it says that it is packed, and it is not.</summary>
    public bool? AffinityPacked { get; set; } = true;

    /// <summary>The last request for shadow reads.</summary>
    public ShadowRequest? Shadowing { get; private set; }

    /// <summary>Event Hub partitions that it was last asked to hold.</summary>
    public IReadOnlyList<int>? Warmed { get; private set; }

    public string Address { get; private set; } = "";

    /// <summary>Handoffs stop before this phase until it is set to null.</summary>
    public HandoffPhase? HoldBefore { get; set; }

    /// <summary>True: every request waits, though the lease is renewed, as when its threads are all busy.</summary>
    public bool IsStalled
    {
        set
        {
            if (value) _stall ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            else Interlocked.Exchange(ref _stall, null)?.SetResult();
        }
    }

    /// <summary>Requests seen, as <c>POST /_shard/...</c>.</summary>
    public ConcurrentQueue<string> Seen { get; } = new();

    /// <summary>True: Retired is reported only after the Orchestrator has asked for it, as where the source was fenced.</summary>
    public bool RetiresOnlyWhenAsked { get; set; }

    /// <summary>True: as a destination it says no when asked whether it is ready for the grant.</summary>
    public bool RefusesToVerify { get; set; }

    public static async Task<TestMember> StartAsync(MapStore store, MemberDirectory directory, string shard, TimeSpan lease, MemberRole role = MemberRole.Shard, string version = "1.0.0", string handle = "")
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        var app = builder.Build();
        var member = new TestMember(app, store, directory, IncarnationId.New(new ShardId(shard)), version);
        member.Map(app);
        await app.StartAsync();
        member.Address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        await member.RegisterAsync(role, lease, handle);
        return member;
    }

    /// <summary>Stops answering and renewing, as a killed process does.</summary>
    public async Task KillAsync()
    {
        await _stop.CancelAsync();
        await _app.StopAsync(new CancellationToken(canceled: true));
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _renewing;
        await _app.DisposeAsync();
    }

    private async Task RegisterAsync(MemberRole role, TimeSpan lease, string handle)
    {
        await _directory.EnsureCreatedAsync();
        _row = await _directory.RegisterAsync(new MemberRow
        {
            Incarnation = Incarnation,
            Role = role,
            MemberAddress = Address,
            PublicAddress = Address,
            FaultDomain = Incarnation.Value,
            ApplicationVersion = Version,
            HostHandle = handle,
            LeaseLength = lease,
            State = MemberState.Ready,
            Pid = Environment.ProcessId,
        });
        if (role == MemberRole.Shard)
        {
            var live = new LiveMember(Incarnation, Address, Address, Version, Incarnation.Value, Cordoned: false, Ready: true);
            var joined = await _store.CommitAsync(_ => new MapCommit("join", "test", [new Join(live), new MarkReady(Incarnation)]));
            Assert.Equal(CommitOutcome.Committed, joined.Outcome);
        }
        _renewing = RenewAsync(lease);
    }

    private async Task RenewAsync(TimeSpan lease)
    {
        using var ticks = new PeriodicTimer(lease / 5);
        try
        {
            while (await ticks.WaitForNextTickAsync(_stop.Token))
            {
                var renewed = await _directory.RenewAsync(_row with
                {
                    RenewalCount = _row.RenewalCount + 1,
                    AppliedMapVersion = await _store.ReadHeadVersionAsync(_stop.Token),
                }, _stop.Token);
                _row = renewed.Row;
                if (_row.IsFinal) return;
            }
        }
        catch (OperationCanceledException)
        {
            // The test is over, or this member is killed.
        }
    }

    private void Map(WebApplication app)
    {
        app.Use(async (context, next) =>
        {
            Seen.Enqueue($"{context.Request.Method} {context.Request.Path}");
            Assert.StartsWith("Bearer ", context.Request.Headers.Authorization.ToString(), StringComparison.Ordinal);
            if (_stall is { } stall) await stall.Task.WaitAsync(context.RequestAborted);
            await next(context);
        });
        app.MapPost("/_shard/handoffs", async (HttpContext context) =>
        {
            var request = (await context.Request.ReadFromJsonAsync(MemberJson.Default.HandoffRequest))!;
            _handoffs.TryAdd(request.Handoff, new Handoff(request));
            return Results.Accepted();
        });
        app.MapGet("/_shard/handoffs/{h}", (long h, string waitFor, int timeoutMs) => WaitForAsync(h, Enum.Parse<HandoffPhase>(waitFor, ignoreCase: true), timeoutMs));
        app.MapPost("/_shard/handoffs/{h}/verify", (long h) => RefusesToVerify ? Results.StatusCode(StatusCodes.Status409Conflict) : Results.Ok());
        app.MapPost("/_shard/handoffs/{h}/go", (long h) => _handoffs[h].Going = true);
        app.MapPost("/_shard/handoffs/{h}/cancelled", (long h) => Results.Ok());
        app.MapPost("/_shard/handoffs/{h}/retire", (long h) => _handoffs[h].AskedToRetire = true);
        app.MapGet("/_shard/route", async (string endpoint) =>
        {
            var map = await _store.LoadAsync();
            if (endpoint.Length == 0) return Results.BadRequest();
            var entry = map.Lookup(new EndpointId(endpoint))!;
            return Results.Json(new RouteProbe(endpoint, "forward", entry.Owner.Value, entry.To.Value, entry.Epoch.Value, map.Version.Value, true), MemberJson.Default.RouteProbe);
        });
        app.MapGet("/_shard/reach", async (string member, int timeoutMs) =>
        {
            using var limit = new CancellationTokenSource(timeoutMs);
            try
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, $"{(await _store.LoadAsync()).Live[new IncarnationId(member)].MemberAddress}/_shard/status")
                {
                    Version = HttpVersion.Version20,
                    VersionPolicy = HttpVersionPolicy.RequestVersionExact,
                };
                request.Headers.Authorization = new("Bearer", "a member's");
                using var answer = await Peers.SendAsync(request, limit.Token);
                return Results.Json(new ReachReport(member, 1), MemberJson.Default.ReachReport);
            }
            catch (Exception error) when (error is OperationCanceledException or HttpRequestException)
            {
                return Results.Json(new ReachReport(member, null), MemberJson.Default.ReachReport);
            }
        });
        app.MapPost("/_shard/map/changed", () => Results.Ok());
        app.MapGet("/_shard/status", async () => Results.Json(new MemberStatus(
            Incarnation.Value, Incarnation.Shard.Value, "shard", Version, Address, Address, Environment.ProcessId, 1_000, (await _store.LoadAsync()).Version.Value, 0, 0, 0, Parked, 0, 0, [], Traffic, null, Load),
            MemberJson.Default.MemberStatus));
        app.MapPut("/_shard/warm", async (HttpContext context) =>
        {
            var request = (await context.Request.ReadFromJsonAsync(MemberJson.Default.WarmRequest))!;
            Warmed = request.Partitions ?? [.. Enumerable.Range(0, 16)];
            return Results.Json(new WarmStatus(Warmed.Count, Warmed.Count, 0, new Dictionary<string, int> { [request.From ?? "blob"] = Warmed.Count }), MemberJson.Default.WarmStatus);
        });
        app.MapGet("/_shard/busy", (int idleSeconds) => idleSeconds > 0 ? Results.Json(Busy, MemberJson.Default.BusyReport) : Results.BadRequest());
        app.MapGet("/_shard/affinity", async (HttpContext context) =>
        {
            if (Affinity is not { } bytes) return Results.NotFound();
            if (AffinityPacked is false) return Results.Bytes(bytes, "application/json");
            Assert.Equal("br", context.Request.Headers.AcceptEncoding.ToString());
            context.Response.Headers.ContentEncoding = "br";
            if (AffinityPacked is null) return Results.Bytes(bytes, "application/json");
            using var packed = new MemoryStream();
            await using (var brotli = new BrotliStream(packed, CompressionLevel.Fastest)) await brotli.WriteAsync(bytes);
            return Results.Bytes(packed.ToArray(), "application/json");
        });
        app.MapPost("/_shard/probes", () => Results.Json(Probes, MemberJson.Default.ProbeReport));
        app.MapPut("/_shard/shadow", async (HttpContext context) =>
        {
            Shadowing = await context.Request.ReadFromJsonAsync(MemberJson.Default.ShadowRequest);
            return Results.Json(new ShadowSampling(Shadowing!.To, Shadowing.Share, 0, 0, 0), MemberJson.Default.ShadowSampling);
        });
        app.MapGet("/_shard/shadow", () => Results.Json(Shadow, MemberJson.Default.ShadowReport));
        app.MapPost("/_shard/leave", async () =>
        {
            await _stop.CancelAsync();
            await _renewing;
            return await _directory.LeaveAsync(_row) ? Results.Ok() : Results.StatusCode(500);
        });
    }

    private async Task<IResult> WaitForAsync(long h, HandoffPhase phase, int timeoutMs)
    {
        if (!_handoffs.TryGetValue(h, out var handoff)) return Results.NotFound();
        if (phase == HandoffPhase.Retired && handoff.Phase < HandoffPhase.Granted && !await IsUnderWayAsync(handoff)) handoff.Phase = HandoffPhase.Cancelled; // A real one hears of each map.
        using var ticks = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        using var limit = new CancellationTokenSource(timeoutMs);
        try
        {
            while (true)
            {
                await StepAsync(handoff);
                if (handoff.Phase >= phase) break;
                await ticks.WaitForNextTickAsync(limit.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // The wait is over: say where it stands.
        }
        return Results.Json(new HandoffStatus(
            h, handoff.Phase, 0, null, [3, 7, 9], 11, new Dictionary<string, double> { ["warm"] = 1, ["seal"] = 2 }, 100, 5, 6, handoff.Granted),
            MemberJson.Default.HandoffStatus);
    }

    private async Task StepAsync(Handoff handoff)
    {
        if (handoff.Phase == HandoffPhase.Warming && May(HandoffPhase.Warm)) handoff.Phase = HandoffPhase.Warm;
        if (handoff.Phase is HandoffPhase.Warm && handoff.Going && May(HandoffPhase.Granted)) await GrantAsync(handoff);
        if (handoff.Phase == HandoffPhase.Serving && May(HandoffPhase.Retired) && (!RetiresOnlyWhenAsked || handoff.AskedToRetire)) handoff.Phase = HandoffPhase.Retired;
    }

    private async Task<bool> IsUnderWayAsync(Handoff handoff)
    {
        var (map, entry) = (await _store.LoadAsync(), EntryKey.Parse(handoff.Request.Entries[0]));
        return (entry.IsEndpoint ? map.Lookup(entry.Endpoint) : map.LookupSlot(new Slot((ushort)entry.Slots.First)))?.Handoff.Value == handoff.Request.Handoff;
    }

    private async Task GrantAsync(Handoff handoff)
    {
        var entries = handoff.Request.Entries.Select(EntryKey.Parse).ToList();
        var commit = await _store.CommitAsync(_ => new MapCommit(
            $"handoff {new HandoffId(handoff.Request.Handoff)}", "the one has what the other had", [new GrantMove(new HandoffId(handoff.Request.Handoff), entries, Incarnation)]));
        handoff.Phase = commit.IsCommitted ? HandoffPhase.Serving : HandoffPhase.Cancelled;
        handoff.Granted = commit.IsCommitted ? commit.Version.Value : 0;
    }

    private bool May(HandoffPhase phase) => HoldBefore is not { } hold || phase < hold;

    private sealed class Handoff(HandoffRequest request)
    {
        public HandoffRequest Request => request;

        public HandoffPhase Phase { get; set; }

        public long Granted { get; set; }

        public bool Going { get; set; }

        public bool AskedToRetire { get; set; }
    }
}
