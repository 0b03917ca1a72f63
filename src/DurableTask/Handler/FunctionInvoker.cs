using System.Text.Json;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using ShardCloud.DurableTask.Execution;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Handler;

/// <summary>Serves one call of the host: finds out what kind of function it is for, runs it, and answers in the host's form.</summary>
internal sealed partial class FunctionInvoker
{
    private readonly DurableTaskHandlerBuilder _functions;
    private readonly OrchestrationExecutor _executor;
    private readonly InProcessHttp _http;
    private readonly IServiceScopeFactory _scopes;
    private readonly ILogger<FunctionInvoker> _log;

    public FunctionInvoker(DurableTaskHandlerBuilder functions, InProcessHttp http, IServiceScopeFactory scopes, ILoggerFactory loggers)
    {
        _functions = functions;
        _http = http;
        _scopes = scopes;
        _log = loggers.CreateLogger<FunctionInvoker>();
        _executor = new OrchestrationExecutor(functions.Orchestrators, functions.Json, loggers, unwrapActivityResults: true, functions.Version);
    }

    public async Task<IResult> InvokeAsync(string functionName, HttpContext context)
    {
        if (_functions.Orchestrators.Names.Contains(functionName, StringComparer.OrdinalIgnoreCase))
            return Reply(await OrchestratorAsync(functionName, context.Request).ConfigureAwait(false));

        FunctionEnvelope envelope;
        try
        {
            envelope = await ReadAsync(context.Request).ConfigureAwait(false);
        }
        catch (JsonException e)
        {
            return Results.Text($"The call of '{functionName}' is not a JSON envelope: {e.Message}", statusCode: StatusCodes.Status400BadRequest);
        }

        if (_functions.Activities.TryGetValue(functionName, out var activity))
            return Reply(await ActivityAsync(functionName, activity, envelope, context.RequestAborted).ConfigureAwait(false));
        if (_functions.Timers.TryGetValue(functionName, out var timer))
            return await TimerAsync(functionName, timer, envelope, context.RequestAborted).ConfigureAwait(false);
        if (envelope.HttpRequest() is { } request)
            return Reply(new FunctionAnswer(Outputs: new JsonObject
            {
                ["res"] = await _http.SendAsync(request, envelope.DurableClient(), context.RequestAborted).ConfigureAwait(false),
            }));
        return Results.Text($"No function named '{functionName}' is registered in this handler.", statusCode: StatusCodes.Status404NotFound);
    }

    /// <summary>Anything but a good answer would fail the instance for good, without our words: so whatever happens becomes an answer.</summary>
    private async Task<FunctionAnswer> OrchestratorAsync(string functionName, HttpRequest call)
    {
        var instanceId = "";
        OrchestratorResponse response;
        try
        {
            var envelope = await ReadAsync(call).ConfigureAwait(false);
            var text = envelope.Text("context") ?? envelope.OnlyText() ?? throw new FormatException("the envelope has no orchestration trigger value");
            var request = OrchestratorRequest.Parser.ParseFrom(Convert.FromBase64String(text));
            instanceId = request.InstanceId;
            response = _executor.Execute(request);
            if (_executor.NewerVersion(request) is { } newer) TurnIsNewer(_log, functionName, instanceId, newer, _functions.Version!);
        }
        catch (Exception e) when (!call.HttpContext.RequestAborted.IsCancellationRequested)
        {
            TurnFailed(_log, e, functionName, instanceId);
            response = OrchestrationExecutor.FailedTurn(instanceId, e);
        }
        return new FunctionAnswer(ReturnValue: Convert.ToBase64String(response.ToByteArray()));
    }

    private async Task<FunctionAnswer> ActivityAsync(
        string functionName, Func<IServiceProvider, ITaskActivity> create, FunctionEnvelope envelope, CancellationToken cancellationToken)
    {
        var instanceId = envelope.MetadataText("instanceId") ?? "";
        try
        {
            await using var scope = _scopes.CreateAsyncScope();
            scope.ServiceProvider.GetRequiredService<InvocationClient>().Binding = envelope.DurableClient();
            var activity = create(scope.ServiceProvider);
            try
            {
                var text = envelope.Text("input") ?? envelope.OnlyText();
                var input = PayloadJson.Read(text, activity.InputType, _functions.Json);
                var result = await activity.RunAsync(new TaskActivityContext(functionName, instanceId, cancellationToken), input).ConfigureAwait(false);
                return new FunctionAnswer(ReturnValue: ActivityOutcome.Success(PayloadJson.Write(result, _functions.Json)));
            }
            finally
            {
                if (activity is IAsyncDisposable disposable) await disposable.DisposeAsync().ConfigureAwait(false);
                else (activity as IDisposable)?.Dispose();
            }
        }
        catch (Exception e)
        {
            ActivityFailed(_log, e, functionName, instanceId);
            return new FunctionAnswer(ReturnValue: ActivityOutcome.Failed(TaskFailureDetails.FromException(e)));
        }
    }

    private async Task<IResult> TimerAsync(
        string functionName, Func<IServiceProvider, TimerInfo, CancellationToken, Task> run, FunctionEnvelope envelope, CancellationToken cancellationToken)
    {
        try
        {
            await using var scope = _scopes.CreateAsyncScope();
            scope.ServiceProvider.GetRequiredService<InvocationClient>().Binding = envelope.DurableClient();
            var info = envelope.OnlyText() is { } text ? JsonSerializer.Deserialize<TimerInfo>(text, PayloadJson.Options) : null;
            await run(scope.ServiceProvider, info ?? new TimerInfo(false, null), cancellationToken).ConfigureAwait(false);
            return Reply(new FunctionAnswer());
        }
        catch (Exception e)
        {
            TimerFailed(_log, e, functionName);
            return Results.Text(e.Message, statusCode: StatusCodes.Status500InternalServerError);
        }
    }

    private static async Task<FunctionEnvelope> ReadAsync(HttpRequest call) =>
        FunctionEnvelope.Parse(await JsonSerializer.DeserializeAsync<JsonElement>(call.Body, cancellationToken: call.HttpContext.RequestAborted).ConfigureAwait(false));

    private static IResult Reply(FunctionAnswer answer) => Results.Text(answer.ToJson(), "application/json");

    [LoggerMessage(1, LogLevel.Error, "The turn of instance '{InstanceId}' in orchestrator '{FunctionName}' could not be run; the instance fails.")]
    private static partial void TurnFailed(ILogger log, Exception exception, string functionName, string instanceId);

    [LoggerMessage(5, LogLevel.Error, "Instance '{InstanceId}' of '{FunctionName}' was started under version {Newer}, this handler knows those up to {Version}: it is left as it is and its turn comes again. Deploy the newer handler again.")]
    private static partial void TurnIsNewer(ILogger log, string functionName, string instanceId, string newer, string version);

    [LoggerMessage(2, LogLevel.Warning, "Activity '{FunctionName}' of instance '{InstanceId}' failed.")]
    private static partial void ActivityFailed(ILogger log, Exception exception, string functionName, string instanceId);

    [LoggerMessage(3, LogLevel.Error, "Timer function '{FunctionName}' failed.")]
    private static partial void TimerFailed(ILogger log, Exception exception, string functionName);
}
