using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests;

/// <summary>The folders that the Functions host reads, against the code behind them.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class FunctionFolderTests(AzuriteFixture azurite)
{
    private static readonly string Root = AppContext.BaseDirectory;

    private static IEnumerable<(string Name, JsonElement[] Bindings)> Folders => Directory.GetDirectories(Root)
        .Where(folder => File.Exists(Path.Combine(folder, "function.json")))
        .Select(folder => (Path.GetFileName(folder),
            JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "function.json"))).RootElement.GetProperty("bindings").EnumerateArray().ToArray()));

    [Fact]
    public void Folders_AndClasses_AreTheSame()
    {
        var types = typeof(OrchestratorServices).Assembly.GetTypes().Where(type => type is { IsAbstract: false, IsClass: true }).ToList();

        Assert.Equal(Named("orchestrationTrigger"), [.. types.Where(type => type.IsAssignableTo(typeof(ITaskOrchestrator))).Select(type => type.Name)]);
        Assert.Equal(Named("activityTrigger"), [.. types.Where(type => type.IsAssignableTo(typeof(ITaskActivity))).Select(type => type.Name)]);
        Assert.Equal(["Management"], Named("httpTrigger"));
        Assert.Equal(["Monitor"], Named("timerTrigger"));
    }

    [Fact]
    public void DurableFunctions_DeclareOneBindingAndNoReturn()
    {
        foreach (var (name, bindings) in Folders.Where(folder => folder.Bindings[0].GetProperty("type").GetString() is "orchestrationTrigger" or "activityTrigger"))
        {
            var binding = Assert.Single(bindings); // A "$return" output would have the host decode answers that look like base64.
            var wanted = binding.GetProperty("type").GetString() == "activityTrigger" ? "input" : "context";
            Assert.True(binding.GetProperty("name").GetString() == wanted, name);
            Assert.False(binding.TryGetProperty("dataType", out _), name);
        }
    }

    [Fact]
    public void FunctionsThatUseTheTaskHub_HaveADurableClient() => Assert.All(
        Folders.Where(folder => folder.Name is "Management" or "Monitor"),
        folder => Assert.Contains(folder.Bindings, binding => binding.GetProperty("type").GetString() == "durableClient"));

    [Fact]
    public void Host_StartsTheHandlerThatIsBesideIt()
    {
        var host = JsonDocument.Parse(File.ReadAllText(Path.Combine(Root, "host.json"))).RootElement;
        var handler = host.GetProperty("customHandler");

        Assert.True(File.Exists(Path.Combine(Root, handler.GetProperty("description").GetProperty("defaultExecutablePath").GetString()! + ".dll")));
        Assert.False(handler.GetProperty("enableForwardingHttpRequest").GetBoolean());
        var durable = host.GetProperty("extensions").GetProperty("durableTask");
        Assert.False(durable.GetProperty("extendedSessionsEnabled").GetBoolean());
        Assert.Equal(OrchestratorServices.OrchestrationVersion, durable.GetProperty("defaultVersion").GetString());
    }

    /// <summary>Anywhere else the real host reads past them: four partitions would be polled, each up to every 30 s when idle.</summary>
    [Fact]
    public void Host_HasOnePartition_AndPollsEverySecond()
    {
        var storage = JsonDocument.Parse(File.ReadAllText(Path.Combine(Root, "host.json"))).RootElement.GetProperty("extensions").GetProperty("durableTask").GetProperty("storageProvider");

        Assert.Equal(("azureStorage", 1, "00:00:01"), (storage.GetProperty("type").GetString(), storage.GetProperty("partitionCount").GetInt32(), storage.GetProperty("maxQueuePollingInterval").GetString()));
    }

    [Fact]
    public async Task EveryFolder_IsRegisteredInTheHandler()
    {
        await using var cloud = new TestCloud(azurite);
        foreach (var (name, _) in Folders.Where(folder => folder.Name != "Management"))
        {
            using var response = await cloud.Hub.Handler.PostAsJsonAsync($"/{name}", new { Data = new { } }, TestContext.Current.CancellationToken);
            Assert.True(response.StatusCode != HttpStatusCode.NotFound, $"'{name}' has a folder but no code: the host would call it in vain.");
        }
        using var unknown = await cloud.Hub.Handler.PostAsJsonAsync("/NoSuchFunction", new { Data = new { } }, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
    }

    private static SortedSet<string> Named(string trigger) =>
        [.. Folders.Where(folder => folder.Bindings.Any(binding => binding.GetProperty("type").GetString() == trigger)).Select(folder => folder.Name)];
}
