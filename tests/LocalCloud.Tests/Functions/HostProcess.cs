using System.Text.Json;
using ShardCloud.LocalCloud.Azurite;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Tests.Functions;

/// <summary>The host in a process of its own.</summary>
internal sealed class HostProcess(ChildProcess child, JsonElement line) : IAsyncDisposable
{
    public ChildProcess Child => child;

    public JsonElement Line => line;

    public Uri Http => new(line.GetProperty("http").GetString()!);

    public static async Task<HostProcess> StartAsync(AppFolder app, AzuriteProcess azurite, string hub, params string[] more)
    {
        var options = app.Options(azurite);
        app.Write("options.json", JsonSerializer.Serialize(new { appDirectory = app.Root, storageConnectionString = azurite.ConnectionString, options.HandlerArguments, options.AppSettings }, JsonSerializerOptions.Web));
        var line = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
        var child = ChildProcess.Start(new ChildProcessOptions
        {
            FileName = "dotnet",
            Arguments = [Path.Combine(AppContext.BaseDirectory, "ShardCloud.LocalCloud.TestHandler.dll"), "host", "--options", Path.Combine(app.Root, "options.json"), "--taskHubName", hub, .. more],
            OnLine = text =>
            {
                if (text.StartsWith("{\"ready\"", StringComparison.Ordinal)) line.TrySetResult(JsonSerializer.Deserialize<JsonElement>(text));
            },
        });
        return new HostProcess(child, await line.Task.WaitAsync(AppFolder.Deadline));
    }

    public ValueTask DisposeAsync() => child.DisposeAsync();
}
