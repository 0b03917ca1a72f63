using System.CommandLine;
using Azure;
using Azure.Storage.Blobs.Specialized;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Contracts;
using ShardCloud.Packages;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>package publish|list</c>: versions of the application that shards can run.</summary>
internal static class PackageCommand
{
    public static Command Create() => new("package", "Publish versions of the application, or list them.") { Publish(), List() };

    private static Command Publish()
    {
        var path = new Argument<FileInfo>("ZIP") { Description = $"Zip file with {PackageManifest.FileName} at its root." };
        return new Command("publish", $$"""
            Check a package and publish it under the version that it names. Shards of that version can then be added.

            {{PackageManifest.FileName}}: {"version":"2.0.0","command":["dotnet","App.dll"]}

            Example: shardcloud package publish rooms-2.0.0.zip
            """) { path, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed.GetRequiredValue(Shared.Data).FullName);
                var package = await PublishAsync(api, parsed.GetRequiredValue(path), terminal, cancellationToken);
                terminal.Result(package, ManagementJson.Default.PublishedPackage, console => console.WriteLine($"{package.Version} is published: {string.Join(' ', package.Command)}"));
                return 0;
            });
    }

    private static Command List() => new Command("list", "Published versions, newest first.\n\nExample: shardcloud package list") { Shared.Data, Shared.Json }
        .Does(async (parsed, terminal, cancellationToken) =>
        {
            using var api = ManagementClient.Of(parsed.GetRequiredValue(Shared.Data).FullName);
            var packages = await api.PackagesAsync(cancellationToken);
            terminal.Result(packages, ManagementJson.Default.PackageList, console =>
            {
                foreach (var package in packages.Packages) console.WriteLine($"{package.Version,-12} {package.Bytes,12:N0} bytes  {package.PublishedAt:u}  {string.Join(' ', package.Command)}");
                if (packages.Packages.Count == 0) console.WriteLine("No package was published yet.");
            });
            return 0;
        });

    /// <summary>Writes a package to an address that the Orchestrator gives, and has it published.</summary>
    /// <exception cref="ShardCloudException">SC5020: no such file. Otherwise as the Orchestrator says.</exception>
    public static async Task<PublishedPackage> PublishAsync(ManagementClient api, FileInfo zip, Terminal? terminal, CancellationToken cancellationToken)
    {
        if (!zip.Exists) throw new ShardCloudException(ErrorCodes.BadValue, $"There is no file '{zip.FullName}'.", "Name the zip file of a package.");
        var upload = await api.BeginUploadAsync(cancellationToken);
        if (zip.Length > upload.BytesMax) throw new ShardCloudException(ErrorCodes.OverLimit, $"'{zip.Name}' has {zip.Length} bytes; {upload.BytesMax} are allowed.", "Leave out what the application does not need to run.");
        terminal?.Say($"uploading {zip.Name} ({zip.Length / 1024.0 / 1024.0:0.0} MB)");
        try
        {
            await using var content = zip.OpenRead();
            await new BlockBlobClient(new Uri(upload.Url)).UploadAsync(content, cancellationToken: cancellationToken);
        }
        catch (RequestFailedException error)
        {
            throw new ShardCloudException(ErrorCodes.StoreUnavailable, $"The package could not be uploaded: {error.Status} {error.ErrorCode}.", "Try again; look at the storage account if it goes on.", error);
        }
        terminal?.Say("checking and publishing");
        return await api.PublishPackageAsync(upload.Upload, cancellationToken);
    }
}
