using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Execution;

/// <summary>Runs one turn: history in, actions out. Pure apart from logging: no clock, no I/O, no state between turns. Thread-safe.</summary>
public sealed class OrchestrationExecutor
{
    private readonly OrchestratorRegistry _orchestrators;
    private readonly TurnSettings _settings;
    private readonly string? _version;

    /// <summary>Creates an executor.</summary>
    /// <param name="orchestrators">Code by name.</param>
    /// <param name="json">How payloads are written; default: <see cref="PayloadJson.Options"/>.</param>
    /// <param name="loggers">Where replay-safe loggers write.</param>
    /// <param name="unwrapActivityResults">True: activity results are in the envelope of <see cref="ActivityOutcome"/>, which also carries failures.</param>
    /// <param name="version">The newest version that the code knows; null: any instance is run.</param>
    public OrchestrationExecutor(
        OrchestratorRegistry orchestrators, JsonSerializerOptions? json = null, ILoggerFactory? loggers = null, bool unwrapActivityResults = false, string? version = null)
    {
        _orchestrators = orchestrators;
        _version = version;
        _settings = new TurnSettings(json ?? PayloadJson.Options, loggers ?? NullLoggerFactory.Instance, unwrapActivityResults);
    }

    /// <summary>Runs the orchestrator's code over the history of the request.</summary>
    /// <returns>The answer of the turn. Failures of the code are answers (a Failed completion), never exceptions. <c>RequiresHistory</c> without actions: the turn is
    /// handed back and comes again, as that of a newer instance does until the code that knows it is there.</returns>
    public OrchestratorResponse Execute(OrchestratorRequest request)
    {
        var response = new OrchestratorResponse { InstanceId = request.InstanceId };
        if (LacksHistory(request) || NewerVersion(request) is not null)
        {
            response.RequiresHistory = true;
            return response;
        }

        var turn = new Turn(request.InstanceId, _orchestrators, _settings);
        turn.Process(request.PastEvents, request.NewEvents);
        response.Actions.Add(turn.TakeActions());
        response.CustomStatus = turn.CustomStatus;
        return response;
    }

    /// <summary>The answer when a turn cannot be run at all: the host would otherwise fail the instance with a text that helps nobody.</summary>
    public static OrchestratorResponse FailedTurn(string instanceId, Exception reason)
    {
        var response = new OrchestratorResponse { InstanceId = instanceId };
        response.Actions.Add(new OrchestratorAction { CompleteOrchestration = Turn.Failure(reason) });
        return response;
    }

    /// <summary>The version of an instance that was started by newer code than this; null when this code may run it.</summary>
    public string? NewerVersion(OrchestratorRequest request)
    {
        if (_version is null) return null;
        var started = request.PastEvents.Concat(request.NewEvents).FirstOrDefault(e => e.EventTypeCase == HistoryEvent.EventTypeOneofCase.ExecutionStarted)?.ExecutionStarted;
        return OrchestrationVersion.Compare(started?.Version, _version) > 0 ? started!.Version : null;
    }

    /// <summary>The host kept the history back (extended sessions), and nothing here remembers it.</summary>
    private static bool LacksHistory(OrchestratorRequest request) =>
        request.Properties.TryGetValue("IncludeState", out var include)
        && include is { KindCase: Google.Protobuf.WellKnownTypes.Value.KindOneofCase.BoolValue, BoolValue: false }
        && request.PastEvents.Count == 0
        && request.NewEvents.All(e => e.EventTypeCase != HistoryEvent.EventTypeOneofCase.ExecutionStarted);
}

internal sealed record TurnSettings(JsonSerializerOptions Json, ILoggerFactory Loggers, bool UnwrapActivityResults);

/// <summary>How inputs, results and events are written when nothing else is asked for.</summary>
public static class PayloadJson
{
    /// <summary>camelCase, case-insensitive reading: the same text that HTTP clients see.</summary>
    public static JsonSerializerOptions Options { get; } = Create();

    /// <summary>JSON text of a value; null (an unset payload) for null.</summary>
    internal static string? Write(object? value, JsonSerializerOptions options) =>
        value is null or JsonElement { ValueKind: JsonValueKind.Undefined } ? null : JsonSerializer.Serialize(value, value.GetType(), options) is var text && text == "null" ? null : text;

    internal static object? Read(string? text, Type type, JsonSerializerOptions options)
    {
        if (!string.IsNullOrEmpty(text)) return JsonSerializer.Deserialize(text, type, options);
        return type.IsValueType ? Activator.CreateInstance(type) : null; // unset: the type's default
    }

    internal static T? Read<T>(string? text, JsonSerializerOptions options) =>
        string.IsNullOrEmpty(text) ? default : JsonSerializer.Deserialize<T>(text, options);

    private static JsonSerializerOptions Create()
    {
        var options = new JsonSerializerOptions(JsonSerializerDefaults.Web);
        options.MakeReadOnly(populateMissingResolver: true);
        return options;
    }
}
