using System.Collections.Concurrent;
using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Azure.Core.Pipeline;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using ShardCloud.Orchestrator.Shards.AppService;

namespace ShardCloud.Orchestrator.Tests.Shards.AppService;

/// <summary>Azure Resource Manager as far as sites and plans go: it knows the operations and bodies that Microsoft lists, and nothing else; what else comes is a violation. Faults are injected by operation.</summary>
public sealed partial class FakeArm : IAsyncDisposable
{
    public const string Subscription = "11111111-1111-1111-1111-111111111111", Group = "rooms-rg", Get = "webApps.get", List = "webApps.listByResourceGroup", Put = "webApps.createOrUpdate",
        Scm = "webApps.updateScmAllowed", Ftp = "webApps.updateFtpAllowed", Stop = "webApps.stop", Delete = "webApps.$delete", Plan = "appServicePlans.get";

    private const int PageSize = 2;

    private static readonly IReadOnlyList<ListedOperation> Listed = ListedOperation.Load();

    private readonly WebApplication _app;
    private readonly Lock _gate = new();
    private readonly ConcurrentDictionary<string, int> _looks = new();

    private FakeArm(WebApplication app) => _app = app;

    /// <summary>Sends what is meant for management.azure.com here.</summary>
    public HttpPipelineTransport Transport { get; private set; } = null!;

    /// <summary>By name. A site's own answer, with what it was told under <c>properties.siteConfig</c>.</summary>
    public Dictionary<string, JsonObject> Sites { get; } = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>By resource id.</summary>
    public Dictionary<string, JsonObject> Plans { get; } = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Sites on which publishing by password is off, as <c>name/way</c>.</summary>
    public HashSet<string> Closed { get; } = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>What a request did that Microsoft's lists do not have.</summary>
    public ConcurrentQueue<string> Violations { get; } = new();

    /// <summary>Operations in the order in which they came.</summary>
    public ConcurrentQueue<string> Calls { get; } = new();

    /// <summary>Bodies in the order in which they came.</summary>
    public ConcurrentQueue<string> Bodies { get; } = new();

    /// <summary>What happens to a call, by its operation.</summary>
    public Func<string, Fault>? Faults { get; set; }

    /// <summary>A site has begun to run: its name and app settings.</summary>
    public Action<string, IReadOnlyDictionary<string, string>>? Started { get; set; }

    public static string PlanId(string name) => $"/subscriptions/{Subscription}/resourceGroups/{Group}/providers/Microsoft.Web/serverfarms/{name}";

