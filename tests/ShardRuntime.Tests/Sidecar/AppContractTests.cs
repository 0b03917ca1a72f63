using System.Text.RegularExpressions;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Tests.Hosting;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Tests.Sidecar;

/// <summary>Probes and rules that an application in another language declares in a file.</summary>
public sealed partial class AppContractTests : IAsyncDisposable
{
    private readonly TestCluster _cluster = new();
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"shardcloud-test-{Guid.NewGuid():N}.json");

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        await _cluster.DisposeAsync();
        File.Delete(_file);
    }

    /// <summary>The sample keeps what its contract says, twice, for a probe leaves nothing behind; docs/probes.md shows the same file.</summary>
    [Fact]
    public async Task Sample_KeepsItsContract_AndNothingIsLeft()
    {
        var contract = AppHost.PathOf("../../../samples/Rooms.Node/contract.json");
        var shown = JsonBlock().Match(await File.ReadAllTextAsync(AppHost.PathOf("../../../docs/probes.md"), Cancelled)).Groups[1].Value;
        Assert.Equal(await File.ReadAllTextAsync(contract, Cancelled), shown);

        var member = await StartAsync(contract);
        for (var round = 0; round < 2; round++)
        {
            var report = await ProbeAsync(member);
            Assert.All(report.Results, result => Assert.True(result.Passed, $"{result}"));
            Assert.Equal(["counts", "counts", "lists members", "lists members", "lists members", "lists members"], report.Results.Select(result => result.Name));
        }
        var rules = member.Get<ShardTemplates>().ContractOf("/rooms/1")!.Rules;
        Assert.True(rules.AllowsAddedMembers && rules.Ignores("/shard") && !rules.Ignores("/value"));
        Assert.Contains("\"value\":0", await member.Client.GetStringAsync("/rooms/probe", Cancelled), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"method":"POST","path":"/increment","json":{"/value":2}}""", "does not hold: /value is 2")]
    [InlineData("""{"method":"GET","json":{"/members/0":"ada"}}""", "does not hold: /members/0 is \"ada\"")]
    [InlineData("""{"method":"GET","path":"/elsewhere"}""", "answered 404 instead of 200 to 299")]
    public async Task Probe_ThatDoesNotHold_SaysWhat(string request, string error)
    {
        await File.WriteAllTextAsync(_file, ContractOf(request), Cancelled);

        var result = Assert.Single((await ProbeAsync(await StartAsync(_file))).Results);

        Assert.Equal((false, error), (result.Passed, result.Error));
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("""{"/rooms/{room}":{"probe":[]}}""")]
    [InlineData("""{"/halls/{hall}":{}}""")]
    [InlineData("""{"/rooms/{room}":{"shadow":{"ignore":["shard"]}}}""")]
    [InlineData("""{"/rooms/{room}":{"probes":[{"name":"none","endpoint":"probe","requests":[]}]}}""")]
    [InlineData("""{"/rooms/{room}":{"probes":[{"name":"get","endpoint":"probe","requests":[{"method":"GET","body":{}}]}]}}""")]
    public async Task Contract_ThatCannotBeMeantSo_IsRefusedAtTheStart(string text)
    {
        await File.WriteAllTextAsync(_file, text, Cancelled);

        var refused = await Assert.ThrowsAsync<ShardCloudException>(() => StartAsync(_file));

        Assert.Equal(ErrorCodes.BadContract, refused.Code);
    }

    private static string ContractOf(string request) => $$$"""{"/rooms/{room}":{"probes":[{"name":"one","endpoint":"probe","requests":[{{{request}}}]}]}}""";

    private async Task<TestMember> StartAsync(string contract)
    {
        var member = await _cluster.StartAppAsync(command: $"node \"{AppHost.PathOf("../../../samples/Rooms.Node/app.js")}\"", settings: new() { ["ShardCloud:App:Contract"] = contract });
        member.States.Own(new EndpointId("rooms/probe"), _cluster.GrantAll(member));
        return member;
    }

    private static Task<ProbeReport> ProbeAsync(TestMember member) => member.Get<ContractProbes>().RunAsync(TimeSpan.FromSeconds(30), Cancelled);

    [GeneratedRegex("```json\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex JsonBlock();
}
