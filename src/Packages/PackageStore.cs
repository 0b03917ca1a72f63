using System.Security.Cryptography;
using System.Text.Json;
using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Sas;
using ShardCloud.Contracts;

namespace ShardCloud.Packages;

/// <summary>An application's versions, in the blob container <c>packages</c>: <c>{application}/{version}.zip</c>. A version is written once and never changes. Thread-safe.</summary>
/// <remarks>
/// A package does not go through the API: the caller gets an address that lets it write one blob for a while (a valet key; shared access signature), <c>{application}/incoming/{upload}.zip</c>, and then
/// asks for its publication, which checks it (<see cref="Package"/>) and copies it. What was uploaded and never published is left to a lifecycle rule of the account.
/// </remarks>
/// <param name="blobs">With the account's key or an identity that may make user delegation keys.</param>
/// <param name="application">Whose packages.</param>
/// <param name="time">For the end of an address.</param>
public sealed class PackageStore(BlobServiceClient blobs, string application, TimeProvider time)
{
    /// <summary>Name of the container.</summary>
    public const string Container = "packages";

    private static readonly TimeSpan UploadWithin = TimeSpan.FromMinutes(30), ClockSkew = TimeSpan.FromMinutes(5);

    private BlobContainerClient Packages => blobs.GetBlobContainerClient(Container);

    /// <summary>An address where one package can be written with a single <c>PUT</c> or in blocks, for half an hour.</summary>
    public async Task<PackageUpload> BeginUploadAsync(CancellationToken cancellationToken)
    {
        await Packages.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        var upload = Guid.NewGuid().ToString("n");
        var (blob, now) = (Incoming(upload), time.GetUtcNow());
        var ends = now + UploadWithin;
        var grant = new BlobSasBuilder(BlobSasPermissions.Create | BlobSasPermissions.Write, ends)
        {
            BlobContainerName = Container,
            BlobName = blob.Name,
            Resource = "b",
            StartsOn = now - ClockSkew,
            Protocol = blob.Uri.Scheme == Uri.UriSchemeHttps ? SasProtocol.Https : SasProtocol.HttpsAndHttp,
        };
        if (blob.CanGenerateSasUri) return new PackageUpload(upload, blob.GenerateSasUri(grant).AbsoluteUri, ends, Package.BytesMax);
        var key = await blobs.GetUserDelegationKeyAsync(now - ClockSkew, ends, cancellationToken);
        return new PackageUpload(upload, new BlobUriBuilder(blob.Uri) { Sas = grant.ToSasQueryParameters(key, blobs.AccountName) }.ToUri().AbsoluteUri, ends, Package.BytesMax);
    }

