using System.Collections.Concurrent;
using System.Security.Cryptography;
using ShardCloud.Contracts;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Calls;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.Security;
using ShardCloud.ShardRuntime.Sessions;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>A document that requests are run on apart from everything: nothing that they do to it is appended, replicated, recorded or seen by anybody else.</summary>
internal sealed class Scratch(EndpointId endpoint, Document document, OutboxRules? posting)
{
    private static readonly AsyncLocal<Scratch?> Flowing = new();

    /// <summary>The one that the code which asks is run on; null: none, as always but for probes and shadow reads.</summary>
    public static Scratch? Current => Flowing.Value;

    public EndpointId Endpoint => endpoint;

    /// <summary>What its outbox goes by; null where it has none. Nobody sends what is posted.</summary>
    public OutboxRules? Posting => posting;

    /// <summary>The document, with what the requests so far have changed.</summary>
    public Document Document { get; set; } = document;

    /// <summary>Why an answer says nothing about the application: it needed what a scratch run has not. Null: it did not.</summary>
    public string? Refused { get; private set; }

    /// <summary>The request asked for what belongs to somebody else.</summary>
    public void NotApart(string what) => Refused ??= what;

    /// <summary>A call to another endpoint: it would leave the scratch.</summary>
    public ShardCloudException RefuseCall(EndpointId callee)
    {
        NotApart($"its handler called endpoint '{callee}'");
        return new ShardCloudException(ErrorCodes.NotApart, $"A probe or shadow read of endpoint '{endpoint}' called endpoint '{callee}': its state is another's.", "Probe what the endpoint does by itself.");
    }

    /// <summary>From here on all that the running method starts belongs to it.</summary>
    public void Flow() => Flowing.Value = this;
}

/// <summary>Runs requests on scratch documents through the whole application: listener, middleware, routing and handler, as a client's request would.</summary>
/// <remarks>
/// They come in through this member's own listener, under an id that only this process knows and that is good for one request. In the place of the owner's steps (turn, seal, record, commit, release) stands
/// nothing: the handler gets the scratch's document, and what it changed is the scratch's next document. Sessions are empty and are not kept, calls to other endpoints are refused (SC4050).
/// What a handler does outside of the runtime (a file, another service) happens.
/// </remarks>
internal sealed class ScratchRuns(ShardContext shard, MemberClient members, IMapView maps, RequestSettings settings)
{
    /// <summary>On a request that this process sends to itself.</summary>
    public const string Header = ShardHeaders.Prefix + "Scratch";

    private static readonly Epoch ScratchEpoch = new(1);

    private readonly ConcurrentDictionary<string, Scratch> _expected = new(StringComparer.Ordinal);

    /// <summary>Sends one request to this member's own listener.</summary>
    /// <param name="scratch">What it is run on; one request at a time.</param>
    /// <param name="method">HTTP method.</param>
    /// <param name="target">Path and query, escaped, under the scratch's endpoint.</param>
    /// <param name="headers">As a client sends them; <c>X-Shard-Client</c> says who that is.</param>
    /// <param name="body">Empty: none.</param>
    /// <param name="cancellationToken">Gives up, and so does the handler.</param>
    /// <exception cref="HttpRequestException">The answer broke off.</exception>
    public async Task<ProbeAnswer> SendAsync(Scratch scratch, string method, string target, IEnumerable<ShadowHeader> headers, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        var id = RandomNumberGenerator.GetHexString(32, lowercase: true);
        using var request = new HttpRequestMessage(new HttpMethod(method), new Uri(shard.MemberAddress.TrimEnd('/') + target, new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true }));
        if (!body.IsEmpty) request.Content = new ReadOnlyMemoryContent(body);
        foreach (var (name, value) in headers)
        {
            if (!request.Headers.TryAddWithoutValidation(name, value)) request.Content?.Headers.TryAddWithoutValidation(name, value);
        }
        request.Headers.TryAddWithoutValidation(Header, id);
        _expected[id] = scratch;
        try
        {
            using var response = await members.SendAsync(request, cancellationToken);
            var bytes = await response.Content.ReadAsByteArrayAsync(cancellationToken); // Held by the run, so within its bound.
            return new ProbeAnswer((int)response.StatusCode, LegHeaders.TextOf(response.Content.Headers.NonValidated, "Content-Type"), bytes);
        }
        finally
        {
            _expected.TryRemove(id, out _);
        }
    }

    /// <summary>A request with the header has come in on the member listener.</summary>
    public async Task InvokeAsync(HttpContext context, string rawTarget, RequestDelegate application)
    {
        if (!_expected.TryRemove(context.Request.Headers[Header].ToString(), out var scratch) || !IsFor(scratch.Endpoint, rawTarget))
        {
            await ListenerGate.HideAsync(context);
            return;
        }
        Arrival.Hide(context);
        ForwardedIdentity.Believe(context); // The rest stands in the headers, if it stood there.
        scratch.Flow(); // Ends with this method.
        var isSafe = RequestIds.IsSafe(context.Request.Method);
        var state = EndpointState.OfScratch(new EndpointRequest(scratch.Endpoint, RequestIds.OfOwn(context.Request.Method), RequestBody.None), scratch, isSafe ? context.Request.Method : null, ScratchEpoch);
        context.Features.Set(state);
        await using var answer = new AnswerBuffer(context, settings.AnswerBytesMax, release: null);
        try
        {
            await application(context);
            await answer.EndAsync();
            if (context.Features.Get<SessionWork>()?.Session is { IsUsed: true }) scratch.NotApart("it used a session");
            if (!isSafe && context.Response.StatusCode < StatusCodes.Status500InternalServerError && !GrpcCalls.HasFailed(context))
            {
                state.Transaction.Commit(out var next, out _);
                scratch.Document = next;
            }
            await answer.SendAsync(context.RequestAborted);
        }
        catch (ShardCloudException error) when (!context.Response.HasStarted)
        {
            answer.Detach();
            await ProxyProblems.FailedAsync(context, error);
        }
        finally
        {
            context.Features.Set<EndpointState>(null);
        }
    }

    private bool IsFor(EndpointId endpoint, string rawTarget)
    {
        Span<char> key = stackalloc char[EndpointId.BytesMax];
        return maps.Current.Templates.Match(rawTarget, key, out var length, out _) is Routing.MatchResult.Match && key[..length].SequenceEqual(endpoint.Value);
    }
}
