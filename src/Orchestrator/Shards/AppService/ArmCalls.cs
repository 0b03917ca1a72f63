using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Azure;
using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Identity;
using Azure.ResourceManager;

namespace ShardCloud.Orchestrator.Shards.AppService;

/// <summary>Calls to Azure Resource Manager, each sent a bounded number of times. Thread-safe.</summary>
/// <remarks>
/// The client library gives identity, transport and telemetry; repetition is ours: it repeats without looking, waits as long as a Retry-After says, and cannot pass the query that keeps a plan when its last
/// site goes. Every request here means the same when it arrives twice. A repetition of one whose answer was lost asks first whether it took effect, where the caller says how.
/// </remarks>
internal sealed class ArmCalls
{
    /// <summary>Version of the API that bodies and paths are written for.</summary>
    public const string ApiVersion = "2025-03-01";

    private const int PauseFactorMax = 16;

    private readonly ArmCallSettings _limits;
    private readonly TimeProvider _time;
    private readonly Door _door;

    public ArmCalls(TokenCredential credential, string subscription, ArmCallSettings limits, TimeProvider time, HttpPipelineTransport? transport = null)
    {
        (_limits, _time) = (limits, time);
        var options = new ArmClientOptions();
        options.Retry.MaxRetries = 0;
        options.Retry.NetworkTimeout = limits.AnswerWithin;
        foreach (var type in (string[])["Microsoft.Web/sites", "Microsoft.Web/serverfarms"]) options.SetApiVersion(type, ApiVersion); // Unpinned, it may choose a preview version.
        if (transport is not null) options.Transport = transport;
        _door = new Door(new ArmClient(credential, subscription, options), new ResourceIdentifier($"/subscriptions/{subscription}"));
    }

    /// <summary>Sends a request and waits until Azure is done with it.</summary>
    /// <param name="method">GET, PUT, POST or DELETE.</param>
    /// <param name="path">From the slash on, without the API version; or an address that an answer named.</param>
    /// <param name="body">Null: none.</param>
    /// <param name="hasHappened">Asked before a repetition: the answer that makes it needless; null to send again.</param>
    /// <param name="cancellationToken">Ends it; the caller's limit of time.</param>
    /// <exception cref="ShardCloudException">SC5021, SC5060 to SC5064, SC5066: see <see cref="ArmErrors"/>.</exception>
    public async Task<ArmAnswer> SendAsync(RequestMethod method, string path, JsonObject? body, Func<CancellationToken, Task<ArmAnswer?>>? hasHappened, CancellationToken cancellationToken)
    {
        var uri = new Uri(_door.Address, path);
        uri = new Uri($"{uri}{(uri.Query.Length == 0 ? '?' : '&')}api-version={ApiVersion}");
        var answer = await TryAsync(method, uri, body, hasHappened, cancellationToken);
        return answer.Operation is null && answer.Status != (int)HttpStatusCode.Accepted ? answer : await FollowAsync(method, uri, answer, cancellationToken);
    }

    /// <inheritdoc cref="SendAsync"/>
    public Task<ArmAnswer> GetAsync(string path, CancellationToken cancellationToken) => SendAsync(RequestMethod.Get, path, null, null, cancellationToken);

    /// <summary>One page after the other, bounded by <paramref name="pagesMax"/>.</summary>
    /// <exception cref="ShardCloudException">SC5008: more pages than that. Those of <see cref="SendAsync"/>.</exception>
    public async Task<IReadOnlyList<JsonObject>> ListAsync(string path, int pagesMax, CancellationToken cancellationToken)
    {
        var found = new List<JsonObject>();
        var answer = await GetAsync(path, cancellationToken);
        for (var page = 1; ; page++)
        {
            if (answer.IsMissing) throw ArmErrors.Of(path, answer.Status, answer.Body);
            if (answer.Body?["value"] is not JsonArray values) throw ArmErrors.Unreadable(path, "there is no list in it");
            found.AddRange(values.OfType<JsonObject>());
            if (answer.Body["nextLink"]?.GetValue<string>() is not { Length: > 0 } next) return found;
            if (page == pagesMax) throw new ShardCloudException(ErrorCodes.OverLimit, $"{path} has more than {pagesMax} pages.", "Give the application a resource group of its own.");
            answer = await TryAsync(RequestMethod.Get, Trusted(new Uri(next)), null, null, cancellationToken);
        }
    }

    /// <summary>A pause of the n-th repetition, from 0.</summary>
    public Task PauseAsync(int repetition, TimeSpan? asked, CancellationToken cancellationToken) =>
        Task.Delay(asked ?? _limits.Pause * Math.Min(1 << Math.Min(repetition, 16), PauseFactorMax), _time, cancellationToken);

