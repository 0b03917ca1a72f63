using System.Text.Json.Nodes;
using ShardCloud.LocalCloud.Functions;

namespace ShardCloud.LocalCloud.Tests.Functions;

public sealed class FunctionIndexTests : IDisposable
{
    private readonly AppFolder _app = new();
    private readonly AppSettings _settings = new(new Dictionary<string, string?> { ["TASKHUB_NAME"] = "Hub", ["EVERY"] = "*/5 * * * * *" });

    public void Dispose() => _app.Dispose();

    [Fact]
    public void Read_BindingOfUnknownType_IsRefusedByName()
    {
        _app.WriteFunction("Blob", """{ "type": "blobTrigger", "direction": "in", "name": "blob" }""");

        var error = Assert.Throws<ShardCloudException>(() => FunctionIndex.Read(_app.Root, _settings));

        Assert.Equal(ErrorCodes.FunctionsAppInvalid, error.Code);
        Assert.Contains("of type 'blobTrigger'", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{ "type": "timerTrigger", "direction": "in", "name": "t", "schedule": "00:01:00" }""")]
    [InlineData("""{ "type": "timerTrigger", "direction": "in", "name": "t", "schedule": "%NOT_SET%" }""")]
    [InlineData("""{ "type": "durableClient", "direction": "in", "name": "c" }""")]
    [InlineData("""{ "type": "activityTrigger", "direction": "in", "name": "i", "activity": "add" }""")] // taken, case aside
    [InlineData("""{ "type": "http", "direction": "out", "name": "$return" }""")]
    [InlineData("""{ "type": "queueTrigger", "direction": "in", "name": "m" }""")]
    [InlineData("""{ "type": "queueTrigger", "direction": "in", "name": "m", "queueName": "Big" }""")]
    [InlineData("""{ "type": "queueTrigger", "direction": "in", "name": "m", "queueName": "work", "connection": "NOT_SET" }""")]
    public void Read_UnusableFunction_IsRefused(string binding)
    {
        _app.WriteFunction("Odd", binding);

        Assert.Equal(ErrorCodes.FunctionsAppInvalid, Assert.Throws<ShardCloudException>(() => FunctionIndex.Read(_app.Root, _settings)).Code);
    }

    [Fact]
    public void Read_TimerWithASetting_ExpandsIt()
    {
        _app.WriteFunction("Often", """{ "type": "timerTrigger", "direction": "in", "name": "t", "schedule": "%EVERY%" }""");

        Assert.Equal("*/5 * * * * *", FunctionIndex.Read(_app.Root, _settings).All.Single(f => f.Name == "Often").Schedule!.Text);
    }

    [Theory]
    [InlineData("""{ "customHandler": { "enableForwardingHttpRequest": true } }""")]
    [InlineData("""{ "extensions": { "durableTask": { "extendedSessionsEnabled": true } } }""")]
    [InlineData("""{ "functionTimeout": "soon" }""")]
    [InlineData("{")]
    public void HostJson_WhatThisHostCannotDo_IsRefused(string text)
    {
        _app.Write("host.json", text);

        Assert.Equal(ErrorCodes.FunctionsAppInvalid, Assert.Throws<ShardCloudException>(() => HostJson.Read(_app.Root, _settings)).Code);
    }

    [Fact]
    public void HostJson_HubNameIsGiven_TheFilesSettingIsNotNeeded() =>
        Assert.Equal("Given", HostJson.Read(_app.Root, new AppSettings(new Dictionary<string, string?>()), "Given").HubName);

    // The product's own app must suit this host.
    [Fact]
    public void Read_TheProductsApp_IsUsable()
    {
        var app = Path.Combine(AppContext.BaseDirectory, "../../../../../src/Orchestrator/Functions");

        var functions = FunctionIndex.Read(app, _settings);
        var host = HostJson.Read(app, _settings);

        Assert.NotNull(functions.Orchestrator("MigrateEndpoints"));
        Assert.Equal("Hub", host.HubName);
    }

    [Theory, InlineData("ab"), InlineData("1hub"), InlineData("my-hub")]
    public void CheckHubName_WhatCannotNameTables_IsRefused(string name) => Assert.Throws<ShardCloudException>(() => HostJson.CheckHubName(name));

    // The examples of the protocol's description, letter by letter where JSON leaves no choice.
    [Theory, InlineData("{\"shard\":12}"), InlineData("\"Tokyo\""), InlineData(null)]
    public void Envelope_ActivityInput_HasOneMoreLevelOfQuotes(string? input)
    {
        var function = FunctionIndex.Read(_app.Root, _settings).Activity("add")!;

        var envelope = Envelope.Write(function, Envelope.Literal(input), new Dictionary<string, string>(), Envelope.ActivityMetadata("i1", "input", input), DateTime.UnixEpoch);

        var data = envelope["Data"]!["input"]!.GetValue<string>();
        Assert.Equal(input, input is null ? (data == "null" ? null : data) : JsonNode.Parse(data)!.GetValue<string>());
        Assert.Equal("\"i1\"", envelope["Metadata"]!["instanceId"]!.GetValue<string>());
        Assert.Equal("Add", envelope["Metadata"]!["sys"]!["MethodName"]!.GetValue<string>());
    }

    [Theory, InlineData("abcd1234", true), InlineData("test", true), InlineData("hello world", false), InlineData("{}", false)]
    public void Answer_StringOutputThatLooksLikeBase64_IsDecodedAsTheRealHostDoes(string text, bool decoded)
    {
        Assert.True(HandlerAnswer.TryRead(System.Text.Encoding.UTF8.GetBytes(new JsonObject { ["outputs"] = new JsonObject { ["RES"] = text } }.ToJsonString()), out var answer));

        Assert.Equal(decoded, answer.Output("res").Bytes is not null);
    }

    [Theory, InlineData(""), InlineData("  \r\n"), InlineData("null")]
    public void Answer_EmptyOrNull_IsNoAnswer(string body) => Assert.False(HandlerAnswer.TryRead(System.Text.Encoding.UTF8.GetBytes(body), out _));
}
