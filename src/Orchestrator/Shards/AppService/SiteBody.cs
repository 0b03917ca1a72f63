using System.Globalization;
using System.Text.Json.Nodes;
using ShardCloud.Contracts;

namespace ShardCloud.Orchestrator.Shards.AppService;

/// <summary>What a shard's site is: the body of its PUT. No secret is in it: packages, images, storage, log and other members are reached with the shards' identity.</summary>
internal static class SiteBody
{
    /// <summary>Port of the public listener inside the container.</summary>
    private const string Port = "8080";

    /// <summary>A shard is done this long before its container is killed.</summary>
    private static readonly TimeSpan StopMargin = TimeSpan.FromSeconds(5);

    /// <summary>The body.</summary>
    /// <param name="settings">Where and as who it runs.</param>
    /// <param name="environment">What every shard is told.</param>
    /// <param name="site">Its name and tags.</param>
    /// <param name="plan">Resource id of its plan.</param>
    /// <param name="package">What it runs; null where it runs an image.</param>
    public static JsonObject Of(AppServiceSettings settings, IReadOnlyDictionary<string, string> environment, SiteTags site, string plan, PublishedPackage? package) => new()
    {
        ["location"] = settings.Location,
        ["kind"] = package is null ? "app,linux,container" : "app,linux",
        ["tags"] = site.ToJson(),
        ["identity"] = new JsonObject
        {
            ["type"] = "UserAssigned",
            ["userAssignedIdentities"] = new JsonObject { [settings.MembersIdentity] = new JsonObject() },
        },
        ["properties"] = new JsonObject
        {
            ["serverFarmId"] = plan,
            ["reserved"] = true, // Linux.
            ["httpsOnly"] = true,
            ["clientAffinityEnabled"] = false,
            ["publicNetworkAccess"] = settings.PublicAccess ? "Enabled" : "Disabled",
            ["virtualNetworkSubnetId"] = settings.Subnet,
            ["keyVaultReferenceIdentity"] = settings.MembersIdentity,
            ["scmSiteAlsoStopped"] = true,
            ["siteConfig"] = Config(settings, environment, site, package),
        },
    };

    private static JsonObject Config(AppServiceSettings settings, IReadOnlyDictionary<string, string> environment, SiteTags site, PublishedPackage? package)
    {
        var config = new JsonObject
        {
            ["numberOfWorkers"] = 1, // An incarnation is one process: the plan scales sites one by one.
            ["alwaysOn"] = true,
            ["webSocketsEnabled"] = true,
            ["http20Enabled"] = true,
            ["use32BitWorkerProcess"] = false,
            ["minTlsVersion"] = "1.2",
            ["scmMinTlsVersion"] = "1.2",
            ["ftpsState"] = "Disabled",
            ["remoteDebuggingEnabled"] = false,
            ["healthCheckPath"] = "/healthz",
            ["vnetRouteAllEnabled"] = true,
            ["vnetPrivatePortsCount"] = 1, // The member listener; the runtime reads WEBSITE_PRIVATE_IP and WEBSITE_PRIVATE_PORTS.
            ["appSettings"] = new JsonArray([.. Told(settings, environment, site, package).Select(pair => new JsonObject { ["name"] = pair.Key, ["value"] = pair.Value })]),
        };
        if (package is not null)
        {
            config["linuxFxVersion"] = settings.Runtime;
            config["appCommandLine"] = $"exec {string.Join(' ', package.Command.Select(Quoted))}"; // The process itself gets SIGTERM, not a shell before it.
        }
        else
        {
            config["linuxFxVersion"] = $"DOCKER|{settings.Image!.Replace("{version}", site.Version, StringComparison.Ordinal)}";
            config["acrUseManagedIdentityCreds"] = true;
            config["acrUserManagedIdentityID"] = settings.MembersClientId;
        }
        return config;
    }

    private static SortedDictionary<string, string> Told(AppServiceSettings settings, IReadOnlyDictionary<string, string> environment, SiteTags site, PublishedPackage? package)
    {
        var told = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["PORT"] = Port,
            ["WEBSITES_PORT"] = Port,
            ["WEBSITES_ENABLE_APP_SERVICE_STORAGE"] = "false",
            ["WEBSITES_CONTAINER_START_TIME_LIMIT"] = Seconds(settings.StartLimit),
            ["WEBSITES_CONTAINER_STOP_TIME_LIMIT"] = Seconds(settings.StopLimit),
            ["WEBSITE_WARMUP_PATH"] = "/readyz",
            ["WEBSITE_WARMUP_STATUSES"] = "200", // Any answer counts without it, and a restart would end the old instance before the new one is ready.
            ["ShardCloud__Public__Url"] = $"http://0.0.0.0:{Port}",
            ["ShardCloud__Public__TrustedHops"] = "1",
            ["ShardCloud__Stop__Within"] = (settings.StopLimit - StopMargin).ToString("c", CultureInfo.InvariantCulture),
        };
        foreach (var (name, value) in environment) told[name] = value;
        told["ShardCloud__Application"] = site.Application;
        told["ShardCloud__ApplicationVersion"] = site.Version;
        told["ShardCloud__HostHandle"] = site.Name;
        told["ShardCloud__Role"] = "shard";
        told["ShardCloud__Shard"] = site.Shard;
        told["AZURE_CLIENT_ID"] = settings.MembersClientId;
        if (package is not null)
        {
            told["WEBSITE_RUN_FROM_PACKAGE"] = $"{settings.PackagesUrl!.AbsoluteUri.TrimEnd('/')}/{site.Application}/{site.Version}.zip";
            told["WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID"] = settings.MembersIdentity;
        }
        return told;
    }

    private static string Seconds(TimeSpan time) => ((int)time.TotalSeconds).ToString(CultureInfo.InvariantCulture);

    // POSIX shell, 2.2.2: nothing in single quotes has a meaning.
    private static string Quoted(string word) =>
        word.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '/' or '-' or '_' or '=' or ':' or ',') ? word : $"'{word.Replace("'", "'\\''", StringComparison.Ordinal)}'";
}
