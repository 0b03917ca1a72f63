using System.CommandLine;
using System.IO.Compression;
using Azure;
using Azure.Storage.Blobs.Specialized;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Packaging;
using ShardCloud.Contracts;
using ShardCloud.Packages;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>package build|publish|list</c>: zips for Azure, and versions of the application that shards can run.</summary>
internal static class PackageCommand
{
    public static Command Create() => new("package", "Build packages for Azure; publish versions of the application, or list them.") { Build(), Publish(), List() };

    private static Command Build()
    {
        var kind = new Argument<PackageKind>("KIND") { Description = "orchestrator, router or application." };
        var output = new Option<FileInfo>("--output") { Description = "Zip file to write.", Required = true };
        var project = new Option<string?>("--project") { Description = "Project file or folder. Default: that of the Orchestrator or the router in a clone of ShardCloud; an application names its own." };
        var version = new Option<string?>("--version") { Description = $"Version of the application, put into its {PackageManifest.FileName}. Default: the one that is there." };
        var selfContained = new Option<bool?>("--self-contained") { Description = "Whether it brings .NET along. Default: the Orchestrator does, for its host has none; App Service has .NET." };
        var command = new Command("build", """
            Publish a project for linux-x64 and zip it, so that the same sources give the same bytes; then check the zip as those will who take it.

            Examples:
              shardcloud package build orchestrator --output artifacts/ground/orchestrator.zip
              shardcloud package build router --output artifacts/ground/router.zip
              shardcloud package build application --project src/Shop --version 1.0.0 --output artifacts/ground/application.zip
            """)
        {
            kind, output, project, version, selfContained, Shared.Json,
        };
        command.Validators.Add(result =>
        {
            var isApplication = result.GetValue(kind) == PackageKind.Application;
            if (isApplication && result.GetValue(project) is null) result.AddError("An application needs --project.");
            if (!isApplication && result.GetValue(version) is not null) result.AddError("--version is for an application; the others have the version of ShardCloud.");
        });
        return command.Does(async (parsed, terminal, cancellationToken) =>
        {
            var what = parsed.GetValue(kind);
            var from = parsed.GetValue(project) ?? (what == PackageKind.Orchestrator ? "src/Orchestrator" : "src/ShardRuntime");
            var built = await PackageBuild.RunAsync(what, from, parsed.GetValue(version), parsed.GetValue(selfContained) ?? what == PackageKind.Orchestrator, parsed.GetRequiredValue(output).FullName, terminal.Json ? _ => { } : terminal.Say, cancellationToken);
            terminal.Result(built, PackagingJson.Default.BuiltPackage, console => console.WriteLine($"{built.Sha256}  {built.Path}  {built.Bytes:N0} bytes"));
            return 0;
        });
    }

    private static Command Publish()
    {
        var path = new Argument<FileSystemInfo>("PATH") { Description = $"Zip file, or a folder to be zipped, with {PackageManifest.FileName} at its root." };
        return new Command("publish", $$"""
            Check a package and publish it under the version that it names. Shards of that version can then be added.

            {{PackageManifest.FileName}}: {"version":"2.0.0","command":["dotnet","App.dll"]}

            Examples:
              shardcloud package publish rooms-2.0.0.zip
              shardcloud package publish bin/Release/net10.0/publish
            """) { path, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                var package = await PublishAsync(api, parsed.GetRequiredValue(path).FullName, terminal.Json ? _ => { } : terminal.Say, cancellationToken);
                terminal.Result(package, ManagementJson.Default.PublishedPackage, console => console.WriteLine($"{package.Version} is published: {string.Join(' ', package.Command)}"));
                return 0;
            });
    }

    private static Command List() => new Command("list", "Published versions, newest first.\n\nExample: shardcloud package list") { Shared.Orchestrator, Shared.Data, Shared.Json }
        .Does(async (parsed, terminal, cancellationToken) =>
        {
            using var api = ManagementClient.Of(parsed);
            var packages = await api.PackagesAsync(cancellationToken);
            terminal.Result(packages, ManagementJson.Default.PackageList, console =>
            {
                foreach (var package in packages.Packages) console.WriteLine($"{package.Version,-12} {package.Bytes,12:N0} bytes  {package.PublishedAt:u}  {string.Join(' ', package.Command)}");
                if (packages.Packages.Count == 0) console.WriteLine("No package was published yet.");
            });
            return 0;
        });

    /// <summary>Writes a package to an address that the Orchestrator gives, and has it published.</summary>
    /// <exception cref="ShardCloudException">SC5020: there is nothing. Otherwise as the Orchestrator says.</exception>
    public static async Task<PublishedPackage> PublishAsync(ManagementClient api, string path, Action<string> say, CancellationToken cancellationToken)
    {
        if (File.Exists(path)) return await PublishAsync(api, new FileInfo(path), say, cancellationToken);
        if (!Directory.Exists(path)) throw new ShardCloudException(ErrorCodes.BadValue, $"There is no file or folder '{path}'.", "Name the zip file of a package, or the folder of what is published.");
        var zip = new FileInfo(Path.Combine(Path.GetTempPath(), $"shardcloud-{Guid.NewGuid():n}.zip"));
        try
        {
            say($"zipping {path}");
            await PackageWriter.WriteAsync(path, zip.FullName, CompressionLevel.Fastest, cancellationToken);
            return await PublishAsync(api, zip, say, cancellationToken);
        }
        finally
        {
            zip.Delete();
        }
    }

    private static async Task<PublishedPackage> PublishAsync(ManagementClient api, FileInfo zip, Action<string> say, CancellationToken cancellationToken)
    {
        var upload = await api.BeginUploadAsync(cancellationToken);
        if (zip.Length > upload.BytesMax) throw new ShardCloudException(ErrorCodes.OverLimit, $"'{zip.Name}' has {zip.Length} bytes; {upload.BytesMax} are allowed.", "Leave out what the application does not need to run.");
        say($"uploading {zip.Length / 1024.0 / 1024.0:0.0} MB");
        try
        {
            await using var content = zip.OpenRead();
            await new BlockBlobClient(new Uri(upload.Url)).UploadAsync(content, cancellationToken: cancellationToken);
        }
        catch (RequestFailedException error)
        {
            throw new ShardCloudException(ErrorCodes.StoreUnavailable, $"The package could not be uploaded: {error.Status} {error.ErrorCode}.", "Try again; look at the storage account if it goes on.", error);
        }
        say("checking and publishing");
        return await api.PublishPackageAsync(upload.Upload, cancellationToken);
    }
}
