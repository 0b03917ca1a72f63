using System.Net.Mime;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Health;

/// <summary>Why a member may not take traffic yet.</summary>
public interface IReadiness
{
    /// <summary>Null when it may; otherwise what is missing, for people.</summary>
    string? WhatIsMissing { get; }
}

/// <summary>Cheap anonymous answers of the public listener: <c>/healthz</c> (the process runs) and <c>/readyz</c> (it may take traffic).</summary>
internal sealed class HealthAnswers(IEnumerable<IReadiness> conditions)
{
    private readonly IReadiness[] _conditions = [.. conditions];

    public bool TryAnswer(HttpContext context, out Task answer)
    {
        answer = Task.CompletedTask;
        if (context.Features.Get<MemberConnection>() is not null) return false;
        if (!HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method)) return false;
        if (context.Request.Path.Equals("/healthz", StringComparison.Ordinal)) answer = WriteAsync(context, StatusCodes.Status200OK, "alive\n");
        else if (context.Request.Path.Equals("/readyz", StringComparison.Ordinal)) answer = ReadyAsync(context);
        else return false;
        return true;
    }

    private Task ReadyAsync(HttpContext context)
    {
        foreach (var condition in _conditions)
        {
            if (condition.WhatIsMissing is { } missing) return WriteAsync(context, StatusCodes.Status503ServiceUnavailable, $"not ready: {missing}\n");
        }
        return WriteAsync(context, StatusCodes.Status200OK, "ready\n");
    }

    private static Task WriteAsync(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = MediaTypeNames.Text.Plain;
        context.Response.Headers.CacheControl = "no-store";
        context.Response.ContentLength = text.Length;
        return HttpMethods.IsHead(context.Request.Method) ? Task.CompletedTask : context.Response.WriteAsync(text, context.RequestAborted);
    }
}

/// <summary>A member that has not joined is not ready.</summary>
internal sealed class JoinedReadiness(ShardContext shard) : IReadiness
{
    public string? WhatIsMissing => shard.IsJoined ? null : "the member has not joined";
}

/// <summary>A member whose lease is not valid may serve nothing of its own.</summary>
internal sealed class LeaseReadiness(Proxy.ILeaseView lease) : IReadiness
{
    public string? WhatIsMissing => lease.IsValid ? null : "the lease is not valid";
}

/// <summary>A member that stops gives away what it has, and takes nothing.</summary>
internal sealed class StoppingReadiness(IHostApplicationLifetime lifetime) : IReadiness
{
    public string? WhatIsMissing => lifetime.ApplicationStopping.IsCancellationRequested ? "the member is stopping" : null;
}

/// <summary>Without a map no request finds its owner.</summary>
internal sealed class MapReadiness(Proxy.IMapView map) : IReadiness
{
    public string? WhatIsMissing => map.Current.Version > MapVersion.None ? null : "the routing map is not loaded";
}
