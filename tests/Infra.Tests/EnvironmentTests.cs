using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using Microsoft.Extensions.Configuration;
using ShardCloud.Orchestrator.Shards.AppService;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime;

namespace ShardCloud.Infra.Tests;

/// <summary>What the Pulumi program tells each site, read as the site's program reads it: a name that none of its options has, or a value that does not fit, fails here and not in Azure.</summary>
public sealed class EnvironmentTests
{
    /// <summary>Read by the Functions host, by Azure's SDK, by App Service or by the C library, not by us.</summary>
    private static readonly string[] OfOthers = ["AZURE_CLIENT_ID", "APPLICATIONINSIGHTS_", "AzureWebJobsStorage__", "TASKHUB_NAME", "WEBSITE_", "WEBSITES_", "OTEL_", "PORT", "MALLOC_ARENA_MAX"];

    [Fact]
    public async Task Orchestrator_KnowsAllThatItIsTold()
    {
        var told = Read((await ToldAsync()).Orchestrator);

        var settings = Bind<Orchestrator.OrchestratorSettings>(told, "ShardCloud", except: ["Storage", "AppService"]);

        Validator.ValidateObject(settings, new ValidationContext(settings), validateAllProperties: true);
        Assert.Equal("shop", settings.Application);
        Assert.Null(settings.Auth.Fault());
        var places = Bind<AppServiceSettings>(told, AppServiceSettings.SectionName, except: ["Environment"]);
        Assert.Null(places.Fault());
        Assert.Equal(2, places.Plans.Count);
        Assert.Equal("scleases.table.core.windows.net", Bind<StorageOptions>(told, "ShardCloud:Storage").TableUri!.Host);
    }

    [Fact]
    public async Task Router_KnowsAllThatItIsTold() => Check((await ToldAsync()).Router);

    /// <summary>The Orchestrator hands on what is under <c>AppService:Environment</c> to every shard.</summary>
    [Fact]
    public async Task Shard_KnowsAllThatItIsTold()
    {
        const string prefix = "ShardCloud__AppService__Environment__";
        Check((await ToldAsync()).Orchestrator.Where(pair => pair.Key.StartsWith(prefix, StringComparison.Ordinal)).ToDictionary(pair => pair.Key[prefix.Length..], pair => pair.Value));
    }

    private static void Check(IReadOnlyDictionary<string, string> environment)
    {
        var settings = Bind<ShardRuntimeOptions>(Read(environment), "ShardCloud");

        Assert.Null(settings.Auth.Fault());
        foreach (var part in (object[])[settings.Log, settings.Lease, settings.Public]) Validator.ValidateObject(part, new ValidationContext(part), validateAllProperties: true);
        Assert.Equal(("log.servicebus.windows.net:9093", "entra", 2), (settings.Log.BootstrapServers, settings.Log.Security, settings.Log.ThroughputUnits));
        Assert.Equal(TimeSpan.FromMinutes(1), settings.Lease.Length);
        Assert.EndsWith(".azurewebsites.net/", settings.Orchestrator.Url!.AbsoluteUri, StringComparison.Ordinal);
        Assert.Equal("scsnapshots.blob.core.windows.net", settings.Storage.BlobUri!.Host);
    }

    /// <summary>Binds a section, and refuses a key that the type does not have.</summary>
    private static T Bind<T>(IConfiguration told, string section, string[]? except = null)
    {
        var values = told.GetSection(section).AsEnumerable(makePathsRelative: true).Where(pair => pair.Value is not null && !(except ?? []).Any(name => pair.Key.StartsWith(name + ":", StringComparison.Ordinal)));
        return new ConfigurationBuilder().AddInMemoryCollection(values).Build().Get<T>(options => options.ErrorOnUnknownConfiguration = true)!;
    }

    /// <summary>As .NET reads variables: <c>__</c> is <c>:</c>.</summary>
    private static IConfigurationRoot Read(IReadOnlyDictionary<string, string> environment)
    {
        var others = environment.Keys.Where(name => !name.StartsWith("ShardCloud__", StringComparison.Ordinal));
        Assert.All(others, name => Assert.Contains(OfOthers, known => name.StartsWith(known, StringComparison.Ordinal)));
        return new ConfigurationBuilder().AddInMemoryCollection(environment.Select(pair => KeyValuePair.Create(pair.Key.Replace("__", ":", StringComparison.Ordinal), (string?)pair.Value))).Build();
    }

    private static async Task<Told> ToldAsync()
    {
        var (exit, printed, errors) = await InfraFolder.NodeAsync("--import", "tsx", "test/environment.ts");
        Assert.True(exit == 0, errors);
        return JsonSerializer.Deserialize<Told>(printed, JsonSerializerOptions.Web)!;
    }

    private sealed record Told(IReadOnlyDictionary<string, string> Orchestrator, IReadOnlyDictionary<string, string> Router);
}
