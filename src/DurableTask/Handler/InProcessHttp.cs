using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace ShardCloud.DurableTask.Handler;

/// <summary>Sends the HTTP request of an envelope through the app's own pipeline and turns the response into output values.</summary>
internal sealed partial class InProcessHttp(HandlerPipeline pipeline, IHttpContextFactory contexts, IServiceScopeFactory scopes, ILogger<InProcessHttp> log)
{
    public async Task<JsonObject> SendAsync(JsonElement request, Client.DurableClientBinding? client, CancellationToken cancellationToken)
    {
        await using var scope = scopes.CreateAsyncScope();
        scope.ServiceProvider.GetRequiredService<InvocationClient>().Binding = client;

        using var responseBody = new MemoryStream();
        var responseFeature = new HttpResponseFeature { Body = responseBody };
        var features = new FeatureCollection();
        features.Set<IHttpRequestFeature>(ReadRequest(request));
        features.Set<IHttpResponseFeature>(responseFeature);
        features.Set<IHttpResponseBodyFeature>(new StreamResponseBodyFeature(responseBody));
        features.Set<IHttpRequestLifetimeFeature>(new HttpRequestLifetimeFeature { RequestAborted = cancellationToken });
        features.Set<IHttpRequestBodyDetectionFeature>(new BodyDetection(features.Get<IHttpRequestFeature>()!.Body.Length > 0));

        var context = contexts.Create(features);
        try
        {
            context.RequestServices = scope.ServiceProvider;
            await pipeline.Entry!(context).ConfigureAwait(false);
            await context.Response.CompleteAsync().ConfigureAwait(false);
            return WriteResponse(context.Response, responseBody);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            // What a server does with an exception that nobody handled. The app's own error handling, if it has one, came first.
            RequestFailed(log, e, context.Request.Method, context.Request.Path);
            return Answer(StatusCodes.Status500InternalServerError, [], "");
        }
        finally
        {
            contexts.Dispose(context);
        }
    }

    [LoggerMessage(4, LogLevel.Error, "{Method} {Path} failed.")]
    private static partial void RequestFailed(ILogger log, Exception exception, string method, PathString path);

    private static HttpRequestFeature ReadRequest(JsonElement request)
    {
        var url = new Uri(request.GetProperty("Url").GetString()!, UriKind.Absolute);
        var feature = new HttpRequestFeature
        {
            Method = request.GetProperty("Method").GetString()!,
            Scheme = url.Scheme,
            Protocol = HttpProtocol.Http11,
            Path = PathString.FromUriComponent(url).Value!,
            QueryString = QueryString.FromUriComponent(url).Value!,
            RawTarget = url.PathAndQuery,
        };
        if (request.TryGetProperty("Headers", out var headers) && headers.ValueKind == JsonValueKind.Object)
            foreach (var header in headers.EnumerateObject()) feature.Headers[header.Name] = Values(header.Value);
        if (feature.Headers.Host.Count == 0) feature.Headers.Host = url.Authority;

        var body = ReadBody(request, feature.Headers.ContentType.ToString());
        feature.Body = new MemoryStream(body, writable: false);
        // The length of what is here, not of what the host received: the body was decoded on the way.
        feature.Headers.Remove("Transfer-Encoding");
        feature.Headers.ContentLength = body.Length > 0 ? body.Length : null;
        return feature;
    }

    private static byte[] ReadBody(JsonElement request, string contentType)
    {
        if (!request.TryGetProperty("Body", out var body) || body.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined) return [];
        var text = body.ValueKind == JsonValueKind.String ? body.GetString()! : body.GetRawText();
        return IsBinary(contentType) ? Convert.FromBase64String(text) : Encoding.UTF8.GetBytes(text);
    }

    private static bool IsBinary(string contentType) =>
        contentType.StartsWith("application/octet-stream", StringComparison.OrdinalIgnoreCase)
        || contentType.StartsWith("multipart/", StringComparison.OrdinalIgnoreCase);

    private static JsonObject WriteResponse(HttpResponse response, MemoryStream body)
    {
        if (IsBinary(response.ContentType ?? ""))
            return Answer(StatusCodes.Status500InternalServerError, [], "This endpoint answered with a binary body, which cannot pass through a Functions envelope. Serve it as text, or from storage.");

        var headers = new JsonObject();
        foreach (var (name, values) in response.Headers)
            if (!name.Equals("Content-Length", StringComparison.OrdinalIgnoreCase) && !name.Equals("Transfer-Encoding", StringComparison.OrdinalIgnoreCase))
                headers[name] = values.ToString();
        return Answer(response.StatusCode, headers, Encoding.UTF8.GetString(body.GetBuffer().AsSpan(0, (int)body.Length)));
    }

    private static JsonObject Answer(int status, JsonObject headers, string body) => new()
    {
        ["statusCode"] = status.ToString(System.Globalization.CultureInfo.InvariantCulture),
        ["headers"] = headers,
        ["body"] = body,
    };

    private static string[] Values(JsonElement values) => values.ValueKind == JsonValueKind.Array
        ? [.. values.EnumerateArray().Select(v => v.ToString())]
        : [values.ToString()];

    private sealed record BodyDetection(bool CanHaveBody) : IHttpRequestBodyDetectionFeature;
}
