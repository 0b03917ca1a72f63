using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>Reading, writing and failing of control endpoints.</summary>
internal static class Control
{
    /// <summary>Turns what a handler throws into a problem.</summary>
    public static RequestDelegate Answer(Func<HttpContext, Task> handler) => async context =>
    {
        try
        {
            await handler(context);
        }
        catch (ShardCloudException error) when (!context.Response.HasStarted)
        {
            await Problems.WriteAsync(context, error, StatusOf(error.Code), "Control request refused");
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller left and asks again.
        }
    };

    /// <summary>The body as JSON.</summary>
    /// <exception cref="ShardCloudException">SC5001: it is not.</exception>
    public static async Task<T> ReadAsync<T>(HttpContext context, JsonTypeInfo<T> type)
    {
        try
        {
            if (await context.Request.ReadFromJsonAsync(type, context.RequestAborted) is { } value) return value;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new ShardCloudException(ErrorCodes.MalformedJson, $"The body is not a {type.Type.Name}: {error.Message}", "Send the JSON that docs/protocol/members.md shows.", error);
        }
        throw new ShardCloudException(ErrorCodes.MalformedJson, $"The body is not a {type.Type.Name}.", "Send the JSON that docs/protocol/members.md shows.");
    }

    /// <summary>The body as bytes.</summary>
    /// <exception cref="ShardCloudException">SC5001: its length is not told, or over the limit.</exception>
    public static async Task<ReadOnlyMemory<byte>> BytesAsync(HttpContext context, int bytesMax)
    {
        if (context.Request.ContentLength is not { } length || length < 1 || length > bytesMax)
            throw new ShardCloudException(ErrorCodes.MalformedJson, $"The body is {context.Request.ContentLength} bytes; 1 to {bytesMax} are read here.", "Send what docs/protocol/members.md shows.");
        var bytes = new byte[length];
        await context.Request.Body.ReadExactlyAsync(bytes, context.RequestAborted);
        return bytes;
    }

    /// <summary>Writes JSON.</summary>
    public static Task WriteAsync<T>(HttpContext context, int status, T value, JsonTypeInfo<T> type)
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsJsonAsync(value, type, cancellationToken: context.RequestAborted);
    }

    private static int StatusOf(string code) => code switch
    {
        ErrorCodes.NotFound or ErrorCodes.UnknownMember => StatusCodes.Status404NotFound,
        ErrorCodes.WrongIncarnation => StatusCodes.Status421MisdirectedRequest,
        ErrorCodes.MalformedJson or ErrorCodes.BadEndpoint or ErrorCodes.BadShard or ErrorCodes.EmptyList or ErrorCodes.MissingValue or ErrorCodes.BadValue => StatusCodes.Status400BadRequest,
        ErrorCodes.LeaseLost or ErrorCodes.StoreUnavailable or ErrorCodes.Incomplete or ErrorCodes.NotBootstrapped or ErrorCodes.AppendFailed or ErrorCodes.OverLimit
            => StatusCodes.Status503ServiceUnavailable,
        _ => StatusCodes.Status409Conflict,
    };
}
