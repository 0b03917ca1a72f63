using ShardCloud.Contracts;
using ShardCloud.DurableTask.Client;
using ShardCloud.Orchestrator.Records;

namespace ShardCloud.Orchestrator.Management;

/// <summary>Every route of the management API; docs/api/openapi.yaml lists the same ones, and a test holds the two together.</summary>
public static class ManagementRoutes
{
    /// <summary>The one call that members make.</summary>
    public const string TakeOvers = "/api/take-overs";

    /// <summary>Maps the API under <c>/api</c>.</summary>
    public static IEndpointRouteBuilder MapManagementApi(this IEndpointRouteBuilder app)
    {
        var api = app.MapGroup("/api");
        api.MapPost("/bootstrap", (HttpContext context, ShardsApi shards) => shards.BootstrapAsync(context));
        api.MapPost("/shutdown", (HttpContext context, ShardsApi shards) => shards.ShutDownAsync(context));
        api.MapPost("/migrations", (HttpContext context, MigrationsApi migrations) => migrations.StartAsync(context));
        api.MapGet("/migrations", (HttpContext context, MigrationsApi migrations) => migrations.ListAsync(context));
        api.MapGet("/migrations/{id}", (string id, HttpContext context, MigrationsApi migrations) => migrations.GetAsync(id, context));
        api.MapPost("/migrations/{id}/cancel", (string id, HttpContext context, MigrationsApi migrations) => migrations.CancelAsync(id, context));
        api.MapGet("/shards", (HttpContext context, ShardsApi shards) => shards.ListAsync(context));
        api.MapPost("/shards", (HttpContext context, ShardsApi shards) => shards.AddAsync(context));
        api.MapDelete("/shards/{id}", (string id, HttpContext context, ShardsApi shards) => shards.RemoveAsync(id, context));
        api.MapPost(TakeOvers["/api".Length..], (HttpContext context, ShardsApi shards) => shards.TakenOverAsync(context));
        api.MapGet("/operations/{id}", (string id, HttpContext context, ShardsApi shards) => shards.GetOperationAsync(id, context));
        api.MapPost("/packages/uploads", (HttpContext context, PackagesApi packages) => packages.BeginUploadAsync(context));
        api.MapPost("/packages", (HttpContext context, PackagesApi packages) => packages.PublishAsync(context));
        api.MapGet("/packages", (HttpContext context, PackagesApi packages) => packages.ListAsync(context));
        api.MapGet("/packages/{version}", (string version, HttpContext context, PackagesApi packages) => packages.GetAsync(version, context));
        api.MapPost("/updates", (HttpContext context, UpdatesApi updates) => updates.StartAsync(context));
        api.MapGet("/updates", (HttpContext context, UpdatesApi updates) => updates.ListAsync(context));
        api.MapGet("/updates/{id}", (string id, HttpContext context, UpdatesApi updates) => updates.GetAsync(id, context));
        api.MapGet("/updates/{id}/plans", (string id, HttpContext context, UpdatesApi updates) => updates.PlansAsync(id, context));
        api.MapGet("/updates/{id}/plans/{number}", (string id, string number, HttpContext context, UpdatesApi updates) => updates.PlanAsync(id, number, context));
        api.MapPost("/updates/{id}/approve", (string id, HttpContext context, UpdatesApi updates) => updates.ApproveAsync(id, context));
        api.MapPost("/updates/{id}/cancel", (string id, HttpContext context, UpdatesApi updates) => updates.CancelAsync(id, context));
        api.MapPost("/rebalance", (HttpContext context, RebalancesApi rebalances) => rebalances.StartAsync(context));
        api.MapGet("/rebalances", (HttpContext context, RebalancesApi rebalances) => rebalances.ListAsync(context));
        api.MapGet("/rebalances/{id}", (string id, HttpContext context, RebalancesApi rebalances) => rebalances.GetAsync(id, context));
        api.MapGet("/rebalances/{id}/plan", (string id, HttpContext context, RebalancesApi rebalances) => rebalances.PlanAsync(id, context));
        api.MapPost("/rebalances/{id}/cancel", (string id, HttpContext context, RebalancesApi rebalances) => rebalances.CancelAsync(id, context));
        api.MapGet("/placement/policy", (HttpContext context, RebalancesApi rebalances) => rebalances.PolicyAsync(context));
        api.MapPut("/placement/policy", (HttpContext context, RebalancesApi rebalances) => rebalances.SetPolicyAsync(context));
        api.MapGet("/scaling", (HttpContext context, ScalingApi scaling) => scaling.GetAsync(context));
        api.MapPut("/scaling", (HttpContext context, ScalingApi scaling) => scaling.SetAsync(context));
        api.MapPost("/level", (HttpContext context, LevelApi levels) => levels.RaiseAsync(context));
        api.MapGet("/members", (HttpContext context, ReadsApi reads) => reads.MembersAsync(context));
        api.MapGet("/map", (HttpContext context, ReadsApi reads) => reads.OwnerAsync(context));
        api.MapGet("/affinity", (HttpContext context, AffinityApi affinity) => affinity.ShowAsync(context));
        api.MapGet("/status", (HttpContext context, ReadsApi reads) => reads.StatusAsync(context));
        return app;
    }
}

