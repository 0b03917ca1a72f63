using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using ShardCloud.Contracts;
using ShardCloud.Identity;

namespace ShardCloud.LocalCloud.Shards;

/// <summary>The shard host of a local cloud, over HTTP on loopback: what the Orchestrator asks to make and end shards.</summary>
/// <remarks>
/// <c>POST /shards</c>, <c>GET /shards</c>, <c>GET /shards/{handle}</c>, <c>DELETE /shards/{handle}</c>, <c>POST /shards/{handle}/restart</c>, <c>GET /host</c>; every call needs a member token of the
/// role orchestrator, for whoever may call this may start programs. Members may ask for single instances: whether their process has ended. It keeps nothing on disk and restarts nothing unasked.
/// </remarks>
public sealed class LocalShardHostServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private LocalShardHostServer(WebApplication app, ShardProcesses processes)
    {
        (_app, Processes) = (app, processes);
        Address = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First() + "/");
    }

    /// <summary>Base address, <c>http://127.0.0.1:port/</c>.</summary>
    public Uri Address { get; }

    /// <summary>The shards' processes.</summary>
    public ShardProcesses Processes { get; }

    /// <summary>Starts listening.</summary>
    /// <exception cref="ShardCloudException">SC7005: the port is taken.</exception>
    public static async Task<LocalShardHostServer> StartAsync(LocalShardHostOptions options, LocalKey key, CancellationToken cancellationToken = default)
    {
        var processes = new ShardProcesses(options, TimeProvider.System);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders(); // Its callers report what goes wrong; nothing may mix into what the local cloud prints.
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, options.Port);
            kestrel.Limits.MaxRequestBodySize = 64 * 1024;
        });
        var app = builder.Build();
        var tokens = new TokenValidator(key, Audiences.Members);
        app.Use((context, next) => GateAsync(context, next, tokens));
        Map(app, processes);
        try
        {
            await app.StartAsync(cancellationToken);
        }
        catch (IOException error)
        {
            await app.DisposeAsync();
            throw new ShardCloudException(ErrorCodes.PortInUse, $"The shard host cannot listen on 127.0.0.1:{options.Port}: {error.Message}", "Free the port, or choose another one.", error);
        }
        return new LocalShardHostServer(app, processes);
    }

    /// <summary>Stops listening, then every shard.</summary>
    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
        await Processes.DisposeAsync();
    }

    private static void Map(WebApplication app, ShardProcesses processes)
    {
        app.MapGet("/host", () => Results.Json(
            new ShardHostCapabilities(ConfirmsDeath: true, OverlapsRestarts: true, StopNotice: true, TypicalSecondsToCreate: 3), ShardHostJson.Default.ShardHostCapabilities));
        app.MapPost("/shards", async (HttpContext context) =>
        {
            var request = await ReadAsync(context, ShardHostJson.Default.CreateInstanceRequest, read => read is { Operation.Length: > 0, Shard.Length: > 0, Version.Length: > 0 }, "{\"operation\",\"shard\",\"version\"}");
            await processes.LearnAsync(request.Version, context.RequestAborted);
            return Results.Json(processes.Create(request), ShardHostJson.Default.ShardInstance, statusCode: StatusCodes.Status201Created);
        });
        app.MapGet("/shards", () => Results.Json(new ShardInstanceList(processes.List()), ShardHostJson.Default.ShardInstanceList));
        app.MapGet("/shards/{handle}", (string handle) => Answer(processes.Find(handle), handle));
        app.MapDelete("/shards/{handle}", async (string handle) => Answer(await processes.EndAsync(handle), handle));
        app.MapPost("/shards/{handle}/restart", async (HttpContext context, string handle) =>
        {
            var request = await ReadAsync(context, ShardHostJson.Default.RestartInstanceRequest, read => read.Operation is { Length: > 0 }, "{\"operation\"}");
            return Answer(await processes.RestartAsync(handle, request.Operation, context.RequestAborted), handle);
        });
    }

    private static async Task<T> ReadAsync<T>(HttpContext context, JsonTypeInfo<T> type, Func<T, bool> isWhole, string shape)
        where T : class
    {
        try
        {
            if (await JsonSerializer.DeserializeAsync(context.Request.Body, type, context.RequestAborted) is { } request && isWhole(request)) return request;
        }
        catch (JsonException error)
        {
            throw new ShardCloudException(ErrorCodes.MalformedJson, $"The body cannot be read: {error.Message}", $"Send {shape}.", error);
        }
        throw new ShardCloudException(ErrorCodes.MissingValue, "The body names not all that is needed.", $"Send {shape}.");
    }

    private static IResult Answer(ShardInstance? instance, string handle) => instance is not null
        ? Results.Json(instance, ShardHostJson.Default.ShardInstance)
        : throw new ShardCloudException(ErrorCodes.NotFound, $"This host has no instance '{handle}'.", "List the instances with GET /shards.");

    private static async Task GateAsync(HttpContext context, RequestDelegate next, TokenValidator tokens)
    {
        try
        {
            var header = context.Request.Headers.Authorization.ToString();
            var caller = await tokens.ValidateAsync(header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase) ? header["Bearer ".Length..].Trim() : null);
            if (caller is null)
                throw new ShardCloudException(ErrorCodes.Unauthenticated, "There is no valid member token.", "Send Authorization: Bearer with a token of this cloud's key.");
            var asksForOne = caller.Role == Roles.Member && HttpMethods.IsGet(context.Request.Method) && context.Request.Path.StartsWithSegments("/shards", out var handle) && handle.Value!.Length > 1;
            if (caller.Role != Roles.Orchestrator && !asksForOne)
                throw new ShardCloudException(ErrorCodes.Forbidden, $"The role '{caller.Role}' may not steer shards.", $"Use a token of the role '{Roles.Orchestrator}'.");
            await next(context);
        }
        catch (ShardCloudException error) when (!context.Response.HasStarted)
        {
            var problem = Problem.Of(error, StatusOf(error.Code), "The shard host refused");
            context.Response.StatusCode = problem.Status;
            await context.Response.WriteAsJsonAsync(problem, ShardHostJson.Default.Problem, Problem.MediaType, context.RequestAborted);
        }
    }

    private static int StatusOf(string code) => code switch
    {
        ErrorCodes.Unauthenticated => 401,
        ErrorCodes.Forbidden => 403,
        ErrorCodes.NotFound or ErrorCodes.UnknownVersion => 404,
        ErrorCodes.OverLimit or ErrorCodes.ShardBusy => 409,
        ErrorCodes.ShardDidNotStart => 500,
        _ => 400,
    };
}
