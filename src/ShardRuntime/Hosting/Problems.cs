using System.Text.Json;
using ShardCloud.Contracts;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>Error answers: <c>application/problem+json</c> with a code, the facts and a remedy.</summary>
public static class Problems
{
    /// <summary>Answers with a problem; the caller has made sure that nothing was sent yet.</summary>
    /// <param name="context">The request.</param>
    /// <param name="error">What went wrong.</param>
    /// <param name="status">HTTP status.</param>
    /// <param name="title">Kind of error, the same every time.</param>
    /// <param name="retryAfter">When set, rounded up to whole seconds in <c>Retry-After</c>.</param>
    public static async Task WriteAsync(HttpContext context, ShardCloudException error, int status, string title, TimeSpan? retryAfter = null)
    {
        var response = context.Response;
        response.StatusCode = status;
        response.ContentType = Problem.MediaType;
        if (retryAfter is { } wait) response.Headers.RetryAfter = ((int)Math.Ceiling(wait.TotalSeconds)).ToString(System.Globalization.CultureInfo.InvariantCulture);
        var body = JsonSerializer.SerializeToUtf8Bytes(Problem.Of(error, status, title), MemberJson.Default.Problem);
        response.ContentLength = body.Length;
        if (!HttpMethods.IsHead(context.Request.Method)) await response.Body.WriteAsync(body, context.RequestAborted);
    }
}
