using System.Text.Json;
using System.Text.RegularExpressions;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>What starts a function.</summary>
internal enum TriggerKind
{
    Http,
    Timer,
    Orchestration,
    Activity,
    Queue,
}

/// <summary>One function of the app.</summary>
/// <param name="Name">Its folder's name: what the handler is called with.</param>
/// <param name="Kind">What starts it.</param>
/// <param name="TriggerBinding">Name under which the handler finds the trigger's value.</param>
/// <param name="DurableClientBindings">Names of its durable client inputs.</param>
/// <param name="HttpOutput">Name of its HTTP output.</param>
/// <param name="TaskName">Name that orchestrations know it by (orchestrators and activities).</param>
/// <param name="Schedule">Timer schedule.</param>
/// <param name="RunOnStartup">Timer: also run when the host starts.</param>
/// <param name="Route">HTTP route below the prefix.</param>
/// <param name="Methods">HTTP methods; empty: all.</param>
/// <param name="NeedsKey">HTTP: authLevel is not anonymous.</param>
/// <param name="QueueName">Storage queue.</param>
/// <param name="QueueConnection">Its storage's connection string; null: the host's.</param>
internal sealed record FunctionDefinition(
    string Name, TriggerKind Kind, string TriggerBinding, IReadOnlyList<string> DurableClientBindings, string? HttpOutput = null, string? TaskName = null,
    Ncrontab? Schedule = null, bool RunOnStartup = false, string Route = "", IReadOnlyList<string>? Methods = null, bool NeedsKey = false,
    string? QueueName = null, string? QueueConnection = null);

/// <summary>The functions of an app, read from its folders.</summary>
internal sealed partial class FunctionIndex
{
    private const string HostStorage = "AzureWebJobsStorage";

    private readonly Dictionary<string, FunctionDefinition> _orchestrators = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, FunctionDefinition> _activities = new(StringComparer.OrdinalIgnoreCase);

    private FunctionIndex(IReadOnlyList<FunctionDefinition> all)
    {
        All = all;
        foreach (var f in all.Where(f => f.Kind == TriggerKind.Orchestration)) Add(_orchestrators, f);
        foreach (var f in all.Where(f => f.Kind == TriggerKind.Activity)) Add(_activities, f);
    }

    public IReadOnlyList<FunctionDefinition> All { get; }

    public FunctionDefinition? Orchestrator(string name) => _orchestrators.GetValueOrDefault(name);

    public FunctionDefinition? Activity(string name) => _activities.GetValueOrDefault(name);

    /// <exception cref="ShardCloudException">SC7010: a file is damaged or asks for what this host does not have.</exception>
    public static FunctionIndex Read(string appDirectory, AppSettings settings)
    {
        IEnumerable<string> files = Directory.Exists(appDirectory)
            ? Directory.EnumerateDirectories(appDirectory).Select(d => Path.Combine(d, "function.json")).Where(File.Exists).Order(StringComparer.Ordinal)
            : [];
        return new FunctionIndex([.. files.Select(f => ReadFunction(f, settings))]);
    }

