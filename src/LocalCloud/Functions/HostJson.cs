using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>The settings of host.json that this host acts on.</summary>
internal sealed partial record HostJson
{
    /// <summary>Each permitted call is a worker of its own here.</summary>
    private const int ConcurrencyMax = 10_000;

    public string RoutePrefix { get; private init; } = "api";

    public TimeSpan FunctionTimeout { get; private init; } = TimeSpan.FromMinutes(30);

    public string? HubName { get; private init; }

    public string? HandlerExecutable { get; private init; }

    public IReadOnlyList<string> HandlerArguments { get; private init; } = [];

    public string? HandlerWorkingDirectory { get; private init; }

    public int OrchestratorsMax { get; private init; } = 10 * Environment.ProcessorCount;

    public int ActivitiesMax { get; private init; } = 10 * Environment.ProcessorCount;

    /// <summary>Version of instances that are started under none.</summary>
    public string DefaultVersion { get; private init; } = "";

    public QueueSettings Queues { get; private init; } = new();

    /// <summary>Keys that the real host ignores, with their paths.</summary>
    public IReadOnlyList<string> UnknownKeys { get; private init; } = [];

    /// <param name="appDirectory">Folder of the app.</param>
    /// <param name="settings">For <c>%NAME%</c>.</param>
    /// <param name="hubName">Goes before the file's, which may then refer to a setting that nobody has set.</param>
    public static HostJson Read(string appDirectory, AppSettings settings, string? hubName = null)
    {
        var path = Path.Combine(appDirectory, "host.json");
        using var document = AppFile.Parse(path);
        var root = document.RootElement;
        if (Text(path, "version", At(root, "version")) is var version && version != "2.0")
            throw AppFile.Invalid(path, version is null ? "version is missing" : $"version is '{version}'", "Set version to \"2.0\".");
        var handler = At(root, "customHandler");
        foreach (var key in (string[])["enableForwardingHttpRequest", "enableProxyingHttpRequest"])
            if (At(handler, key) is { ValueKind: JsonValueKind.True })
                throw AppFile.Invalid(path, $"customHandler.{key} is on", "This host envelopes every request; turn the setting off and read envelopes.");

        var durable = At(root, "extensions", "durableTask");
        if (At(durable, "extendedSessionsEnabled") is { ValueKind: JsonValueKind.True })
            throw AppFile.Invalid(path, "extendedSessionsEnabled is on", "Custom handlers replay whole histories; turn it off.");

        var description = At(handler, "description");
        return new HostJson
        {
            RoutePrefix = (Text(path, "extensions.http.routePrefix", At(root, "extensions", "http", "routePrefix")) ?? "api").Trim('/'),
            FunctionTimeout = Text(path, "functionTimeout", At(root, "functionTimeout")) is { } timeout ? ParseTimeout(path, timeout) : TimeSpan.FromMinutes(30),
            HubName = hubName ?? (Text(path, "hubName", At(durable, "hubName")) is { } hub ? settings.Expand(hub, path) : null),
            HandlerExecutable = Text(path, "defaultExecutablePath", At(description, "defaultExecutablePath")),
            HandlerWorkingDirectory = Text(path, "workingDirectory", At(description, "workingDirectory")),
            HandlerArguments = At(description, "arguments") is { ValueKind: JsonValueKind.Array } list ? [.. list.EnumerateArray().Select(a => a.GetString()!)] : [],
            OrchestratorsMax = Number(path, "maxConcurrentOrchestratorFunctions", At(durable, "maxConcurrentOrchestratorFunctions")) ?? 10 * Environment.ProcessorCount,
            ActivitiesMax = Number(path, "maxConcurrentActivityFunctions", At(durable, "maxConcurrentActivityFunctions")) ?? 10 * Environment.ProcessorCount,
            DefaultVersion = Text(path, "defaultVersion", At(durable, "defaultVersion")) ?? "",
            Queues = ReadQueues(path, At(root, "extensions", "queues")),
            UnknownKeys = HostJsonKeys.Unknown(root),
        };
    }

    /// <summary>Names tables, so the rules are those of tables.</summary>
    public static string CheckHubName(string name) => HubNameRule().IsMatch(name)
        ? name
        : throw new ShardCloudException(
            ErrorCodes.FunctionsAppInvalid, $"'{name}' cannot name a task hub.", "Use 3 to 45 letters and digits, a letter first.");

