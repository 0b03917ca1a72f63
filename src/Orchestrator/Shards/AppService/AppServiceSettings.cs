using System.ComponentModel.DataAnnotations;
using Azure.Core;

namespace ShardCloud.Orchestrator.Shards.AppService;

/// <summary>Shards as sites of Azure App Service, section <c>ShardCloud:AppService</c>; docs/operating/app-service.md. Used when <see cref="SubscriptionId"/> is set; <c>ShardCloud:ShardHost:Url</c> is then left out.</summary>
/// <remarks>
/// What shards are told beside their name comes from the section <c>ShardCloud:AppService:Environment</c>: every key under it becomes an app setting of every shard, <c>:</c> written as <c>__</c>. So
/// <c>ShardCloud__AppService__Environment__ShardCloud__Storage__TableUri</c> of the Orchestrator is <c>ShardCloud__Storage__TableUri</c> of a shard. A secret among them is refused at start.
/// </remarks>
public sealed class AppServiceSettings
{
    /// <summary>Section of the configuration.</summary>
    public const string SectionName = "ShardCloud:AppService";

    /// <summary>Section of what every shard is told.</summary>
    public const string EnvironmentSectionName = SectionName + ":Environment";

    /// <summary>Subscription of the sites, a GUID.</summary>
    public string? SubscriptionId { get; set; }

    /// <summary>Resource group of the sites. The Orchestrator's identity is Website Contributor there.</summary>
    public string ResourceGroup { get; set; } = "";

    /// <summary>Region of the sites, e.g. <c>westeurope</c>: that of the plans and of the subnet.</summary>
    public string Location { get; set; } = "";

    /// <summary>Resource ids of the Linux plans that take shards, 1 to 16, with per-site scaling. A shard goes to the one with the fewest sites.</summary>
    public IReadOnlyList<string> Plans { get; set; } = [];

    /// <summary>Sites in one plan, at most, those of others included. Default 8: what App Service advises for the small workers.</summary>
    [Range(1, 100)]
    public int SitesPerPlanMax { get; set; } = 8;

    /// <summary>Resource id of the subnet that shards and routers are integrated with, delegated to <c>Microsoft.Web/serverFarms</c>.</summary>
    public string Subnet { get; set; } = "";

    /// <summary>Resource id of the user-assigned identity of all shards. The Orchestrator's identity is Managed Identity Operator on it.</summary>
    public string MembersIdentity { get; set; } = "";

    /// <summary>Client id of that identity, a GUID: <c>AZURE_CLIENT_ID</c> of a shard.</summary>
    public string MembersClientId { get; set; } = "";

    /// <summary>Container of the published packages, e.g. <c>https://account.blob.core.windows.net/packages</c>. A shard fetches <c>{application}/{version}.zip</c> from it with its identity.</summary>
    public Uri? PackagesUrl { get; set; }

    /// <summary>Container image instead of packages, with <c>{version}</c> in it, e.g. <c>registry.azurecr.io/rooms:{version}</c>; pulled with the shards' identity. Default null: packages.</summary>
    public string? Image { get; set; }

    /// <summary>Stack that runs packages, as App Service names it. Default <c>DOTNETCORE|10.0</c>. Without meaning for images.</summary>
    [RegularExpression(@"^[A-Z]+\|[0-9A-Za-z.-]+$")]
    public string Runtime { get; set; } = "DOTNETCORE|10.0";

    /// <summary>How names of sites begin: 2 to 20 of a-z, 0-9 and '-', a letter first, no '-' last. Site names are unique in the world: choose one that is yours.</summary>
    [RegularExpression("^[a-z][a-z0-9-]{0,18}[a-z0-9]$")]
    public string NamePrefix { get; set; } = "shardcloud";

    /// <summary>Whether clients reach shards at their own host names, past the routers. Default false.</summary>
    public bool PublicAccess { get; set; }

    /// <summary>From the signal to stop until the container is killed. Default 120 s, the most that App Service gives. A shard is told to be done 5 s before.</summary>
    [Range(typeof(TimeSpan), "00:00:30", "00:02:00")]
    public TimeSpan StopLimit { get; set; } = TimeSpan.FromSeconds(120);

