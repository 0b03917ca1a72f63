using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using ShardCloud.Identity;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Affinity;
using ShardCloud.ShardRuntime.Calls;
using ShardCloud.ShardRuntime.Expiring;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Health;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Membership;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.Security;
using ShardCloud.ShardRuntime.Sessions;
using ShardCloud.ShardRuntime.Sockets.Carrier;
using ShardCloud.ShardRuntime.Sockets.Hubs;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.Streams;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime;

/// <summary>Composition of a member: add the parts, then put the data plane in front of the application.</summary>
public static class ShardRuntimeServices
{
    /// <summary>Pool threads that are there before the pool begins to think: on one or two cores it starts with as many, adds one in half a second, and every request waits for that.</summary>
    private const int PoolThreadsMin = 8;

    /// <summary>Makes this web application a member. Call <see cref="UseShardRuntime"/> on the built application.</summary>
    public static WebApplicationBuilder AddShardRuntime(this WebApplicationBuilder builder)
    {
        builder.AddDataPlane();
        builder.AddTelemetry();
        var role = Enum.TryParse<MemberRole>(builder.Configuration[$"{ShardRuntimeOptions.SectionName}:Role"], ignoreCase: true, out var configured) ? configured : MemberRole.Shard;
        if (role is MemberRole.Shard) KeepPoolThreads();
        else
        {
            builder.Services.Configure<LoggerFilterOptions>(WithoutRequestScopes);
            if (!ShowsScopes(builder.Configuration)) builder.Services.Configure<LoggerFilterOptions>(filters => filters.CaptureScopes = false);
        }
        builder.Services.AddMembership().AddHandoff(role);
        builder.Services.AddOptions<HostOptions>().Configure<ShardRuntimeOptions>((host, options) => host.ShutdownTimeout = options.Stop.Within);
        if (role is MemberRole.Shard)
        {
            builder.Services.AddKeyRing().AddOutboxSender().AddWarmReplicas().AddHostedService<ExpirySweep>();
        }
        return builder;
    }

    /// <summary>For shards, whose handlers may block. A router's do not: there more threads than cores cost requests/s, in context switches (bench/results).</summary>
    private static void KeepPoolThreads()
    {
        ThreadPool.GetMinThreads(out var workers, out var ports);
        if (workers < PoolThreadsMin) ThreadPool.SetMinThreads(PoolThreadsMin, ports);
    }

