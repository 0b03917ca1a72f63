using System.Threading.Channels;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.Sessions;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>At an owner: picks readers' requests, once they are answered, that another version is to answer too.</summary>
/// <remarks>
/// Only answers that one document explains: of a GET without a body at an exclusive endpoint, held whole, without session, calls or a followed state. The queue is bounded, nobody waits for it, and a request that
/// is not picked costs nothing.
/// </remarks>
internal sealed class ShadowSampler(TimeProvider time)
{
    /// <summary>Picked requests that wait to be sent, at most; past it they are dropped and counted.</summary>
    public const int QueueMax = 256;

    /// <summary>Largest answer that is compared.</summary>
    public const int BodyBytesMax = 64 * 1024;

    private static readonly HashSet<string> NotRepeated = new(StringComparer.OrdinalIgnoreCase)
    {
        "Connection", "Keep-Alive", "TE", "Transfer-Encoding", "Content-Length", "Expect", "Upgrade", "Proxy-Connection", "traceparent", "tracestate",
    };

    private readonly Channel<(IncarnationId To, ShadowRead Read)> _queue = Channel.CreateBounded<(IncarnationId, ShadowRead)>(QueueMax); // Wait mode: a write to a full one fails.
    private volatile Sampling? _sampling;
    private long _picked, _sent, _dropped, _failed;

    /// <summary>What waits to be sent.</summary>
    public ChannelReader<(IncarnationId To, ShadowRead Read)> Queue => _queue.Reader;

    /// <summary>Where it stands.</summary>
    public ShadowSampling Status
    {
        get
        {
            var now = _sampling is { } sampling && time.GetUtcNow() < sampling.Until ? sampling : null;
            return new ShadowSampling(now?.To.Value, now?.Share ?? 0, Interlocked.Read(ref _sent), Interlocked.Read(ref _dropped), Interlocked.Read(ref _failed));
        }
    }

    /// <summary>How many were picked: those that were sent, dropped or failed, and those that wait.</summary>
    public long Picked => Interlocked.Read(ref _picked);

    /// <summary>Begins, goes on, or with a share of 0 ends.</summary>
    public void Begin(IncarnationId to, double share, TimeSpan within) => _sampling = share == 0 ? null : new Sampling(to, share, time.GetUtcNow() + within);

    /// <summary>True for the share of the requests that is asked for.</summary>
    public bool IsDue(string method) => _sampling is { } sampling && HttpMethods.IsGet(method) && Random.Shared.NextDouble() < sampling.Share && time.GetUtcNow() < sampling.Until;

    /// <summary>A reader was answered, and its turn has come.</summary>
    public void Offer(HttpContext context, EndpointRequest request, EndpointState state, IOwnedState owned, ReadOnlyMemory<byte> answer)
    {
        if (_sampling is not { } sampling || !IsComparable(context, request, state, owned, answer) || !ShadowContext.TryOf(state.Shown!.Context, out var at)) return;
        Interlocked.Increment(ref _picked);
        if (_queue.Reader.Count >= QueueMax || !_queue.Writer.TryWrite((sampling.To, ReadOf(context, request.Endpoint, at, answer)))) Interlocked.Increment(ref _dropped);
    }

    /// <summary>It was compared, or at least looked at.</summary>
    public void Sent() => Interlocked.Increment(ref _sent);

    /// <summary>It was not.</summary>
    public void Failed() => Interlocked.Increment(ref _failed);

    private static bool IsComparable(HttpContext context, EndpointRequest request, EndpointState state, IOwnedState owned, ReadOnlyMemory<byte> answer) =>
        !owned.IsConvergent && !BuiltInEndpoints.Has(request.Endpoint) && request.Body is { IsWhole: true, Held.IsEmpty: true } && state is { Calls: null, IsFollowed: false }
        && context.Features.Get<SessionWork>()?.Session is not { IsUsed: true } && context.Response.StatusCode < StatusCodes.Status500InternalServerError
        && answer.Length <= BodyBytesMax && context.Response.Headers.ContentEncoding.Count == 0;

    private static ShadowRead ReadOf(HttpContext context, EndpointId endpoint, ShadowContext at, ReadOnlyMemory<byte> answer)
    {
        List<ShadowHeader> headers = [new(ShardHeaders.Client, ForwardedIdentity.Of(context))];
        foreach (var (name, values) in context.Request.Headers)
        {
            if (NotRepeated.Contains(name) || LegHeaders.IsOurs(name)) continue;
            foreach (var value in values) headers.Add(new ShadowHeader(name, value ?? ""));
        }
        return new ShadowRead(endpoint.Value, at.Base, at.Epoch, at.Sequence, context.Request.Method, Arrival.RawTargetOf(context), headers, context.Response.StatusCode, context.Response.ContentType, answer.ToArray());
    }

    private sealed record Sampling(IncarnationId To, double Share, DateTimeOffset Until);
}

/// <summary>Sends what was picked, a few at a time.</summary>
internal sealed class ShadowSender(ShadowSampler sampler, IMapView maps, MemberClient members, TimeProvider time) : BackgroundService
{
    private const int AtOnce = 4;

    /// <summary>For the other member's replica to get there, its handler, and the way.</summary>
    private static readonly TimeSpan AnswerWithin = ShadowReads.ReachWithin + ShadowReads.RunWithin + TimeSpan.FromSeconds(1);

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(Enumerable.Range(0, AtOnce).Select(_ => RunAsync(stoppingToken)));

    private async Task RunAsync(CancellationToken stoppingToken)
    {
        try
        {
            await foreach (var (to, read) in sampler.Queue.ReadAllAsync(stoppingToken))
            {
                if (await TrySendAsync(to, read, stoppingToken)) sampler.Sent();
                else sampler.Failed();
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The member stops; what was picked is of no use any more.
        }
    }

    private async Task<bool> TrySendAsync(IncarnationId to, ShadowRead read, CancellationToken stoppingToken)
    {
        if (!maps.Current.Live.TryGetValue(to, out var member)) return false;
        using var late = new CancellationTokenSource(AnswerWithin, time);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(late.Token, stoppingToken);
        try
        {
            (await members.PostAsync(member.MemberAddress, "/_shard/shadow/reads", read, MemberJson.Default.ShadowRead, limit.Token)).Dispose();
            return true;
        }
        catch (Exception error) when (error is HttpRequestException or IOException or ShardCloudException || (error is OperationCanceledException && !stoppingToken.IsCancellationRequested))
        {
            return false;
        }
    }
}
