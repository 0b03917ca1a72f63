using Microsoft.AspNetCore.Session;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection.Extensions;
using ShardCloud.ShardRuntime.Caching;
using ShardCloud.ShardRuntime.Sessions;

namespace ShardCloud.ShardRuntime;

/// <summary>Sessions and a distributed cache that live in endpoints of the application's own shards.</summary>
public static class SessionServices
{
    /// <summary>Sessions for <c>HttpContext.Session</c>; the application calls <c>UseSession()</c> as always. Each session is an endpoint: it moves, survives its owner, and merges by key. See docs/sessions.md.</summary>
    /// <remarks>
    /// The cookie is ASP.NET Core's: 128 random bits under Data Protection, HttpOnly, SameSite=Lax, Secure over HTTPS; where TLS ends before the application, set
    /// <c>Cookie.SecurePolicy</c> to <c>Always</c>. The idle timeout is judged by the session's owner; a session lives at least that long and at most a tenth longer.
    /// A request whose session cannot be read or written answers 503 with SC4013, one that changes more than allowed 413 with SC3003 or SC3004.
    /// </remarks>
    /// <param name="services">Services of an application with <see cref="ShardRuntimeServices.AddShardRuntime"/>.</param>
    /// <param name="configure">Cookie, idle timeout (default 20 min) and I/O timeout.</param>
    public static IServiceCollection AddShardedSession(this IServiceCollection services, Action<SessionOptions>? configure = null)
    {
        services.Configure<SessionOptions>(options => options.Cookie.SecurePolicy = CookieSecurePolicy.SameAsRequest);
        services.AddSession(configure ?? (_ => { }));
        services.AddHttpContextAccessor();
        services.TryAddSingleton<SessionGate>();
        services.Replace(ServiceDescriptor.Transient<ISessionStore, ShardedSessionStore>());
        return services;
    }

    /// <summary>An <see cref="IDistributedCache"/> whose entries are endpoints of the application's own shards. An entry survives its owner, and expires by its owner's clock.</summary>
    /// <remarks>A value has at most 256 KiB (SC3003). A call that cannot be carried out throws SC4013. The synchronous methods block a thread; prefer the others.</remarks>
    /// <param name="services">Services of an application with <see cref="ShardRuntimeServices.AddShardRuntime"/>.</param>
    public static IServiceCollection AddShardedCache(this IServiceCollection services) =>
        services.Replace(ServiceDescriptor.Singleton<IDistributedCache, ShardedCache>());
}
