using ShardCloud.Contracts;
using ShardCloud.Packages;

namespace ShardCloud.Orchestrator.Management;

/// <summary><c>/api/packages</c>: the versions of the application that shards can run.</summary>
public sealed class PackagesApi(PackageStore packages, OrchestratorSettings settings)
{
    /// <summary>An address to write a package to.</summary>
    public async Task<IResult> BeginUploadAsync(HttpContext context) =>
        Results.Json(await packages.BeginUploadAsync(context.RequestAborted), ManagementJson.Default.PackageUpload, statusCode: StatusCodes.Status201Created);

    /// <summary>Checks what was written and publishes it under the version that it names.</summary>
    public async Task<IResult> PublishAsync(HttpContext context)
    {
        var body = await StrictBody.ReadAsync(context, "upload");
        var published = await packages.PublishAsync(body.RequireString("upload", 32), settings.ShardPlatform, context.RequestAborted);
        ManagementGate.About(context, $"package {published.Version}");
        context.Response.Headers.Location = $"/api/packages/{published.Version}";
        return Results.Json(published, ManagementJson.Default.PublishedPackage, statusCode: StatusCodes.Status201Created);
    }

    /// <summary>All of them, newest first.</summary>
    public async Task<IResult> ListAsync(HttpContext context) =>
        Results.Json(new PackageList(await packages.ListAsync(context.RequestAborted)), ManagementJson.Default.PackageList);

    /// <summary>One.</summary>
    public async Task<IResult> GetAsync(string version, HttpContext context) => await packages.FindAsync(version, context.RequestAborted) is { } found
        ? Results.Json(found, ManagementJson.Default.PublishedPackage)
        : throw new ShardCloudException(ErrorCodes.UnknownVersion, $"Version '{version}' was not published.", "List the packages.");
}
