using ShardCloud.LocalCloud.Azurite;
using ShardCloud.LocalCloud.Functions;

namespace ShardCloud.LocalCloud.Tests.Functions;

/// <summary>The test handler's app on disk: host.json and a folder per function.</summary>
public sealed class AppFolder : IDisposable
{
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private static readonly string[] Orchestrators = ["Chain", "FanOut", "Large", "Approval", "Sleep", "Count", "Parent", "Throws", "Slow", "Retry", "Empty", "Broken", "Crowd", "Crowded", "Strange"];
    private static readonly string[] Activities = ["Add", "Repeat", "Gate", "Flaky", "Busy", "Bare", "Fails"];

    private int _hubs;

    public AppFolder()
    {
        Notes = Directory.CreateDirectory(Path.Combine(Root, "notes")).FullName;
        Write("host.json", """
            {
              "version": "2.0", "functionTimeout": "00:00:05",
              "customHandler": { "description": { "defaultExecutablePath": "dotnet" } },
              "extensions": { "durableTask": { "hubName": "%TASKHUB_NAME%", "defaultVersion": "1.0", "maxConcurrentOrchestratorFunctions": 8, "maxConcurrentActivityFunctions": 8 } }
            }
            """);
        foreach (var name in Orchestrators) WriteFunction(name, """{ "type": "orchestrationTrigger", "direction": "in", "name": "context" }""");
        foreach (var name in Activities) WriteFunction(name, """{ "type": "activityTrigger", "direction": "in", "name": "input" }""");
        WriteFunction("Start", Http("start/{name}/{id}", "anonymous", """, "methods": ["post"]"""), Response, """{ "type": "durableClient", "direction": "in", "name": "client" }""");
        WriteFunction("Echo", Http("echo/{word}", "function", ""), Response);
        WriteFunction("Pid", Http("pid", "anonymous", ""), Response);
        WriteFunction("Most", Http("most/{what}", "anonymous", ""), Response);
    }

    private const string Response = """{ "type": "http", "direction": "out", "name": "res" }""";

    public string Root { get; } = Directory.CreateTempSubdirectory("shardcloud-functions-").FullName;

    public string Notes { get; }

    public void Dispose() => Directory.Delete(Root, recursive: true);

    public void Write(string file, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(Root, file))!);
        File.WriteAllText(Path.Combine(Root, file), text);
    }

    public void WriteFunction(string name, params string[] bindings) => Write(Path.Combine(name, "function.json"), $$"""{ "bindings": [ {{string.Join(", ", bindings)}} ] }""");

    /// <summary>The lines of a note of the handler, once there are that many.</summary>
    public async Task<string[]> LinesAsync(string note, int count = 1)
    {
        using var watcher = new FileSystemWatcher(Notes, note);
        using var changed = new SemaphoreSlim(0);
        watcher.Created += (_, _) => changed.Release();
        watcher.Changed += (_, _) => changed.Release();
        watcher.EnableRaisingEvents = true;
        while (true)
        {
            var lines = Read();
            if (lines.Length >= count) return lines;
            Assert.True(await changed.WaitAsync(Deadline), $"'{note}' has {lines.Length} lines, {count} are due: {string.Join(" | ", lines)}");
        }

        string[] Read()
        {
            var path = Path.Combine(Notes, note);
            if (!File.Exists(path)) return [];
            using var reader = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
            return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        }
    }

    /// <summary>Options for a host over a hub of its own.</summary>
    internal FunctionsHostOptions Options(AzuriteProcess azurite) => new()
    {
        AppDirectory = Root,
        StorageConnectionString = azurite.ConnectionString,
        HandlerArguments = [Path.Combine(AppContext.BaseDirectory, "ShardCloud.LocalCloud.TestHandler.dll")],
        AppSettings = new Dictionary<string, string?> { ["TASKHUB_NAME"] = $"Hub{Interlocked.Increment(ref _hubs)}", ["HANDLER_NOTES"] = Notes },
        HostKey = "secret",
    };

    private static string Http(string route, string level, string more) =>
        $$"""{ "type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "{{level}}", "route": "{{route}}"{{more}} }""";
}

/// <summary>One emulator for all tests of the host: each test has its own hub.</summary>
public sealed class AzuriteFixture : IAsyncLifetime
{
    public AzuriteProcess Azurite { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Azurite = await AzuriteProcess.StartAsync(new AzuriteOptions()).WaitAsync(TimeSpan.FromMinutes(5));

    public ValueTask DisposeAsync() => Azurite.DisposeAsync();
}