    public static async Task<FakeArm> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var app = builder.Build();
        var fake = new FakeArm(app);
        app.Run(fake.AnswerAsync);
        await app.StartAsync();
        var address = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());
        fake.Transport = new HttpClientTransport(new HttpClient(new Here(address)));
        fake.AddPlan("plan-1");
        fake.AddPlan("plan-2");
        return fake;
    }

    /// <summary>A plan; null: the property is not in Azure's answer.</summary>
    public void AddPlan(string name, bool? perSiteScaling = true, bool reserved = true)
    {
        var properties = new JsonObject { ["reserved"] = reserved };
        if (perSiteScaling is { } scaling) properties["perSiteScaling"] = scaling;
        Plans[PlanId(name)] = new JsonObject { ["id"] = PlanId(name), ["name"] = name, ["type"] = "Microsoft.Web/serverfarms", ["location"] = "westeurope", ["properties"] = properties };
    }

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        if (Listed.Select(listed => (Listed: listed, Match: listed.Path.Match(path))).FirstOrDefault(found => found.Match.Success && found.Listed.Method == context.Request.Method) is not { Listed: { } operation, Match: { } match })
        {
            if (path.Contains("/operationresults/", StringComparison.Ordinal)) await AnswerLookAsync(context, path);
            else await RefuseAsync(context, $"{context.Request.Method} {path} is not listed");
            return;
        }
        Calls.Enqueue(operation.Name);
        if (context.Request.Headers.Authorization != "Bearer token") Violations.Enqueue($"{operation.Name} without its token");
        if (context.Request.Query["api-version"] != ArmCalls.ApiVersion) Violations.Enqueue($"{operation.Name} of version {context.Request.Query["api-version"]}");
        foreach (var parameter in context.Request.Query.Keys.Where(key => !operation.Query.Contains(key) && key != "page")) Violations.Enqueue($"{operation.Name} with {parameter}");
        var body = await ReadAsync(context, operation, match);

        var fault = Faults?.Invoke(operation.Name) ?? Fault.None;
        if (await FailsAsync(context, fault)) return;
        (int Status, JsonObject? Body) answer;
        lock (_gate) answer = Do(operation.Name, match, body, context.Request, fault);
        if (fault == Fault.LostAnswer)
        {
            context.Abort();
            return;
        }
        if (answer.Status < 300 && !operation.Statuses.Contains(answer.Status)) Violations.Enqueue($"the fake answered {operation.Name} with {answer.Status}");
        if (answer is { Status: < 300, Body: { } site } && operation.Definition is { } definition)
            foreach (var wrong in ArmSchemas.FaultsOfResponse(definition, site)) Violations.Enqueue($"the fake's answer to {operation.Name}: {wrong}");
        if (!Accepts(context, fault)) await SayAsync(context, answer.Status, answer.Body);
    }

    private async Task<JsonObject?> ReadAsync(HttpContext context, ListedOperation operation, Match match)
    {
        using var reader = new StreamReader(context.Request.Body);
        var text = await reader.ReadToEndAsync();
        if (text.Length == 0)
        {
            if (operation.Definition is not null && operation.Method == "PUT") Violations.Enqueue($"{operation.Name} without a body");
            return null;
        }
        Bodies.Enqueue(text);
        var body = (JsonObject)JsonNode.Parse(text)!;
        if (operation.Definition is null) Violations.Enqueue($"{operation.Name} with a body");
        var judged = body.DeepClone().AsObject();
        if (match.Groups["way"].Success || operation.Name is Scm or Ftp) judged["name"] = operation.Name == Scm ? "scm" : "ftp"; // Over REST the name is in the path.
        foreach (var wrong in operation.Definition is null ? [] : ArmSchemas.FaultsOfRequest(operation.Definition, judged)) Violations.Enqueue($"{operation.Name}: {wrong}");
        return body;
    }

    private (int Status, JsonObject? Body) Do(string operation, Match match, JsonObject? body, HttpRequest request, Fault fault)
    {
        var name = match.Groups["name"].Value;
        var site = Sites.GetValueOrDefault(name);
        switch (operation)
        {
            case Plan:
                if (!Plans.TryGetValue(request.Path.Value!, out var plan)) return Missing(name);
                var described = plan.DeepClone().AsObject();
                described["properties"]!["numberOfSites"] = Sites.Values.Count(known => string.Equals((string?)known["properties"]!["serverFarmId"], request.Path.Value, StringComparison.OrdinalIgnoreCase));
                return (200, described);
            case List:
                var page = int.TryParse(request.Query["page"], out var given) ? given : 0;
                var next = $"https://management.azure.com{request.Path}?api-version={ArmCalls.ApiVersion}&page={page + 1}";
                return (200, new JsonObject
                {
                    ["value"] = new JsonArray([.. Sites.Values.Skip(page * PageSize).Take(PageSize).Select(Described)]),
                    ["nextLink"] = Sites.Count > (page + 1) * PageSize ? next : null,
                });
            case Get:
                return site is null ? Missing(name) : (200, Described(site));
            case Put:
                return MakeSite(name, site, body!, request.Path.Value!);
            case Scm or Ftp:
                if (site is null) return Missing(name);
                Closed.Add($"{name}/{(operation == Scm ? "scm" : "ftp")}");
                return (200, new JsonObject { ["name"] = operation == Scm ? "scm" : "ftp", ["properties"] = body!["properties"]!.DeepClone() });
            case Stop:
                if (site is null) return Missing(name);
                if (fault != Fault.NoEffect) site["properties"]!["state"] = "Stopped";
                return (200, null);
            case Delete:
                if (site is null) return (204, null);
                Sites.Remove(name);
                var farm = (string)site["properties"]!["serverFarmId"]!;
                if (request.Query["deleteEmptyServerFarm"] != "false" && !Sites.Values.Any(known => (string?)known["properties"]!["serverFarmId"] == farm)) Plans.Remove(farm);
                return (200, null);
            default:
                Violations.Enqueue($"{operation} is listed, and nothing that a shard host needs");
                return (501, null);
        }
    }

    private (int Status, JsonObject? Body) MakeSite(string name, JsonObject? before, JsonObject body, string id)
    {
        if (!Plans.ContainsKey((string?)body["properties"]!["serverFarmId"] ?? "")) return (404, new JsonObject { ["Code"] = "NotFound", ["Message"] = "Cannot find serverFarm." });
        if (before is not null) Violations.Enqueue($"{name} was made again");
        var site = body.DeepClone().AsObject();
        (site["id"], site["name"], site["type"]) = (id, name, "Microsoft.Web/sites");
        (site["properties"]!["state"], site["properties"]!["defaultHostName"]) = ("Running", $"{name}.azurewebsites.net");
        Sites[name] = site;
        Started?.Invoke(name, site["properties"]!["siteConfig"]!["appSettings"]!.AsArray().ToDictionary(pair => (string)pair!["name"]!, pair => (string)pair!["value"]!));
        return (200, Described(site));
    }

    private static JsonObject Described(JsonObject site)
    {
        var described = site.DeepClone().AsObject();
        described["properties"]!.AsObject().Remove("siteConfig"); // It may hold secrets: Azure does not show it here.
        return described;
    }

    private static (int, JsonObject?) Missing(string name) => (404, new JsonObject { ["error"] = new JsonObject { ["code"] = "ResourceNotFound", ["message"] = $"The Resource '{name}' was not found." } });

    private async Task RefuseAsync(HttpContext context, string violation)
    {
        Violations.Enqueue(violation);
        await SayAsync(context, 501, null);
    }

    private static async Task SayAsync(HttpContext context, int status, JsonObject? body)
    {
        context.Response.StatusCode = status;
        if (body is null) return;
        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync(body.ToJsonString());
    }

    /// <summary>Sends everything to the fake, whatever host it was for: the library gives tokens to https only.</summary>
    private sealed class Here(Uri address) : DelegatingHandler(new SocketsHttpHandler())
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Assert.Equal("https://management.azure.com", request.RequestUri!.GetLeftPart(UriPartial.Authority));
            request.RequestUri = new Uri(address, request.RequestUri.PathAndQuery);
            return base.SendAsync(request, cancellationToken);
        }
    }

    /// <summary>An operation of Microsoft's list.</summary>
    private sealed record ListedOperation(string Name, string Method, Regex Path, HashSet<string> Query, HashSet<int> Statuses, string? Definition)
    {
        private static readonly Dictionary<string, string> Definitions = new()
        {
            ["site"] = "Microsoft.Web_sites",
            ["csmPublishingCredentialsPoliciesEntity"] = "",
            ["appServicePlan"] = "Microsoft.Web_serverfarms",
        };

        public static IReadOnlyList<ListedOperation> Load()
        {
            var file = JsonNode.Parse(File.ReadAllText(System.IO.Path.Combine(AppContext.BaseDirectory, "ArmSpecs", "microsoft.web-operations.json")))!;
            return [.. file["operations"]!.AsArray().Select(operation => Read(operation!.AsObject()))];
        }

        private static ListedOperation Read(JsonObject operation)
        {
            var name = (string)operation["operation"]!;
            var pattern = Regex.Replace(Regex.Escape((string)operation["path"]!).Replace("}", @"\}", StringComparison.Ordinal), @"\\\{(\w+)\\\}", "(?<$1>[^/]+)");
            var definition = Definitions.GetValueOrDefault((string?)operation["requestBody"] ?? (string?)operation["responseBody"] ?? "");
            if (definition == "") definition = name switch { Scm => "Microsoft.Web_sites_basicPublishingCredentialsPolicies_2", Ftp => "Microsoft.Web_sites_basicPublishingCredentialsPolicies", _ => null };
            return new ListedOperation(
                name, (string)operation["method"]!, new Regex($"^{pattern}$", RegexOptions.IgnoreCase), [.. operation["query"]!.AsArray().Select(key => (string)key!)],
                [.. operation["statuses"]!.AsArray().Select(status => (int)status!)], definition);
        }
    }
}
