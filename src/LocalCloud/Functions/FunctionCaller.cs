using System.Text;
using System.Text.Json.Nodes;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>Calls functions in the handler: <c>POST /FunctionName</c> with an envelope.</summary>
internal sealed partial class FunctionCaller(HandlerProcess handler, HostJson settings, TimeProvider time, ILogger log) : IAsyncDisposable
{
    /// <summary>Version that the host claims; handlers should not look at it.</summary>
    private const string HostVersion = "4.1037.0";

    private static readonly TimeSpan RetryPause = TimeSpan.FromMilliseconds(50);

    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false, PooledConnectionIdleTimeout = TimeSpan.FromMinutes(5) })
    {
        Timeout = Timeout.InfiniteTimeSpan,
    };

    private readonly TaskCompletionSource<string> _durableClient = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Opens the way to the handler, once it is known what durable client bindings say. Calls wait for it.</summary>
    public void Open(string durableClientText) => _durableClient.TrySetResult(durableClientText);

    /// <summary>Calls a function. Failures of the handler are answers.</summary>
    /// <exception cref="OperationCanceledException">The caller gave up (host stopping, client gone).</exception>
    /// <exception cref="ShardCloudException">SC7009: there is no handler any more.</exception>
    public async Task<HandlerAnswer> CallAsync(FunctionDefinition function, JsonNode? triggerValue, JsonObject? metadata, CancellationToken cancellationToken)
    {
        var client = await _durableClient.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        var envelope = Envelope.Write(
            function, triggerValue, function.DurableClientBindings.ToDictionary(name => name, _ => client), metadata, time.GetUtcNow().UtcDateTime).ToJsonString();
        using var timeout = new CancellationTokenSource(settings.FunctionTimeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            while (true)
            {
                var address = await handler.AddressAsync(either.Token).ConfigureAwait(false);
                try
                {
                    return await SendAsync(function, new Uri(address, function.Name), envelope, either.Token).ConfigureAwait(false);
                }
                catch (HttpRequestException e) when (e.HttpRequestError == HttpRequestError.ConnectionError)
                {
                    // Nobody listened, so nothing was begun: the process has just ended and its successor will take the call.
                    await Task.Delay(RetryPause, time, either.Token).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            return HandlerAnswer.Failed($"Timeout value of {settings.FunctionTimeout} exceeded by function: Functions.{function.Name}");
        }
        catch (HttpRequestException e)
        {
            return HandlerAnswer.Failed(e.Message);
        }
    }

    public ValueTask DisposeAsync()
    {
        _http.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<HandlerAnswer> SendAsync(FunctionDefinition function, Uri address, string envelope, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, address);
        request.Headers.Add("X-Azure-Functions-InvocationId", Guid.NewGuid().ToString());
        request.Headers.Add("X-Azure-Functions-HostVersion", HostVersion);
        request.Headers.UserAgent.ParseAdd($"Azure-Functions-Host/{HostVersion}");
        request.Content = new StringContent(envelope, Encoding.UTF8, "application/json");
        using var response = await _http.SendAsync(request, cancellationToken).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode) return HandlerAnswer.Failed(response.StatusCode, response.ReasonPhrase);
        if (!HandlerAnswer.TryRead(await response.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false), out var answer))
        {
            EmptyAnswer(log, function.Name, settings.FunctionTimeout);
            await Task.Delay(Timeout.InfiniteTimeSpan, time, cancellationToken).ConfigureAwait(false);
        }

        foreach (var line in answer.Logs) HandlerLog(log, function.Name, line);
        return answer;
    }

    [LoggerMessage(10, LogLevel.Error, "The handler answered the call of '{Function}' with an empty body or null. The real host waits on such an answer until the timeout of {Timeout}; so does this one. Answer at least {{}}.")]
    private static partial void EmptyAnswer(ILogger log, string function, TimeSpan timeout);

    [LoggerMessage(11, LogLevel.Information, "{Function}: {Line}")]
    private static partial void HandlerLog(ILogger log, string function, string line);
}
