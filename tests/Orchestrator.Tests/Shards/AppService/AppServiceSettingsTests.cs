using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using ShardCloud.Orchestrator.Shards.AppService;

namespace ShardCloud.Orchestrator.Tests.Shards.AppService;

/// <summary>What is wrong in the settings is said at start, by name.</summary>
public sealed class AppServiceSettingsTests
{
    [Fact]
    public void Complete_IsTaken()
    {
        var settings = Read(Configured());

        Assert.True(settings.AppService.IsUsed);
        Assert.Equal(2, settings.AppService.Plans.Count);
    }

    [Theory]
    [InlineData("ShardCloud:AppService:Plans:0", "plan-1", "Plans is not 1 to 16 resource ids")]
    [InlineData("ShardCloud:AppService:Subnet", "", "Subnet is not")]
    [InlineData("ShardCloud:AppService:NamePrefix", "-rooms", "NamePrefix")]
    [InlineData("ShardCloud:AppService:Image", "rooms:latest", "{version}")]
    [InlineData("ShardCloud:AppService:Image", null, "PackagesUrl is not")]
    [InlineData("ShardCloud:AppService:Calls:TriesMax", "0", "TriesMax")]
    [InlineData("ShardCloud:AppService:Environment:ShardCloud:Storage:ConnectionString", "x", "looks like a secret")]
    [InlineData("ShardCloud:AppService:Environment:SIGNED", "https://a.blob.core.windows.net/b?sig=x", "looks like a secret")]
    [InlineData("ShardCloud:Auth:Entra:TenantId", "contoso", "ShardCloud:Auth:KeyFile and ShardCloud:Auth:Entra are both set")]
    [InlineData("ShardCloud:ShardHost:Url", "http://127.0.0.1:9/", "Exactly one of")]
    [InlineData("ShardCloud:AppService:SubscriptionId", null, "Exactly one of")]
    public void Wrong_IsRefusedByName(string key, string? value, string says)
    {
        var error = Assert.Throws<OptionsValidationException>(() => Read(new Dictionary<string, string?>(Configured()) { [key] = value }));

        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Environment_BecomesAppSettings()
    {
        var told = ShardEnvironment.Read(new ConfigurationBuilder().AddInMemoryCollection(Configured()).Build());

        Assert.Equal(KeyValuePair.Create("ShardCloud__Storage__TableUri", "https://account.table.core.windows.net"), Assert.Single(told));
        Assert.Null(ShardEnvironment.Fault(new Dictionary<string, string> { ["Db__ConnectionString"] = "@Microsoft.KeyVault(VaultName=v;SecretName=s)" }));
    }

    /// <summary>The same operation, the same name; App Service's rules hold for the longest of everything.</summary>
    [Fact]
    public void Names_KeepTheRulesOfAppService()
    {
        var longest = new ShardId("a" + new string('-', 18) + "-" + new string('b', 20));

        var name = SiteNames.Of("contoso-rooms-prod-x", new string('r', 40), longest, new string('o', 200));

        Assert.Matches("^[a-z0-9][a-z0-9-]{0,58}[a-z0-9]$", name);
        Assert.Equal(name, SiteNames.Of("contoso-rooms-prod-x", new string('r', 40), longest, new string('o', 200)));
        Assert.Equal(4_000, Enumerable.Range(0, 4_000).Select(operation => SiteNames.Of("p1", "rooms", new ShardId("shard-1"), $"add-{operation}")).Distinct().Count());
        Assert.NotEqual(SiteNames.Of("p1", "rooms", new ShardId("shard-1"), "add-1"), SiteNames.Of("p1", "carts", new ShardId("shard-1"), "add-1"));
    }

    /// <summary>All that is needed, as the environment has it.</summary>
    internal static Dictionary<string, string?> Configured()
    {
        var settings = TestSites.Settings();
        return new Dictionary<string, string?>
        {
            ["ShardCloud:ShardHost:Url"] = null,
            ["ShardCloud:AppService:SubscriptionId"] = settings.SubscriptionId,
            ["ShardCloud:AppService:ResourceGroup"] = settings.ResourceGroup,
            ["ShardCloud:AppService:Location"] = settings.Location,
            ["ShardCloud:AppService:Plans:0"] = settings.Plans[0],
            ["ShardCloud:AppService:Plans:1"] = settings.Plans[1],
            ["ShardCloud:AppService:Subnet"] = settings.Subnet,
            ["ShardCloud:AppService:MembersIdentity"] = settings.MembersIdentity,
            ["ShardCloud:AppService:MembersClientId"] = settings.MembersClientId,
            ["ShardCloud:AppService:Image"] = "contoso.azurecr.io/rooms:{version}",
            ["ShardCloud:AppService:Calls:Pause"] = "00:00:00.001",
            ["ShardCloud:AppService:Calls:TriesMax"] = "3",
            ["ShardCloud:AppService:Environment:ShardCloud:Storage:TableUri"] = "https://account.table.core.windows.net",
        };
    }

    private static OrchestratorSettings Read(IDictionary<string, string?> configured)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?> { ["ShardCloud:Auth:KeyFile"] = "key" }).AddInMemoryCollection(configured).Build();
        using var provider = new ServiceCollection().AddSingleton<IConfiguration>(configuration).AddLogging().AddOrchestrator().BuildServiceProvider();
        return provider.GetRequiredService<IOptions<OrchestratorSettings>>().Value;
    }
}