    private static FunctionDefinition ReadFunction(string path, AppSettings settings)
    {
        using var document = AppFile.Parse(path);
        var name = Path.GetFileName(Path.GetDirectoryName(path))!;
        if (!document.RootElement.TryGetProperty("bindings", out var bindings) || bindings.ValueKind != JsonValueKind.Array)
            throw AppFile.Invalid(path, "it has no bindings", "Give the function a trigger.");

        FunctionDefinition? trigger = null;
        List<string> clients = [];
        string? httpOutput = null;
        foreach (var binding in bindings.EnumerateArray())
        {
            var type = Text(binding, "type") ?? "";
            var isOutput = Text(binding, "direction") == "out";
            var bindingName = Text(binding, "name") ?? throw AppFile.Invalid(path, $"a binding of type '{type}' has no name", "Name it.");
            FunctionDefinition? found = null;
            switch (type.ToUpperInvariant(), isOutput)
            {
                case ("HTTPTRIGGER", false): found = Http(binding, name, bindingName); break;
                case ("TIMERTRIGGER", false): found = Timer(binding, name, bindingName, path, settings); break;
                case ("QUEUETRIGGER", false): found = Queue(binding, name, bindingName, path, settings); break;
                case ("ORCHESTRATIONTRIGGER", false):
                    found = new(name, TriggerKind.Orchestration, bindingName, [], TaskName: Text(binding, "orchestration") ?? name);
                    break;
                case ("ACTIVITYTRIGGER", false): found = new(name, TriggerKind.Activity, bindingName, [], TaskName: Text(binding, "activity") ?? name); break;
                case ("DURABLECLIENT" or "ORCHESTRATIONCLIENT", false): clients.Add(bindingName); break;
                case ("HTTP", true) when bindingName != "$return": httpOutput = bindingName; break;
                default:
                    throw AppFile.Invalid(
                        path, $"binding '{bindingName}' is of type '{type}' ({(isOutput ? "out" : "in")}), which this host does not have",
                        "It has httpTrigger, http (out, not $return), timerTrigger, queueTrigger, orchestrationTrigger, activityTrigger and durableClient (in).");
            }

            if (found is null) continue;
            if (trigger is not null) throw AppFile.Invalid(path, "it has two triggers", "Make two functions of it.");
            trigger = found;
        }

        if (trigger is null) throw AppFile.Invalid(path, "it has no trigger", "Give the function one.");
        if (httpOutput is not null && trigger.Kind != TriggerKind.Http) throw AppFile.Invalid(path, "it has an http output without an httpTrigger", "Remove the output.");
        return trigger with { DurableClientBindings = clients, HttpOutput = httpOutput };
    }

    private static FunctionDefinition Http(JsonElement binding, string name, string bindingName) => new(
        name, TriggerKind.Http, bindingName, [],
        Route: (Text(binding, "route") ?? name).Trim('/'),
        Methods: binding.TryGetProperty("methods", out var methods) ? [.. methods.EnumerateArray().Select(m => m.GetString()!.ToUpperInvariant())] : [],
        NeedsKey: !string.Equals(Text(binding, "authLevel") ?? "function", "anonymous", StringComparison.OrdinalIgnoreCase));

    private static FunctionDefinition Timer(JsonElement binding, string name, string bindingName, string path, AppSettings settings)
    {
        var schedule = settings.Expand(Text(binding, "schedule") ?? throw AppFile.Invalid(path, "the timer has no schedule", "Give it one."), path);
        if (!Ncrontab.TryParse(schedule, out var parsed, out var error)) throw AppFile.Invalid(path, $"the schedule '{schedule}' {error}", "Write six fields: second minute hour day month weekday.");
        return new(
            name, TriggerKind.Timer, bindingName, [], Schedule: parsed,
            RunOnStartup: binding.TryGetProperty("runOnStartup", out var run) && run.ValueKind == JsonValueKind.True);
    }

    private static FunctionDefinition Queue(JsonElement binding, string name, string bindingName, string path, AppSettings settings)
    {
        var queue = settings.Expand(Text(binding, "queueName") ?? throw AppFile.Invalid(path, "the queue trigger has no queueName", "Give it one."), path);
        if (!QueueNameRule().IsMatch(queue)) throw AppFile.Invalid(path, $"'{queue}' cannot name a queue", "Use 3 to 63 small letters, digits and single hyphens.");
        var connection = Text(binding, "connection") ?? HostStorage;
        return new(
            name, TriggerKind.Queue, bindingName, [], QueueName: queue,
            QueueConnection: connection == HostStorage ? null : settings.Get(connection)
                ?? throw AppFile.Invalid(path, $"its connection '{connection}' is not an app setting", $"Set it to a connection string, or leave it out for {HostStorage}."));
    }

    [GeneratedRegex("^(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*$", RegexOptions.CultureInvariant)]
    private static partial Regex QueueNameRule();

    private static void Add(Dictionary<string, FunctionDefinition> to, FunctionDefinition function)
    {
        if (function.TaskName!.StartsWith('@') || !to.TryAdd(function.TaskName, function))
            throw new ShardCloudException(
                ErrorCodes.FunctionsAppInvalid, $"The {function.Kind} name '{function.TaskName}' of function '{function.Name}' is taken or starts with '@'.", "Choose another name.");
    }

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
