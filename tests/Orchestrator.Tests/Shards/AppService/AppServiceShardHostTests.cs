using System.Text.Json.Nodes;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Shards.AppService;

namespace ShardCloud.Orchestrator.Tests.Shards.AppService;

/// <summary>The life of a shard as a site, request by request, on a fake Azure that takes only what Microsoft lists.</summary>
public sealed class AppServiceShardHostTests : IAsyncLifetime
{
    private static readonly ShardId Shard = new("shard-1");

    private FakeArm _fake = null!;
    private AppServiceShardHost _host = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _fake = await FakeArm.StartAsync();
        _host = TestSites.Host(_fake);
    }

    public async ValueTask DisposeAsync()
    {
        _host.Dispose();
        await _fake.DisposeAsync();
        Assert.Empty(_fake.Violations);
    }

    [Fact]
    public async Task Create_List_Delete_AreTheseCallsAndNoOthers()
    {
        var created = await _host.CreateAsync("add-1", Shard, "1.2.3", Cancelled);
        var listed = Assert.Single(await _host.ListAsync(Cancelled));
        await _host.DeleteAsync(created.Handle, Cancelled);

        Assert.Equal(created, listed);
        Assert.Equal(("add-1", "shard-1", "1.2.3", InstanceState.Running, false), (created.Operation, created.Shard, created.Version, created.State, created.ConfirmedEnded));
        Assert.Equal(
            [FakeArm.Get, FakeArm.Plan, FakeArm.Plan, FakeArm.Put, FakeArm.Scm, FakeArm.Ftp, FakeArm.List, FakeArm.Get, FakeArm.Stop, FakeArm.Get, FakeArm.Delete], _fake.Calls);
        Assert.Empty(_fake.Sites);
        Assert.Equal(2, _fake.Plans.Count);
        Assert.Empty(await _host.ListAsync(Cancelled));
    }

    [Fact]
    public async Task Create_Body_IsASiteThatIsClosedAndRunsThePackageWithItsIdentity()
    {
        var created = await _host.CreateAsync("add-1", Shard, "1.2.3", Cancelled);

        var site = _fake.Sites[created.Handle];
        var (properties, config) = (site["properties"]!, site["properties"]!["siteConfig"]!);
        var told = config["appSettings"]!.AsArray().ToDictionary(pair => (string)pair!["name"]!, pair => (string)pair!["value"]!);
        Assert.Equal(("app,linux", "westeurope", "Disabled", true, true), ((string)site["kind"]!, (string)site["location"]!, (string)properties["publicNetworkAccess"]!, (bool)properties["httpsOnly"]!, (bool)properties["reserved"]!));
        Assert.Equal("exec dotnet Rooms.dll --motd 'it'\\''s open'", (string)config["appCommandLine"]!);
        Assert.Equal((1, 1, "Disabled", "/healthz", true, true, true), ((int)config["numberOfWorkers"]!, (int)config["vnetPrivatePortsCount"]!, (string)config["ftpsState"]!,
            (string)config["healthCheckPath"]!, (bool)config["alwaysOn"]!, (bool)config["webSocketsEnabled"]!, (bool)config["vnetRouteAllEnabled"]!));
        Assert.Equal("https://account.blob.core.windows.net/packages/rooms/1.2.3.zip", told["WEBSITE_RUN_FROM_PACKAGE"]);
        Assert.Equal(TestSites.Settings().MembersIdentity, told["WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID"]);
        Assert.Equal(TestSites.Settings().MembersIdentity, Assert.Single(site["identity"]!["userAssignedIdentities"]!.AsObject()).Key);
        Assert.Equal(("rooms", "shard-1", "1.2.3", created.Handle, "00:01:55", "120"), (told["ShardCloud__Application"], told["ShardCloud__Shard"], told["ShardCloud__ApplicationVersion"], told["ShardCloud__HostHandle"],
            told["ShardCloud__Stop__Within"], told["WEBSITES_CONTAINER_STOP_TIME_LIMIT"]));
        Assert.Equal([$"{created.Handle}/ftp", $"{created.Handle}/scm"], _fake.Closed.Order());
    }

    [Fact]
    public async Task Create_OfAnImage_PullsItWithTheIdentityAndFetchesNoPackage()
    {
        var settings = TestSites.Settings();
        settings.Image = "contoso.azurecr.io/rooms:{version}";
        using var host = TestSites.Host(_fake, settings);

        var created = await host.CreateAsync("add-1", Shard, "9.9.9", Cancelled); // Not published as a package.

        var (site, config) = (_fake.Sites[created.Handle], _fake.Sites[created.Handle]["properties"]!["siteConfig"]!);
        Assert.Equal(("app,linux,container", "DOCKER|contoso.azurecr.io/rooms:9.9.9", true, settings.MembersClientId), ((string)site["kind"]!, (string)config["linuxFxVersion"]!,
            (bool)config["acrUseManagedIdentityCreds"]!, (string)config["acrUserManagedIdentityID"]!));
        Assert.DoesNotContain("WEBSITE_RUN_FROM_PACKAGE", string.Concat(_fake.Bodies), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Create_TheSameOperationAgain_IsTheSameSiteAndAnotherOneIsAnother()
    {
        var both = await Task.WhenAll(_host.CreateAsync("add-1", Shard, "1.0.0", Cancelled), _host.CreateAsync("add-1", Shard, "1.0.0", Cancelled));
        var again = await _host.CreateAsync("add-1", Shard, "1.0.0", Cancelled);
        var other = await _host.CreateAsync("add-2", Shard, "1.0.0", Cancelled);

        Assert.Equal([again.Handle, again.Handle], both.Select(instance => instance.Handle));
        Assert.NotEqual(again.Handle, other.Handle);
        Assert.Equal(2, _fake.Sites.Count);
    }

    [Fact]
    public async Task Create_OfASiteThatWasStopped_DoesNotStartItAgain()
    {
        var created = await _host.CreateAsync("add-1", Shard, "1.0.0", Cancelled);
        _fake.Sites[created.Handle]["properties"]!["state"] = "Stopped";

        var again = await _host.CreateAsync("add-1", Shard, "1.0.0", Cancelled);

        Assert.Equal((InstanceState.Exited, false), (again.State, again.ConfirmedEnded));
        Assert.Equal("Stopped", (string?)_fake.Sites[created.Handle]["properties"]!["state"]);
    }

    [Fact]
    public async Task Create_OfAVersionThatWasNotPublished_IsRefusedBeforeAnythingIsMade()
    {
        var error = await Assert.ThrowsAsync<ShardCloudException>(() => _host.CreateAsync("add-1", Shard, "9.9.9", Cancelled));

        Assert.Equal((ErrorCodes.UnknownVersion, 0), (error.Code, _fake.Sites.Count));
    }

    [Fact]
    public async Task Create_FillsTheEmptiestPlanAndStopsWhereAllAreFull()
    {
        var settings = TestSites.Settings();
        settings.SitesPerPlanMax = 2;
        using var host = TestSites.Host(_fake, settings);

        for (var shard = 1; shard <= 4; shard++) await host.CreateAsync($"add-{shard}", new ShardId($"shard-{shard}"), "1.0.0", Cancelled);
        var error = await Assert.ThrowsAsync<ShardCloudException>(() => host.CreateAsync("add-5", new ShardId("shard-5"), "1.0.0", Cancelled));

        Assert.Equal([2, 2], _fake.Sites.Values.GroupBy(site => (string)site["properties"]!["serverFarmId"]!).Select(plan => plan.Count()));
        Assert.Equal(ErrorCodes.HostFull, error.Code);
        Assert.Contains("plan-1 has 2 sites", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Create_WhereOnePlanHasNoQuota_TakesTheOther()
    {
        var refused = 0;
        _fake.Faults = operation => operation == FakeArm.Put && refused++ == 0 ? Fault.NoQuota : Fault.None;

        var created = await _host.CreateAsync("add-1", Shard, "1.0.0", Cancelled);

        Assert.Equal(FakeArm.PlanId("plan-2"), (string?)_fake.Sites[created.Handle]["properties"]!["serverFarmId"]);
    }

    [Theory]
    [InlineData(false, true, "per-site scaling")]
    [InlineData(null, true, "per-site scaling")]
    [InlineData(true, false, "Linux")]
    public async Task Create_WhereNoPlanIsFit_SaysWhy(bool? perSiteScaling, bool reserved, string why)
    {
        foreach (var plan in (string[])["plan-1", "plan-2"]) _fake.AddPlan(plan, perSiteScaling, reserved);

        var error = await Assert.ThrowsAsync<ShardCloudException>(() => _host.CreateAsync("add-1", Shard, "1.0.0", Cancelled));

        Assert.Equal(ErrorCodes.HostRefused, error.Code);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task List_HasOurSitesOnly_OverAllPages()
    {
        using var others = TestSites.Host(_fake, application: "carts");
        for (var shard = 1; shard <= 3; shard++) await _host.CreateAsync($"add-{shard}", new ShardId($"shard-{shard}"), "1.0.0", Cancelled);
        await others.CreateAsync("add-1", Shard, "1.0.0", Cancelled);
        _fake.Sites["somebody"] = new JsonObject { ["name"] = "somebody", ["properties"] = new JsonObject { ["state"] = "Running" } };
        _fake.Calls.Clear();

        var listed = await _host.ListAsync(Cancelled);

        Assert.Equal(["shard-1", "shard-2", "shard-3"], listed.Select(instance => instance.Shard).Order());
        Assert.Equal(3, _fake.Calls.Count(call => call == FakeArm.List));
    }

    [Fact]
    public async Task Delete_OfASiteThatIsNotOurs_IsRefusedAndChangesNothing()
    {
        using var others = TestSites.Host(_fake, application: "carts");
        var theirs = (await others.CreateAsync("add-1", Shard, "1.0.0", Cancelled)).Handle;

        var error = await Assert.ThrowsAsync<ShardCloudException>(() => _host.DeleteAsync(theirs, Cancelled));
        await _host.DeleteAsync("never-made", Cancelled);

        Assert.Equal((ErrorCodes.ForeignSite, "Running"), (error.Code, (string?)_fake.Sites[theirs]["properties"]!["state"]));
    }

    [Fact]
    public async Task Throttled_WaitsAsLongAsAzureSays()
    {
        var time = new HastyTime();
        using var host = TestSites.Host(_fake, time: time);
        var left = 2;
        _fake.Faults = operation => operation == FakeArm.List && left-- > 0 ? Fault.Throttled : Fault.None;

        await host.ListAsync(Cancelled);

        Assert.Equal([TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1)], time.Pauses);
    }

    [Fact]
    public async Task Bodies_HoldNoSecret()
    {
        using var host = TestSites.Host(_fake, environment: new Dictionary<string, string> { ["ShardCloud__Storage__TableUri"] = "https://account.table.core.windows.net" });

        await host.CreateAsync("add-1", Shard, "1.0.0", Cancelled);

        var told = JsonNode.Parse(_fake.Bodies.First())!["properties"]!["siteConfig"]!["appSettings"]!.AsArray().ToDictionary(pair => (string)pair!["name"]!, pair => (string)pair!["value"]!);
        Assert.Equal("https://account.table.core.windows.net", told["ShardCloud__Storage__TableUri"]);
        Assert.Null(ShardEnvironment.Fault(told));
        Assert.All(_fake.Bodies, body => Assert.DoesNotMatch("(?i)key=|sig=|password|secret|\"token\"|connectionstring", body));
    }
}
