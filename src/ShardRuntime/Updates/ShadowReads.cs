using ShardCloud.Contracts;
using ShardCloud.Crdt;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Calls;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>At the new version: answers requests that an owner has answered, on the document that it answered from, and compares. Nobody gets these answers.</summary>
internal sealed class ShadowReads(IReplicas replicas, ScratchRuns scratches, ShardTemplates templates, IMapView maps, OutboxRules posting, TimeProvider time)
{
    /// <summary>Examples that are kept, the last ones.</summary>
    public const int ExamplesMax = 16;

    private const int AtOnce = 64, CharactersMax = 256;

    /// <summary>How long this member's replica has to get to where the owner was.</summary>
    public static readonly TimeSpan ReachWithin = TimeSpan.FromSeconds(2);

    /// <summary>How long the handler has.</summary>
    public static readonly TimeSpan RunWithin = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private readonly Queue<ShadowDifference> _examples = [];
    private long _compared, _different, _skipped, _failed;
    private int _running;

    /// <summary>All since the start.</summary>
    public ShadowReport Report
    {
        get
        {
            lock (_gate) return new ShadowReport(_compared, _different, _skipped, _failed, [.. _examples]);
        }
    }

    /// <summary>Answers one, and counts what came of it.</summary>
    /// <exception cref="ShardCloudException">SC5020, SC1001: not a read. SC5008: too many at once.</exception>
    public async Task CompareAsync(ShadowRead read, CancellationToken cancellationToken)
    {
        if (!HttpMethods.IsGet(read.Method) || read.Target is not ['/', ..] || read.Body.Length > ShadowSampler.BodyBytesMax)
            throw UpdateErrors.BadValue($"A shadow read is a GET of a path, answered with at most {ShadowSampler.BodyBytesMax} bytes.", "See docs/protocol/members.md.");
        var (endpoint, at) = (EndpointKey.Normalise(read.Endpoint), new ShadowContext(read.Base, read.Epoch, read.Sequence).ToContext());
        if (Interlocked.Increment(ref _running) > AtOnce)
        {
            Interlocked.Decrement(ref _running);
            throw new ShardCloudException(ErrorCodes.OverLimit, $"{AtOnce} shadow reads run here already.", "Sample a smaller share.");
        }
        try
        {
            if (await DocumentAsync(endpoint, at, cancellationToken) is { } document) await CompareAsync(read, endpoint, document, cancellationToken);
            else Count(ref _skipped);
        }
        finally
        {
            Interlocked.Decrement(ref _running);
        }
    }

    /// <summary>The very document that the owner answered from; null: this member's has gone further, does not get there, or there is none.</summary>
    private async Task<Document?> DocumentAsync(EndpointId endpoint, CausalContext at, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(ReachWithin, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            return await replicas.SeenAsync(endpoint, at, either.Token) is { } document && document.Context == at ? document : null;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return null;
        }
    }

    private async Task CompareAsync(ShadowRead read, EndpointId endpoint, Document document, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(RunWithin, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        var scratch = new Scratch(endpoint, document, maps.Current.Templates.ModeOf(endpoint) is Mode.Convergent ? null : posting);
        try
        {
            var answer = await scratches.SendAsync(scratch, read.Method, read.Target, read.Headers, default, either.Token);
            if (scratch.Refused is not null) Count(ref _skipped); // It rests on more than its document.
            else Compared(read, AnswerComparison.DifferenceOf(new ProbeAnswer(read.Status, read.ContentType, read.Body), answer, templates.ContractOf(read.Target)?.Rules ?? new ShadowRules()));
        }
        catch (Exception error) when (error is HttpRequestException or IOException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            Count(ref _failed);
        }
    }

    private void Compared(ShadowRead read, AnswerDifference? difference)
    {
        lock (_gate)
        {
            _compared++;
            if (difference is null) return;
            _different++;
            if (_examples.Count == ExamplesMax) _examples.Dequeue();
            _examples.Enqueue(new ShadowDifference(read.Endpoint, Cut(read.Target), Cut(difference.Reason), Cut(difference.Expected), Cut(difference.Got)));
        }
    }

    private void Count(ref long counter)
    {
        lock (_gate) counter++;
    }

    private static string Cut(string text) => text.Length <= CharactersMax ? text : text[..CharactersMax];
}
