using ShardCloud.Cli.Commands;

namespace ShardCloud.Integration.Tests;

public sealed class ConnectCommandTests
{
    private const string Outputs = """{"orchestratorUrl":"https://sc-rooms-orchestrator-1.azurewebsites.net","audience":"api://rooms","routerUrls":["https://r.example.net"],"more":{"of":1}}""";

    [Fact]
    public async Task Outputs_AreLinesForTheShell()
    {
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, Outputs, TestContext.Current.CancellationToken);

        var (exit, posix, errors) = await CommandLineTests.RunAsync(["connect", file, "--shell", "posix"]);
        var (_, powershell, _) = await CommandLineTests.RunAsync(["connect", file, "--shell", "powershell"]);

        File.Delete(file);
        Assert.True(exit == 0, errors);
        Assert.Equal("export SHARDCLOUD_ORCHESTRATOR='https://sc-rooms-orchestrator-1.azurewebsites.net'\nexport SHARDCLOUD_AUDIENCE='api://rooms'", posix.Trim().ReplaceLineEndings("\n"));
        Assert.StartsWith("$env:SHARDCLOUD_ORCHESTRATOR = 'https://", powershell, StringComparison.Ordinal);
        Assert.Contains("https://r.example.net", errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nonsense", "not JSON")]
    [InlineData("null", "orchestratorUrl")]
    [InlineData("""{"audience":"api://rooms"}""", "orchestratorUrl")]
    [InlineData("""{"orchestratorUrl":"http://h","audience":"api://rooms"}""", "orchestratorUrl")]
    [InlineData("""{"orchestratorUrl":"https://h","audience":null}""", "audience")]
    [InlineData("""{"orchestratorUrl":"https://h","audience":"a'; rm -rf /; '"}""", "audience")]
    [InlineData("""{"orchestratorUrl":"https://h/$(id)","audience":"api://rooms"}""", "orchestratorUrl")]
    public void Outputs_ThatAShellMustNotRun_AreRefused(string json, string named)
    {
        var error = Assert.Throws<ShardCloudException>(() => ConnectCommand.Read(json));

        Assert.Equal(ErrorCodes.BadOutputs, error.Code);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }
}
