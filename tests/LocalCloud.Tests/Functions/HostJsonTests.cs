using ShardCloud.LocalCloud.Functions;

namespace ShardCloud.LocalCloud.Tests.Functions;

/// <summary>host.json: what is not known is told, what cannot be meant is refused.</summary>
public sealed class HostJsonTests : IDisposable
{
    private readonly AppFolder _app = new();

    public void Dispose() => _app.Dispose();

    [Fact]
    public void Read_UnknownKeys_AreNamedWithTheirPaths()
    {
        var json = Read("""{ "version": "2.0", "functionTimeOut": "00:01:00", "functionTimout": "1", "extensions": { "durableTask": { "hubname": "Abc", "maxConcurent": 1 }, "other": { "x": 1 } } }""");

        Assert.Equal(["functionTimout", "extensions.durableTask.maxConcurent"], json.UnknownKeys);
    }

    [Fact]
    public void Read_KeysInAnotherCase_AreRead() =>
        Assert.Equal(TimeSpan.FromMinutes(1), Read("""{ "Version": "2.0", "functionTimeOut": "00:01:00" }""").FunctionTimeout);

    [Theory]
    [InlineData("""{ }""", "version is missing")]
    [InlineData("""{ "version": "1.0" }""", "version is '1.0'")]
    [InlineData("""{ "version": "2.0", "functionTimeout": 5 }""", "functionTimeout is 5")]
    [InlineData("""{ "version": "2.0", "functionTimeout": "soon" }""", "functionTimeout is 'soon'")]
    [InlineData("""{ "version": "2.0", "extensions": { "durableTask": { "maxConcurrentActivityFunctions": 0 } } }""", "maxConcurrentActivityFunctions is 0")]
    [InlineData("""{ "version": "2.0", "extensions": { "durableTask": { "maxConcurrentOrchestratorFunctions": 1.5 } } }""", "maxConcurrentOrchestratorFunctions is 1.5")]
    [InlineData("""{ "version": "2.0", "extensions": { "durableTask": { "hubName": 7 } } }""", "hubName is 7")]
    [InlineData("""{ "version": "2.0", "extensions": { "queues": { "batchSize": 33 } } }""", "batchSize is 33")]
    [InlineData("""{ "version": "2.0", "extensions": { "queues": { "newBatchThreshold": -1 } } }""", "newBatchThreshold is -1")]
    [InlineData("""{ "version": "2.0", "extensions": { "queues": { "maxPollingInterval": "fast" } } }""", "maxPollingInterval is 'fast'")]
    [InlineData("""{ "version": "2.0", "extensions": { "queues": { "messageEncoding": "utf-8" } } }""", "messageEncoding is 'utf-8'")]
    public void Read_ValueThatCannotBeMeant_IsRefusedWithCodeAndFacts(string text, string facts)
    {
        var error = Assert.Throws<ShardCloudException>(() => Read(text));

        Assert.Equal(ErrorCodes.FunctionsAppInvalid, error.Code);
        Assert.Contains(facts, error.Message, StringComparison.Ordinal);
        Assert.NotEmpty(error.Remedy);
    }

    [Fact]
    public void Read_Queues_DefaultsAndValues()
    {
        var defaults = Read("""{ "version": "2.0" }""").Queues;
        Assert.Equal((16, 8, 5, TimeSpan.Zero, true), (defaults.BatchSize, defaults.Threshold, defaults.MaxDequeueCount, defaults.VisibilityTimeout, defaults.IsBase64));

        var set = Read("""{ "version": "2.0", "extensions": { "queues": { "batchSize": 1, "newBatchThreshold": 0, "maxDequeueCount": 3, "visibilityTimeout": "00:00:30", "messageEncoding": "none", "maxPollingInterval": "00:00:15" } } }""").Queues;
        Assert.Equal((1, 0, 3, TimeSpan.FromSeconds(30), false, TimeSpan.FromSeconds(15)), (set.BatchSize, set.Threshold, set.MaxDequeueCount, set.VisibilityTimeout, set.IsBase64, set.MaxPollingInterval));
    }

    [Theory, InlineData(0, 0), InlineData(1, 100), InlineData(3, 400), InlineData(7, 5_000), InlineData(1_000, 5_000)]
    public void BackOff_OfTheHandler_DoublesUpToItsBound(int quickExits, int milliseconds) =>
        Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), HandlerProcess.BackOff(quickExits));

    private HostJson Read(string text)
    {
        _app.Write("host.json", text);
        return HostJson.Read(_app.Root, new AppSettings(new Dictionary<string, string?>()));
    }
}