    /// <summary>Checks what was uploaded and publishes it under the version that it names. The same content again is the same publication.</summary>
    /// <param name="upload">From <see cref="BeginUploadAsync"/>.</param>
    /// <param name="platform">Where it shall run, e.g. <c>linux-x64</c>.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="ShardCloudException">SC5011: nothing was uploaded. SC5040 to SC5043, SC5008: see <see cref="Package.Open"/>. SC5044: the version exists with other content.</exception>
    public async Task<PublishedPackage> PublishAsync(string upload, string? platform, CancellationToken cancellationToken)
    {
        if (!Guid.TryParseExact(upload, "n", out _)) throw NothingUploaded(upload);
        await using var file = Temporary();
        if (!await TryDownloadAsync(Incoming(upload), file, cancellationToken)) throw NothingUploaded(upload);
        var checksum = Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancellationToken));
        file.Position = 0;
        PackageManifest manifest;
        using (var package = Package.Open(file, platform, leaveOpen: true)) manifest = package.Manifest;

        file.Position = 0;
        var blob = Published(manifest.Version);
        try
        {
            await blob.UploadAsync(file, new BlobUploadOptions
            {
                Conditions = new BlobRequestConditions { IfNoneMatch = ETag.All },
                HttpHeaders = new BlobHttpHeaders { ContentType = "application/zip" },
                Metadata = new Dictionary<string, string> { ["sha256"] = checksum, ["command"] = Uri.EscapeDataString(JsonSerializer.Serialize(manifest.Command, PackageJson.Default.IReadOnlyListString)) },
            }, cancellationToken);
        }
        catch (RequestFailedException error) when (error.Status is 409 or 412)
        {
            var known = await FindAsync(manifest.Version, cancellationToken);
            if (known?.Sha256 != checksum)
                throw new ShardCloudException(ErrorCodes.PackageExists, $"Version {manifest.Version} was published before, with other content.", "Give the new content a version of its own: shards that run the old one keep it.", error);
        }
        await Incoming(upload).DeleteIfExistsAsync(cancellationToken: cancellationToken);
        return await FindAsync(manifest.Version, cancellationToken) ?? throw Unknown(manifest.Version);
    }

    /// <summary>One version; null when it was not published.</summary>
    public async Task<PublishedPackage?> FindAsync(string version, CancellationToken cancellationToken)
    {
        if (!PackageVersion.TryParse(version, out _)) return null;
        try
        {
            var found = (await Published(version).GetPropertiesAsync(cancellationToken: cancellationToken)).Value;
            return Describe(version, found.ContentLength, found.CreatedOn, found.Metadata);
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            return null;
        }
    }

    /// <summary>All versions, newest first.</summary>
    public async Task<IReadOnlyList<PublishedPackage>> ListAsync(CancellationToken cancellationToken)
    {
        var found = new List<PublishedPackage>();
        try
        {
            await foreach (var item in Packages.GetBlobsAsync(BlobTraits.Metadata, BlobStates.None, $"{application}/", cancellationToken))
            {
                var name = item.Name[(application.Length + 1)..];
                if (name.EndsWith(".zip", StringComparison.Ordinal) && PackageVersion.TryParse(name[..^4], out _))
                    found.Add(Describe(name[..^4], item.Properties.ContentLength ?? 0, item.Properties.CreatedOn ?? default, item.Metadata));
            }
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            // Nothing was ever published.
        }
        return [.. found.OrderByDescending(package => PackageVersion.Parse(package.Version))];
    }

    /// <summary>Brings a version into a folder of its own, ready to start.</summary>
    /// <param name="version">Which.</param>
    /// <param name="folder">Parent of the version's folder.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>The version's folder, and how it is started from there.</returns>
    /// <exception cref="ShardCloudException">SC5045: it was not published.</exception>
    public async Task<(string Folder, IReadOnlyList<string> Command)> FetchAsync(string version, string folder, CancellationToken cancellationToken)
    {
        if (!PackageVersion.TryParse(version, out _)) throw Unknown(version);
        await using var file = Temporary();
        if (!await TryDownloadAsync(Published(version), file, cancellationToken)) throw Unknown(version);
        Directory.CreateDirectory(folder);
        using var package = Package.Open(file, leaveOpen: true);
        var own = Path.Combine(folder, version);
        await package.UnpackAsync(own, cancellationToken);
        return (own, package.Manifest.Command);
    }

    private static PublishedPackage Describe(string version, long bytes, DateTimeOffset publishedAt, IDictionary<string, string> metadata) => new(
        version, bytes, metadata.TryGetValue("sha256", out var checksum) ? checksum : "",
        metadata.TryGetValue("command", out var command) ? JsonSerializer.Deserialize(Uri.UnescapeDataString(command), PackageJson.Default.IReadOnlyListString)! : [], publishedAt);

    private BlobClient Incoming(string upload) => Packages.GetBlobClient($"{application}/incoming/{upload}.zip");

    private BlobClient Published(string version) => Packages.GetBlobClient($"{application}/{version}.zip");

    private static async Task<bool> TryDownloadAsync(BlobClient blob, FileStream file, CancellationToken cancellationToken)
    {
        try
        {
            var length = (await blob.GetPropertiesAsync(cancellationToken: cancellationToken)).Value.ContentLength;
            if (length > Package.BytesMax) throw Errors.TooLarge("bytes", length, Package.BytesMax);
            await blob.DownloadToAsync(file, cancellationToken);
            file.Position = 0;
            return true;
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            return false;
        }
    }

    private static FileStream Temporary() => new(Path.Combine(Path.GetTempPath(), $"shardcloud-{Guid.NewGuid():n}.zip"), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 64 * 1024, FileOptions.DeleteOnClose | FileOptions.Asynchronous);

    private static ShardCloudException NothingUploaded(string upload) =>
        new(ErrorCodes.NotFound, $"Nothing was uploaded as '{upload}', or it is published already.", "Ask for an address with POST /api/packages/uploads, write the zip there, then publish it.");

    private static ShardCloudException Unknown(string version) =>
        new(ErrorCodes.UnknownVersion, $"Version '{version}' of the application was not published.", "See 'shardcloud package list'; publish it with 'shardcloud package publish'.");
}