/// <summary>What the calls that change something share: the id behind an <c>Idempotency-Key</c>, and the 202.</summary>
internal static class Accepting
{
    /// <summary>The call's key, checked; null when it has none.</summary>
    /// <exception cref="ShardCloudException">SC5021 or SC5008.</exception>
    public static string? KeyOf(HttpContext context)
    {
        if (!context.Request.Headers.TryGetValue("Idempotency-Key", out var values)) return null;
        var key = values.ToString();
        if (key.Length > ManagementLimits.IdempotencyKeyLengthMax)
            throw new ShardCloudException(ErrorCodes.OverLimit, $"The Idempotency-Key has {key.Length} characters; {ManagementLimits.IdempotencyKeyLengthMax} are allowed.", "Use a UUID.");
        return values.Count == 1 && key.Length > 0 ? key : throw new ShardCloudException(ErrorCodes.BadValue, "The Idempotency-Key is empty or there are several.", "Send one, for example a UUID.");
    }

    /// <summary>What makes two calls the same call.</summary>
    public static string CallOf(HttpContext context, string body) => $"{context.Request.Method} {context.Request.Path}\n{body}";

    /// <summary>The id that the call's key stands for already, or null.</summary>
    public static async Task<string?> FindAsync(IdempotencyStore keys, HttpContext context, string body) => KeyOf(context) is { } key
        ? await keys.FindAsync(ManagementGate.CallerOf(context).Subject, key, CallOf(context, body), context.RequestAborted) : null;

    /// <summary>The id for a checked call: a new one, or that of the same call made at the same time.</summary>
    public static async Task<string> ClaimAsync(IdempotencyStore keys, HttpContext context, string body, string id) => KeyOf(context) is { } key
        ? await keys.ClaimAsync(ManagementGate.CallerOf(context).Subject, key, CallOf(context, body), id, context.RequestAborted) : id;

    /// <summary>202 for a migration.</summary>
    public static IResult Migration(HttpContext context, string id)
    {
        ManagementGate.About(context, id);
        context.Response.Headers.Location = $"/api/migrations/{id}";
        return Results.Json(new MigrationAccepted(id), ManagementJson.Default.MigrationAccepted, statusCode: StatusCodes.Status202Accepted);
    }

    /// <summary>202 for an operation.</summary>
    public static IResult Operation(HttpContext context, string id)
    {
        ManagementGate.About(context, id);
        context.Response.Headers.Location = $"/api/operations/{id}";
        return Results.Json(new OperationAccepted(id), ManagementJson.Default.OperationAccepted, statusCode: StatusCodes.Status202Accepted);
    }

    /// <summary>202 for an update.</summary>
    public static IResult Update(HttpContext context, string id)
    {
        ManagementGate.About(context, id);
        context.Response.Headers.Location = $"/api/updates/{id}";
        return Results.Json(new UpdateAccepted(id), UpdateJson.Default.UpdateAccepted, statusCode: StatusCodes.Status202Accepted);
    }

    /// <summary>Starts the orchestration behind a record; one that runs already is the same one.</summary>
    public static async Task EnsureStartedAsync(DurableTaskClient durable, string name, string id, object input, CancellationToken cancellationToken)
    {
        try
        {
            await durable.ScheduleNewOrchestrationInstanceAsync(name, input, id, cancellationToken);
        }
        catch (OrchestrationAlreadyExistsException)
        {
            // Starting twice is one instance.
        }
    }
}