    private async Task<ArmAnswer> TryAsync(RequestMethod method, Uri uri, JsonObject? body, Func<CancellationToken, Task<ArmAnswer?>>? hasHappened, CancellationToken cancellationToken)
    {
        for (var repetition = 0; ; repetition++)
        {
            var (answer, error) = await SendOnceAsync(method, uri, body, cancellationToken);
            if (error is null) return answer!;
            var wait = answer?.RetryAfter;
            if (!ArmErrors.MayPass(error, answer?.Status) || repetition + 1 >= _limits.TriesMax || wait > _limits.FinishWithin) throw error;
            await PauseAsync(repetition, wait, cancellationToken);
            if (hasHappened is not null && await hasHappened(cancellationToken) is { } happened) return happened;
        }
    }

    private async Task<(ArmAnswer? Answer, ShardCloudException? Error)> SendOnceAsync(RequestMethod method, Uri uri, JsonObject? body, CancellationToken cancellationToken)
    {
        using var message = _door.Pipe.CreateMessage();
        message.Request.Method = method;
        message.Request.Uri.Reset(uri);
        message.Request.Headers.Add("Accept", "application/json");
        if (body is not null)
        {
            message.Request.Headers.Add("Content-Type", "application/json");
            message.Request.Content = RequestContent.Create(JsonSerializer.SerializeToUtf8Bytes(body));
        }
        var what = $"{method} {uri.AbsolutePath}";
        try
        {
            await _door.Pipe.SendAsync(message, cancellationToken);
            var answer = Read(message.Response);
            return answer.Status is (>= 200 and < 300) or 404 ? (answer, null) : (answer, ArmErrors.Of(what, answer.Status, answer.Body));
        }
        catch (AuthenticationFailedException error)
        {
            return (null, ArmErrors.NoToken(error));
        }
        catch (Exception error) when (error is RequestFailedException or HttpRequestException or IOException or JsonException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return (null, ArmErrors.NoAnswer(what, error));
        }
    }

    // Azure goes on by itself: look until it is done. An accepted request is never sent again.
    private async Task<ArmAnswer> FollowAsync(RequestMethod method, Uri uri, ArmAnswer answer, CancellationToken cancellationToken)
    {
        for (var look = 0; ; look++)
        {
            await PauseAsync(look, answer.RetryAfter, cancellationToken);
            if (answer.Operation is { } operation)
            {
                var state = await TryAsync(RequestMethod.Get, Trusted(operation), null, null, cancellationToken);
                var status = state.Body?["status"]?.GetValue<string>();
                if (Is(status, "Succeeded")) break;
                if (Is(status, "Failed") || Is(status, "Canceled")) throw ArmErrors.GivenUp($"{method} {uri.AbsolutePath}", state.Body);
                if (state.IsMissing || status is null) throw ArmErrors.Unreadable(operation.AbsolutePath, "there is no status in it");
                answer = answer with { Operation = state.Operation ?? operation, RetryAfter = state.RetryAfter };
            }
            else if (answer.Location is { } location)
            {
                var state = await TryAsync(RequestMethod.Get, Trusted(location), null, null, cancellationToken);
                if (state.Status != (int)HttpStatusCode.Accepted) break;
                answer = state with { Location = state.Location ?? location };
            }
            else
            {
                break; // Accepted, and no word of where to ask: the resource itself says.
            }
        }
        return method == RequestMethod.Put ? await TryAsync(RequestMethod.Get, uri, null, null, cancellationToken) : answer;
    }

    /// <summary>The token goes only to Azure Resource Manager, whatever an answer says.</summary>
    private Uri Trusted(Uri uri) => uri.Scheme == Uri.UriSchemeHttps && string.Equals(uri.Authority, _door.Address.Authority, StringComparison.OrdinalIgnoreCase) ? uri
        : throw ArmErrors.Unreadable(uri.GetLeftPart(UriPartial.Path), $"it is not an address of {_door.Address.Host}");

    private static bool Is(string? text, string expected) => string.Equals(text, expected, StringComparison.OrdinalIgnoreCase);

    private ArmAnswer Read(Response response)
    {
        JsonObject? body = null;
        if (response.Content is { Length: > 0 } content && response.Headers.ContentType?.Contains("json", StringComparison.OrdinalIgnoreCase) == true)
            body = JsonNode.Parse(content) as JsonObject;
        return new ArmAnswer(response.Status, body, AddressOf("Azure-AsyncOperation"), AddressOf("Location"), WaitOf(response));

        Uri? AddressOf(string header) => response.Headers.TryGetValue(header, out var text) && Uri.TryCreate(text, UriKind.Absolute, out var uri) ? uri : null;
    }

    // RFC 9110, 10.2.3: seconds, or a date.
    private TimeSpan? WaitOf(Response response)
    {
        if (!response.Headers.TryGetValue("Retry-After", out var text)) return null;
        if (int.TryParse(text, out var seconds) && seconds >= 0) return TimeSpan.FromSeconds(seconds);
        if (!DateTimeOffset.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out var date)) return null;
        var wait = date - _time.GetUtcNow();
        return wait > TimeSpan.Zero ? wait : TimeSpan.Zero;
    }

    /// <summary>The way to the client's own pipeline: identity and transport are those of the library.</summary>
    private sealed class Door(ArmClient client, ResourceIdentifier id) : ArmResource(client, id)
    {
        public HttpPipeline Pipe => Pipeline;

        public Uri Address => Endpoint;
    }
}
