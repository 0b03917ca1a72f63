using System.Security.Cryptography;
using System.Text;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Expiring;

/// <summary>The owner's side of sessions and cache entries: GET reads, PUT changes.</summary>
internal static class ExpiringEndpoints
{
    private const int NameBytes = 24;

    /// <summary>The endpoint of a key. Its name is a hash, because names show in maps, logs and status, and a session's key is a secret.</summary>
    public static EndpointId Of(string prefix, string key)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(key), hash);
        return new EndpointId(prefix + System.Buffers.Text.Base64Url.EncodeToString(hash[..NameBytes]));
    }

    public static async Task InvokeAsync(HttpContext context)
    {
        var (state, now) = (context.EndpointState(), context.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow());
        if (HttpMethods.IsGet(context.Request.Method))
        {
            await context.Response.Body.WriteAsync(ExpiringDocument.Read(state.Fields, now).ToBytes(), context.RequestAborted);
        }
        else if (HttpMethods.IsPut(context.Request.Method))
        {
            var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body, context.RequestAborted);
            ExpiringDocument.Apply(state, ExpiringChanges.From(body.GetBuffer().AsMemory(0, (int)body.Length)), now);
            context.Response.StatusCode = StatusCodes.Status204NoContent;
        }
        else
        {
            await Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.MethodNotAllowed, $"'{state.Endpoint}' knows GET and PUT.", "Members of the same version send nothing else."), StatusCodes.Status405MethodNotAllowed, "Method not allowed");
        }
    }
}
