using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using ShardCloud.Contracts;
using ShardCloud.Identity;

namespace ShardCloud.Cli.Stack.Faults;

/// <summary>The way from another terminal to the running <c>up</c>: <c>GET /targets</c> and <c>POST /faults</c> on loopback, for the holder of the cloud's key.</summary>
internal sealed class FaultServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private FaultServer(WebApplication app) => _app = app;

    public string Address => _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();

    public static async Task<FaultServer> StartAsync(FaultPlane plane, LocalKey key, CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders(); // Nothing may mix into what the command prints.
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0);
            kestrel.Limits.MaxRequestBodySize = 4 * 1024;
        });
        var app = builder.Build();
        var tokens = new TokenValidator(key, Audiences.Management);
        app.Use((context, next) => GateAsync(context, next, tokens));
        app.MapGet("/targets", () => Results.Json(new FaultTargets(plane.All()), FaultJson.Default.FaultTargets));
        app.MapPost("/faults", async (HttpContext context) =>
        {
            var request = await JsonSerializer.DeserializeAsync(context.Request.Body, FaultJson.Default.FaultRequest, context.RequestAborted);
            return Results.Json(plane.Apply(request!), FaultJson.Default.FaultDone);
        });
        await app.StartAsync(cancellationToken);
        return new FaultServer(app);
    }

    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }

    private static async Task GateAsync(HttpContext context, RequestDelegate next, TokenValidator tokens)
    {
        try
        {
            var header = context.Request.Headers.Authorization.ToString();
            var caller = await tokens.ValidateAsync(header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase) ? header["Bearer ".Length..].Trim() : null);
            if (caller?.Role != Roles.Operator) throw new ShardCloudException(ErrorCodes.Unauthenticated, "There is no valid operator's token.", "Use 'shardcloud chaos', which makes one.");
            await next(context);
        }
        catch (Exception error) when (error is ShardCloudException or JsonException or BadHttpRequestException && !context.Response.HasStarted)
        {
            var told = error as ShardCloudException ?? new ShardCloudException(ErrorCodes.MalformedJson, $"The body cannot be read: {error.Message}", "Send {\"action\",\"target\",\"seconds\",\"from\"}.");
            var problem = Problem.Of(told, told.Code == ErrorCodes.Unauthenticated ? 401 : 400, "The fault was refused");
            context.Response.StatusCode = problem.Status;
            await context.Response.WriteAsJsonAsync(problem, FaultJson.Default.Problem, Problem.MediaType, context.RequestAborted);
        }
    }
}
