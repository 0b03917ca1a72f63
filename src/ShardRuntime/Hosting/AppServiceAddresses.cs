using System.Globalization;
using Microsoft.Extensions.Options;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>On Azure App Service with private ports a member listens for others where the platform says, unless its settings say otherwise; the worker is its fault domain.</summary>
/// <remarks>
/// The platform chooses address and port for each start of a container: <c>WEBSITE_PRIVATE_IP</c>, <c>WEBSITE_PRIVATE_PORTS</c> (comma-separated; the first is ours), <c>WEBSITE_INSTANCE_ID</c>. On Linux a
/// container does not have that address itself, so it listens on all of them. Source: https://learn.microsoft.com/azure/app-service/reference-app-settings (networking).
/// </remarks>
internal sealed class AppServiceAddresses(IConfiguration configuration) : IPostConfigureOptions<ShardRuntimeOptions>
{
    public void PostConfigure(string? name, ShardRuntimeOptions options)
    {
        if (configuration["WEBSITE_INSTANCE_ID"] is { Length: > 0 } worker && !IsSet("FaultDomain")) options.FaultDomain = worker;
        if (configuration["WEBSITE_PRIVATE_IP"] is not { Length: > 0 } address || configuration["WEBSITE_PRIVATE_PORTS"] is not { Length: > 0 } ports || IsSet("Member:Url")) return;
        var port = int.Parse(ports.Split(',')[0], NumberStyles.None, CultureInfo.InvariantCulture);
        options.Member.Url = new Uri($"http://0.0.0.0:{port}");
        options.Member.AdvertisedUrl ??= new UriBuilder(Uri.UriSchemeHttp, address, port).Uri;
    }

    private bool IsSet(string key) => configuration[$"{ShardRuntimeOptions.SectionName}:{key}"] is { Length: > 0 };
}
