using Microsoft.Extensions.Configuration;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sidecar;

namespace ShardCloud.ShardRuntime.Tests.Hosting;

public sealed class OptionsTests
{
    [Fact]
    public void Complete_IsAccepted() => Assert.True(new OptionsCheck().Validate(null, Options(_ => { })).Succeeded);

    public static readonly TheoryData<string, Action<ShardRuntimeOptions>> Broken = new()
    {
        { "ShardCloud:Shard", o => o.Shard = "Shard 1" },
        { "Application", o => o.Application = "" },
        { "KeyFile", o => o.Auth.KeyFile = "" },
        { "BootstrapServers", o => o.Log.BootstrapServers = "" },
        { "ShardCloud:Proxy", o => o.Proxy.HopsMax = 0 },
        { "ShardCloud:Parking", o => o.Parking.TotalMax = 0 },
        { "ShardCloud:Lease", o => o.Lease.Length = TimeSpan.Zero },
        { "Ack", o => o.Ack = "maybe" },
        { "Reads", o => o.Reads = "maybe" },
        { "RecordsExpireAfter", o => o.Lease.Length = TimeSpan.FromMinutes(1) }, // Parked for 76 s, remembered for 120 s.
        { "RecordsExpireAfter", o => o.Parking.TimeMax = TimeSpan.FromMinutes(2) },
        { "quote without its pair", o => o.App.Command = "node 'app.js" },
        { "a router runs no application", o => (o.App.Command, o.Role) = ("node app.js", Routing.MemberRole.Router) },
        { "ShardCloud:Affinity", o => o.Affinity.Edges = 99 },
        { "ShardCloud:Affinity", o => o.Affinity.HalfLife = TimeSpan.FromDays(8) },
        { "ShardCloud:Affinity", o => o.Affinity.ClientCookie = "a b" },
        { "longer than the half-life", o => (o.Affinity.Window, o.Affinity.HalfLife) = (TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(10)) },
        { "SC1003", o => o.App.Endpoints.Add("convergent:/rooms/{") },
    };

    [Theory]
    [MemberData(nameof(Broken))]
    public void Broken_IsRefusedByName(string named, Action<ShardRuntimeOptions> breaks)
    {
        var result = new OptionsCheck().Validate(null, Options(breaks));
        Assert.Contains(named, result.FailureMessage);
        Assert.Single(result.Failures!);
    }

    [Theory]
    [InlineData("", "http://0.0.0.0:20081/ http://10.0.1.4:20081/ worker-7")]
    [InlineData("Member:Url=http://10.0.0.9:5000;FaultDomain=zone-2", "http://127.0.0.1:0/  zone-2")]
    [InlineData("Member:AdvertisedUrl=http://relay:7000", "http://0.0.0.0:20081/ http://relay:7000/ worker-7")]
    public void AppService_TellsAddressAndWorkerUnlessTheSettingsDo(string settings, string expected)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["WEBSITE_PRIVATE_IP"] = "10.0.1.4",
            ["WEBSITE_PRIVATE_PORTS"] = "20081,20082",
            ["WEBSITE_INSTANCE_ID"] = "worker-7",
        }).AddInMemoryCollection(settings.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(pair => KeyValuePair.Create($"ShardCloud:{pair[..pair.IndexOf('=')]}", (string?)pair[(pair.IndexOf('=') + 1)..]))).Build();
        var options = new ShardRuntimeOptions { FaultDomain = configuration["ShardCloud:FaultDomain"] ?? "" };
        if (configuration["ShardCloud:Member:AdvertisedUrl"] is { } advertised) options.Member.AdvertisedUrl = new Uri(advertised);

        new AppServiceAddresses(configuration).PostConfigure(null, options);

        Assert.Equal(expected, $"{options.Member.Url} {options.Member.AdvertisedUrl} {options.FaultDomain}");
    }

    [Fact]
    public void Budget_IsAnEvenShareOfTheThroughputUnits()
    {
        Assert.Equal((0, 0), new LogSettings().BudgetOf(3)); // Nobody said what the namespace has: no limit of our own.
        var settings = new LogSettings { ThroughputUnits = 4 };
        Assert.Equal((1_200, 1_200_000), settings.BudgetOf(3));
        Assert.Equal((3_600, 3_600_000), settings.BudgetOf(0)); // The first shard, before it has joined.
        settings.RecordsPerSecond = 200;
        Assert.Equal((200, 1_200_000), settings.BudgetOf(3));
    }

    [Fact]
    public void AppCommand_IsSplitIntoWords_AsAShellWould()
    {
        Assert.Equal(["node", "my app.js", "--x=a b", ""], new AppSettings { Command = " node 'my app.js'  --x=\"a b\" '' " }.Words());
    }

    [Fact]
    public void EndpointArguments_BecomeAList()
    {
        var settings = EndpointArguments.Of(["--role", "shard", "--endpoint", "/a/{x}", "--app", "node", "--endpoint=convergent:/b/{x}"]);
        Assert.Equal([new("ShardCloud:App:Endpoints:0", "/a/{x}"), new("ShardCloud:App:Endpoints:1", "convergent:/b/{x}")], settings);
    }

    private static ShardRuntimeOptions Options(Action<ShardRuntimeOptions> change)
    {
        var options = new ShardRuntimeOptions { Application = "rooms", Shard = "shard-1", Auth = { KeyFile = "key" }, Log = { BootstrapServers = "127.0.0.1:9092" } };
        change(options);
        return options;
    }
}