    private static QueueSettings ReadQueues(string path, JsonElement section)
    {
        var defaults = new QueueSettings();
        return new QueueSettings
        {
            BatchSize = Number(path, "batchSize", At(section, "batchSize"), max: 32) ?? defaults.BatchSize,
            NewBatchThreshold = Number(path, "newBatchThreshold", At(section, "newBatchThreshold"), min: 0),
            MaxDequeueCount = Number(path, "maxDequeueCount", At(section, "maxDequeueCount")) ?? defaults.MaxDequeueCount,
            MaxPollingInterval = Span("maxPollingInterval", TimeSpan.FromMilliseconds(100), TimeSpan.FromDays(1)) ?? defaults.MaxPollingInterval,
            VisibilityTimeout = Span("visibilityTimeout", TimeSpan.Zero, TimeSpan.FromDays(7)) ?? defaults.VisibilityTimeout,
            IsBase64 = Text(path, "messageEncoding", At(section, "messageEncoding")) switch
            {
                null => true,
                var text when text.Equals("base64", StringComparison.OrdinalIgnoreCase) => true,
                var text when text.Equals("none", StringComparison.OrdinalIgnoreCase) => false,
                var other => throw AppFile.Invalid(path, $"messageEncoding is '{other}'", "Write none or base64."),
            },
        };

        TimeSpan? Span(string name, TimeSpan min, TimeSpan max) => Text(path, name, At(section, name)) is not { } text
            ? null
            : TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out var value) && value >= min && value <= max
                ? value
                : throw AppFile.Invalid(path, $"{name} is '{text}'", $"Write it as hh:mm:ss, {min:c} to {max:c}.");
    }

    private static TimeSpan ParseTimeout(string path, string text) => text == "-1"
        ? Timeout.InfiniteTimeSpan
        : TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out var value) && value > TimeSpan.Zero
            ? value
            : throw AppFile.Invalid(path, $"functionTimeout is '{text}'", "Write it as hh:mm:ss.");

    private static JsonElement At(JsonElement element, params string[] path)
    {
        foreach (var name in path)
            element = HandlerAnswer.Find(element, name); // names are case-insensitive, as in the real host
        return element;
    }

    private static string? Text(string path, string name, JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Undefined or JsonValueKind.Null => null,
        JsonValueKind.String => element.GetString(),
        _ => throw AppFile.Invalid(path, $"{name} is {element.GetRawText()}, not a text", "Write it in quotes."),
    };

    private static int? Number(string path, string name, JsonElement element, int min = 1, int max = ConcurrencyMax)
    {
        if (element.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null) return null;
        return element.ValueKind == JsonValueKind.Number && element.TryGetInt32(out var n) && n >= min && n <= max
            ? n
            : throw AppFile.Invalid(path, $"{name} is {element.GetRawText()}", $"Write a whole number from {min} to {max}.");
    }

    [GeneratedRegex("^[A-Za-z][A-Za-z0-9]{2,44}$", RegexOptions.CultureInvariant)]
    private static partial Regex HubNameRule();
}

/// <summary>App settings, the process environment behind them, and the <c>%NAME%</c> notation.</summary>
internal sealed partial class AppSettings(IReadOnlyDictionary<string, string?> settings)
{
    public string? Get(string name) => settings.TryGetValue(name, out var value) ? value : Environment.GetEnvironmentVariable(name);

    public string Expand(string text, string file) => Reference().Replace(text, match => Get(match.Groups[1].Value)
        ?? throw AppFile.Invalid(file, $"it refers to the app setting '{match.Groups[1].Value}', which is not set", "Set it, or write the value in place."));

    [GeneratedRegex("%([^%]+)%", RegexOptions.CultureInvariant)]
    private static partial Regex Reference();
}

/// <summary>Reads the app's JSON files; comments and trailing commas are allowed, as in the real host.</summary>
internal static class AppFile
{
    public static JsonDocument Parse(string path)
    {
        try
        {
            return JsonDocument.Parse(File.ReadAllBytes(path), new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ShardCloudException(ErrorCodes.FunctionsAppInvalid, $"'{path}' cannot be read: {e.Message}", "Point the app directory at the folder that holds host.json.", e);
        }
        catch (JsonException e)
        {
            throw Invalid(path, $"it is not JSON: {e.Message}", "Correct the file.");
        }
    }

    public static ShardCloudException Invalid(string path, string facts, string remedy) =>
        new(ErrorCodes.FunctionsAppInvalid, $"'{path}' is not usable: {facts}.", remedy);
}
