using Microsoft.AspNetCore.Session;
using ShardCloud.ShardRuntime.Expiring;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.Security;
using ShardCloud.ShardRuntime.State;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Sessions;

/// <summary>The session of one request, and what went wrong with it.</summary>
internal sealed class SessionWork(CancellationToken aborted)
{
    /// <summary>The session, once the application has asked for it.</summary>
    public ShardedSession? Session { get; set; }

    /// <summary>The client left.</summary>
    public CancellationToken Aborted => aborted;

    /// <summary>Why the session could not be read or written, the first time.</summary>
    public ShardCloudException? Failure { get; private set; }

    public void Fail(ShardCloudException error) => Failure ??= error;

    /// <exception cref="ShardCloudException">The failure.</exception>
    public void ThrowIfFailed()
    {
        if (Failure is not null) throw new ShardCloudException(Failure.Code, Failure.Message, Failure.Remedy, Failure);
    }

    /// <summary>Before anything leaves: what was changed by now counts, and nothing failed.</summary>
    public async ValueTask<bool> SettleAsync()
    {
        ThrowIfFailed();
        if (Session is { } session) await session.SettleAsync(CancellationToken.None);
        return true;
    }
}

/// <summary>Around the application: no byte of an answer leaves before the session's changes count, and a session that failed is the answer, whatever the application made of it.</summary>
/// <remarks>
/// ASP.NET Core's session middleware writes the session after the handler, when an unheld answer may have left, and only logs a failure. Here each piece of
/// an answer waits for what the session changed before it, and an error page for a failed session is replaced by the problem with the code.
/// Nothing is held back otherwise: pieces leave one by one as before.
/// </remarks>
internal sealed class SessionGate
{
    public async Task InvokeAsync(HttpContext context, RequestDelegate application)
    {
        if (context.Features.Get<MemberConnection>() is not null && context.Request.Path.StartsWithSegments(ListenerGate.InternalPath))
        {
            await application(context);
            return;
        }
        var work = new SessionWork(context.RequestAborted);
        context.Features.Set(work);
        var answer = new AnswerBuffer(context, limit: 0, work.SettleAsync);
        try
        {
            await application(context);
            await answer.EndAsync();
            await work.SettleAsync();
            if (!context.Response.HasStarted) await answer.SendAsync(context.RequestAborted);
        }
        catch (Exception) when (work.Failure is not null)
        {
            answer.Detach();
            // At an endpoint nothing has left and nothing is committed: the data path answers.
            if (context.Features.Get<EndpointState>() is not null) work.ThrowIfFailed();
            if (context.Response.HasStarted) context.Abort();
            else await ProxyProblems.FailedAsync(context, work.Failure);
        }
        finally
        {
            await answer.DisposeAsync();
        }
    }
}

/// <summary>Makes the sessions that ASP.NET Core's session middleware asks for; cookie and key are the middleware's.</summary>
internal sealed class ShardedSessionStore(ExpiringClient client, IHttpContextAccessor contexts) : ISessionStore
{
    public ISession Create(string sessionKey, TimeSpan idleTimeout, TimeSpan ioTimeout, Func<bool> tryEstablishSession, bool isNewSessionKey)
    {
        var (work, caller) = (contexts.HttpContext?.Features.Get<SessionWork>(), contexts.HttpContext?.Features.Get<EndpointState>());
        var session = new ShardedSession(ExpiringEndpoints.Of(BuiltInEndpoints.Sessions, sessionKey), idleTimeout, ioTimeout, tryEstablishSession, isNewSessionKey, client, work)
        {
            From = caller?.Endpoint ?? default,
            IsApart = Scratch.Current is not null,
        };
        if (work is not null) work.Session = session;
        return session;
    }
}