    /// <summary>Listeners, identity, parking, proxy and execution: all that needs no store. What a member follows and owns is added by <see cref="AddShardRuntime"/>.</summary>
    internal static WebApplicationBuilder AddDataPlane(this WebApplicationBuilder builder)
    {
        var services = builder.Services;
        services.AddOptions<ShardRuntimeOptions>()
            .BindConfiguration(ShardRuntimeOptions.SectionName)
            .ValidateOnStart();
        services.AddSingleton<IPostConfigureOptions<ShardRuntimeOptions>, AppServiceAddresses>();
        services.AddSingleton<IValidateOptions<ShardRuntimeOptions>, OptionsCheck>();
        services.TryAddSingleton(TimeProvider.System);
        services.Configure<LoggerFilterOptions>(Quieten);
        services.AddSingleton(p => p.GetRequiredService<IOptions<ShardRuntimeOptions>>().Value);
        services.AddSingleton<ShardContext>();

        services.AddSingleton<Listeners>();
        services.AddHostedService<ListeningAnnouncer>();
        builder.WebHost.UseKestrel();
        services.AddOptions<Microsoft.AspNetCore.Server.Kestrel.Core.KestrelServerOptions>()
            .Configure<Listeners, ShardRuntimeOptions>((kestrel, listeners, options) => listeners.Configure(kestrel, options));

        services.AddTokens(p => p.GetRequiredService<ShardRuntimeOptions>().Auth, Audiences.Members, Roles.Member, p => p.GetRequiredService<ShardContext>().Self.Value);
        services.AddSingleton(p => new MemberClient(p.GetRequiredService<ITokenSource>(), p.GetRequiredService<ShardContext>().Self, p.GetRequiredService<ShardRuntimeOptions>().Proxy));
        services.AddSingleton<ListenerGate>();
        services.AddSingleton<FirstMap>();

        services.AddSingleton<ShardMetrics>();
        services.AddSingleton<Replication.LogMetrics>();
        services.AddSingleton<HandoffMeters>();
        services.AddSingleton(p => new Parking(p.GetRequiredService<ShardRuntimeOptions>().Parking, p.GetRequiredService<ShardRuntimeOptions>().Lease.Length,
            p.GetRequiredService<HandoffMeters>(), p.GetRequiredService<ShardMetrics>(), p.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IParkingLot>(p => p.GetRequiredService<Parking>());
        services.AddSingleton(p => new EndpointLanes(p.GetRequiredService<ShardRuntimeOptions>().Requests.QueueMax));
        services.AddOwnedSockets().AddShardedHubs();
        services.AddSingleton<ShardTemplates>();
        services.TryAddSingleton<IHandoffTable, NoHandoffs>(); // Replaced by the handoff room's table where it is added.

        AddDataPath(services);

        services.AddSingleton<IReadiness, MapReadiness>();
        services.AddSingleton<IReadiness, JoinedReadiness>();
        services.AddSingleton<IReadiness, LeaseReadiness>();
        services.AddSingleton<IReadiness, StoppingReadiness>();
        services.AddSingleton<HealthAnswers>();
        return builder;
    }

    /// <summary>The proxy and the owner's side of a request; map, lease and state come from Routing and Replication.</summary>
    private static void AddDataPath(IServiceCollection services)
    {
        services.AddHttpForwarder();
        services.AddSingleton(p => p.GetRequiredService<ShardRuntimeOptions>().Requests);
        services.AddSingleton(p => new ShardInfo(new ShardId(p.GetRequiredService<ShardRuntimeOptions>().Shard), p.GetRequiredService<ShardContext>().Self,
            p.GetRequiredService<ShardRuntimeOptions>().ApplicationVersion));
        services.AddSingleton<RequestIds>();
        services.AddSingleton<Confirmations>();
        services.AddSingleton<CompletionRecords>();
        services.AddSingleton<EndpointWork>();
        services.AddUpdateChecks();
        services.AddSingleton<EndpointExecutor>();
        services.AddSingleton<EndpointChanges>();
        services.AddSingleton(p => new Reachability(p.GetRequiredService<ShardRuntimeOptions>().Proxy.SuspectFor, p.GetRequiredService<TimeProvider>()));
        services.AddSingleton<EventStreams>();
        services.AddHostedService(p => p.GetRequiredService<EventStreams>());
        services.AddSingleton<MemberLegs>();
        services.AddSingleton<AffinityObserver>();
        services.AddSingleton<IControlPlane, AffinityPlane>();
        services.AddSingleton<ShardProxy>();
        services.AddSingleton<OwnCalls>();
        services.AddSingleton<ShardCalls>();
        services.AddSingleton(p => new OutboxRules(p.GetRequiredService<ShardRuntimeOptions>().Outbox, p.GetRequiredService<IMapView>(), p.GetRequiredService<TimeProvider>()));
        services.AddSingleton<OutboxWakeUps>();
        services.AddSingleton<ExpiringClient>();
        services.AddSocketCarrier();
    }

    /// <summary>Sends what handlers here have posted.</summary>
    internal static IServiceCollection AddOutboxSender(this IServiceCollection services) =>
        services.AddHostedService(p => ActivatorUtilities.CreateInstance<OutboxSender>(p, (SendOwn)p.GetRequiredService<OwnCalls>().SendAsync, p.GetRequiredService<ShardRuntimeOptions>().Outbox));

    /// <summary>A line for each request and each leg drowns what matters. First in the list, so that any setting of the application wins.</summary>
    private static void Quieten(LoggerFilterOptions filters)
    {
        filters.Rules.Insert(0, new LoggerFilterRule(null, "Microsoft.AspNetCore", LogLevel.Warning, null));
        filters.Rules.Insert(0, new LoggerFilterRule(null, "Yarp.ReverseProxy.Forwarder", LogLevel.Error, null)); // A lost leg is an outcome here, not an error.
    }

    /// <summary>A router writes no line about single requests: the scope and Activity that ASP.NET Core makes of each for such lines only cost. Who listens to its ActivitySource gets Activities all the same.</summary>
    private static void WithoutRequestScopes(LoggerFilterOptions filters) =>
        filters.Rules.Insert(0, new LoggerFilterRule(null, "Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.None, null));

    /// <summary>Whether log lines are to name the connection they are about. What that takes, 150 bytes for each open socket, a router keeps only where its settings ask for it.</summary>
    private static bool ShowsScopes(IConfiguration configuration) =>
        new[] { "Logging:CaptureScopes", "Logging:Console:IncludeScopes", "Logging:Console:FormatterOptions:IncludeScopes" }.Any(name => configuration.GetValue(name, defaultValue: false));

    /// <summary>Puts the data plane in front of the application. Call it before the application maps its endpoints.</summary>
    public static WebApplication UseShardRuntime(this WebApplication app)
    {
        var gate = app.Services.GetRequiredService<ListenerGate>();
        var health = app.Services.GetRequiredService<HealthAnswers>();
        var proxy = app.Services.GetRequiredService<ShardProxy>();
        var sockets = app.Services.GetRequiredService<SocketGate>();
        var first = app.Services.GetRequiredService<FirstMap>();
        app.Use(next => context =>
        {
            if (health.TryAnswer(context, out var answer)) return answer;
            // Nothing is awaited where nothing has to be: a client's request needs no state machine here.
            var admitted = gate.AdmitAsync(context);
            if (!admitted.IsCompletedSuccessfully) return WhenAdmittedAsync(admitted, context, next);
            if (!admitted.Result) return Task.CompletedTask;
            if (first.IsAwaited(context)) return WhenLoadedAsync(context, next);
            return sockets.TryCarry(context, out var carried) ? carried : proxy.InvokeAsync(context, next);
        });
        if (app.Services.GetService<SessionGate>() is { } sessions) app.Use(next => context => sessions.InvokeAsync(context, next));
        app.UseShardedHubs();
        foreach (var plane in app.Services.GetServices<IControlPlane>()) plane.Map(app);
        return app;

        async Task WhenLoadedAsync(HttpContext context, RequestDelegate next)
        {
            await first.WaitAsync(context.RequestAborted);
            await (sockets.TryCarry(context, out var carried) ? carried : proxy.InvokeAsync(context, next));
        }

        async Task WhenAdmittedAsync(ValueTask<bool> admitted, HttpContext context, RequestDelegate next)
        {
            if (await admitted) await proxy.InvokeAsync(context, next);
        }
    }

    /// <summary>Who called over the member listener; null on the public one.</summary>
    public static Caller? MemberCaller(this HttpContext context) => context.Features.Get<Caller>();

    /// <summary>The incarnation that called: a local token is its own; members of an Entra tenant share an identity and say their names beside it.</summary>
    /// <exception cref="ShardCloudException">SC1002: it does not say.</exception>
    internal static IncarnationId CallingMember(this HttpContext context) =>
        new(context.MemberCaller() is { Subject: var subject } && subject.Contains('~', StringComparison.Ordinal) ? subject : context.Request.Headers[Contracts.ShardHeaders.From].ToString());
}
