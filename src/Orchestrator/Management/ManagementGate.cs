using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.Orchestrator.Records;

namespace ShardCloud.Orchestrator.Management;

/// <summary>Stands before every route under <c>/api</c>: authenticates and authorises, turns errors into problems, writes the audit row.</summary>
/// <remarks>
/// The Functions host lets everybody in (authLevel anonymous): a function key names no person and carries no role. The token is checked here, in
/// one place for the real host and the local one. Calls that change something are audited, refused ones too; reads change nothing and are not.
/// </remarks>
public sealed class ManagementGate(RequestDelegate next, TokenValidator tokens, AuditLog audit, ILogger<ManagementGate> logger)
{
    /// <summary>Where the caller is found once it has been let in.</summary>
    public static Caller CallerOf(HttpContext context) => (Caller)context.Items[typeof(Caller)]!;

    /// <summary>Names what the call was about, for its audit row.</summary>
    public static void About(HttpContext context, string resource) => context.Items[typeof(ManagementGate)] = resource;

    /// <summary>Runs one call.</summary>
    public async Task InvokeAsync(HttpContext context)
    {
        if (!context.Request.Path.StartsWithSegments("/api"))
        {
            await next(context);
            return;
        }

        var isRead = HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method);
        var caller = await tokens.ValidateAsync(BearerOf(context.Request));
        string? code = null;
        try
        {
            context.Items[typeof(Caller)] = caller ?? throw Unauthenticated();
            Authorise(caller, isRead, context.Request);
            await next(context);
            if (context.Response is { HasStarted: false, StatusCode: >= 400 }) throw OfEmptyAnswer(context); // Routing answers 404 and 405 without a body.
        }
        catch (Exception error) when (!context.Response.HasStarted && !context.RequestAborted.IsCancellationRequested)
        {
            code = await RefuseAsync(context, error);
        }
        finally
        {
            if (!isRead)
                await audit.WriteAsync(caller?.Subject ?? "(nobody)", context.Request.Method, context.Request.Path, context.Response.StatusCode, code,
                    context.Items[typeof(ManagementGate)] as string, CancellationToken.None);
        }
    }

    private async Task<string> RefuseAsync(HttpContext context, Exception error)
    {
        if (error is not ShardCloudException known)
        {
            known = error is BadHttpRequestException { StatusCode: 413 }
                ? new ShardCloudException(ErrorCodes.BodyTooLarge, $"The body is larger than {ManagementLimits.BodyBytesMax} bytes.", "Split it over several calls.")
                : StoreFailureOf(error) is { } store
                    ? new ShardCloudException(ErrorCodes.StoreUnavailable, store.Status == 0 ? $"Azure Storage does not answer: {store.Message}" : $"Azure Storage answered {store.Status} {store.ErrorCode}.",
                        "Try again; look at the storage account if it goes on.")
                    : new ShardCloudException(ErrorCodes.Unexpected, "The call failed by a mistake of ours.", "Look for this time and path in the Orchestrator's log and report it.");
        }
        var problem = Problems.Of(known);
        if (problem.Status >= 500) Log.CallFailed(logger, context.Request.Method, context.Request.Path, error);
        if (problem.Status == 401) context.Response.Headers.WWWAuthenticate = $"Bearer realm=\"shardcloud\", error=\"invalid_token\"";
        await Problems.WriteAsync(context, problem);
        return problem.Code;
    }

    /// <summary>A client that repeats gathers the failures of its tries when none of them got an answer.</summary>
    private static Azure.RequestFailedException? StoreFailureOf(Exception error) =>
        error as Azure.RequestFailedException ?? (error as AggregateException)?.InnerException as Azure.RequestFailedException;

    private static void Authorise(Caller caller, bool isRead, HttpRequest request)
    {
        if (caller.Role == Roles.Operator || (isRead && caller.Role == Roles.Observer)) return;
        if (caller.Role == Roles.Member && HttpMethods.IsPost(request.Method) && request.Path == ManagementRoutes.TakeOvers) return;
        throw new ShardCloudException(ErrorCodes.Forbidden, $"'{caller.Subject}' has the role '{caller.Role}', which does not allow this call.",
            $"Use a token with the role '{Roles.Operator}' (or '{Roles.Observer}' to read).");
    }

    private static string? BearerOf(HttpRequest request)
    {
        var header = request.Headers.Authorization.ToString();
        return header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase) ? header["Bearer ".Length..].Trim() : null;
    }

    private static ShardCloudException Unauthenticated() => new(ErrorCodes.Unauthenticated, "There is no bearer token that is valid for this API.",
        $"Send Authorization: Bearer with a token for the audience '{Audiences.Management}' that has not expired.");

    private static ShardCloudException OfEmptyAnswer(HttpContext context) => context.Response.StatusCode switch
    {
        405 => new(ErrorCodes.MethodNotAllowed, $"{context.Request.Method} is not possible on {context.Request.Path}.",
            $"Allowed: {context.Response.Headers.Allow}. See docs/api/openapi.yaml."),
        _ => new(ErrorCodes.NotFound, $"There is no {context.Request.Path}.", "See docs/api/openapi.yaml for the paths."),
    };
}