    /// <summary>From the start of a container until it must answer its warm-up. Default 10 minutes; App Service gives 30 at most.</summary>
    [Range(typeof(TimeSpan), "00:01:00", "00:30:00")]
    public TimeSpan StartLimit { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>A site of this application for which no member speaks and no operation runs for this long is an orphan and is ended. Default 15 minutes.</summary>
    [Range(typeof(TimeSpan), "00:01:00", "1.00:00:00")]
    public TimeSpan OrphanGrace { get; set; } = TimeSpan.FromMinutes(15);

    /// <summary>Limits of calls to Azure Resource Manager.</summary>
    public ArmCallSettings Calls { get; set; } = new();

    /// <summary>True when shards are sites of App Service.</summary>
    public bool IsUsed => SubscriptionId is { Length: > 0 };

    /// <summary>What is wrong with it, in one line; null when it is usable or not used.</summary>
    public string? Fault()
    {
        if (!IsUsed) return null;
        var wrong = new List<ValidationResult>();
        if (!Validator.TryValidateObject(this, new ValidationContext(this), wrong, validateAllProperties: true)
            || !Validator.TryValidateObject(Calls, new ValidationContext(Calls), wrong, validateAllProperties: true)) return $"{SectionName}: {wrong[0].ErrorMessage}";
        return !Guid.TryParse(SubscriptionId, out _) ? Say("SubscriptionId is not a GUID")
            : ResourceGroup.Length is 0 or > 90 ? Say("ResourceGroup is missing")
            : Location.Length == 0 ? Say("Location is missing, e.g. westeurope")
            : Plans.Count is 0 or > 16 || !Plans.All(plan => IsId(plan, "Microsoft.Web/serverfarms")) ? Say("Plans is not 1 to 16 resource ids of App Service plans")
            : !IsId(Subnet, "Microsoft.Network/virtualNetworks/subnets") ? Say("Subnet is not the resource id of a subnet")
            : !IsId(MembersIdentity, "Microsoft.ManagedIdentity/userAssignedIdentities") ? Say("MembersIdentity is not the resource id of a user-assigned identity")
            : !Guid.TryParse(MembersClientId, out _) ? Say("MembersClientId is not a GUID")
            : Image is { Length: > 0 } image && !image.Contains("{version}", StringComparison.Ordinal) ? Say("Image has no {version} in it")
            : Image is not { Length: > 0 } && PackagesUrl is not { IsAbsoluteUri: true, Scheme: "https", Query: "" } ? Say("PackagesUrl is not an https address without a query (a shard uses its identity, not a signature), and there is no Image")
            : null;
    }

    private static string Say(string what) => $"{SectionName}:{what}.";

    private static bool IsId(string? text, string type) =>
        text is { Length: > 0 } && ResourceIdentifier.TryParse(text, out var id) && string.Equals(id!.ResourceType.ToString(), type, StringComparison.OrdinalIgnoreCase);
}

/// <summary>Limits of calls to Azure Resource Manager. Whatever Azure does, to create, list or end shards ends within <see cref="FinishWithin"/>.</summary>
public sealed class ArmCallSettings
{
    /// <summary>For one answer. Default 60 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "00:05:00")]
    public TimeSpan AnswerWithin { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>For all calls of one creation, list or end together, with their repetitions and what Azure goes on with by itself (202). Default 5 minutes; below the Functions host's limit of 10.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:09:00")]
    public TimeSpan FinishWithin { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>How often one request is sent, at most: after no answer, 408, 409, 429 and 5xx. Default 5.</summary>
    [Range(1, 20)]
    public int TriesMax { get; set; } = 5;

    /// <summary>First pause before a repetition, and between looks at what Azure goes on with, where it names none (Retry-After); doubled each time, up to 16 times this. Default 2 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00.001", "00:01:00")]
    public TimeSpan Pause { get; set; } = TimeSpan.FromSeconds(2);
}
