using System.Xml;
using System.Xml.Linq;
using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.DataProtection.KeyManagement;
using Microsoft.AspNetCore.DataProtection.Repositories;
using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Security;

/// <summary>The Data Protection keys of an application, in one Blob that all its shards share: what one shard protected, every other accepts, whatever its version.</summary>
/// <remarks>
/// Append-only, by If-Match. Two shards that find no usable key at the same moment both make one; the ring in a process is read again only once a day,
/// so were both kept, the first would refuse for a day what the second protected. Hence a key that lost the race is not stored: its maker reads the
/// winner's, which the framework then takes. The format is that of Azure.Extensions.AspNetCore.DataProtection.Blobs, which keeps both.
/// </remarks>
internal sealed class BlobKeyRing(BlobServiceClient blobs, string application) : IXmlRepository
{
    public const string ContainerName = "dataprotection";

    private const int TriesMax = 10;

    private readonly BlobContainerClient _container = blobs.GetBlobContainerClient(ContainerName);
    private readonly Lock _gate = new();
    private Ring? _seen;

    private BlobClient Blob => _container.GetBlobClient($"{application}/keys.xml");

    public IReadOnlyCollection<XElement> GetAllElements()
    {
        lock (_gate) return [.. (_seen = Read()).Root.Elements().Select(element => new XElement(element))];
    }

    public void StoreElement(XElement element, string friendlyName)
    {
        lock (_gate)
        {
            // What the caller decided on. Its decision to make a key falls when there are others by now.
            var ring = _seen ?? Read();
            var known = ring.KeyIds;
            for (var tries = 0; tries < TriesMax; tries++)
            {
                if (TryAppend(ring, element)) return;
                ring = _seen = Read();
                if (element.Name == "key" && ring.KeyIds.Except(known).Any()) return;
            }
        }
        throw new ShardCloudException(ErrorCodes.StoreUnavailable, $"The Data Protection keys of '{application}' were changed by others {TriesMax} times in a row.", "Try again.");
    }

    private Ring Read()
    {
        try
        {
            var answer = Blob.DownloadContent().Value;
            using var reader = XmlReader.Create(answer.Content.ToStream(), new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit, IgnoreProcessingInstructions = true });
            return new Ring(answer.Details.ETag, XElement.Load(reader));
        }
        catch (RequestFailedException error) when (error.Status == StatusCodes.Status404NotFound)
        {
            return new Ring(null, new XElement("repository"));
        }
    }

    private bool TryAppend(Ring ring, XElement element)
    {
        var conditions = ring.Tag is { } tag ? new BlobRequestConditions { IfMatch = tag } : new BlobRequestConditions { IfNoneMatch = ETag.All };
        try
        {
            _container.CreateIfNotExists();
            Blob.Upload(BinaryData.FromString(new XElement(ring.Root.Name, ring.Root.Elements(), element).ToString()), new BlobUploadOptions
            {
                Conditions = conditions,
                HttpHeaders = new BlobHttpHeaders { ContentType = "application/xml; charset=utf-8" },
            });
            return true;
        }
        catch (RequestFailedException error) when (error.Status == StatusCodes.Status412PreconditionFailed || error.ErrorCode == BlobErrorCode.BlobAlreadyExists)
        {
            return false; // Another shard was first, or our own try whose answer was lost: the next read tells.
        }
    }

    private sealed record Ring(ETag? Tag, XElement Root)
    {
        public IReadOnlySet<string> KeyIds { get; } = Root.Elements("key").Select(key => key.Attribute("id")?.Value ?? "").ToHashSet();
    }
}

/// <summary>Composition of the key ring.</summary>
internal static class KeyRing
{
    /// <summary>Data Protection with the shared key ring. What the application says later about application name or place of the keys wins.</summary>
    public static IServiceCollection AddKeyRing(this IServiceCollection services)
    {
        services.AddDataProtection();
        services.AddOptions<DataProtectionOptions>().Configure<ShardRuntimeOptions>((protection, shard) => protection.ApplicationDiscriminator = shard.Application);
        services.AddOptions<KeyManagementOptions>().Configure<StorageClients, ShardRuntimeOptions>((keys, storage, shard) => keys.XmlRepository = new BlobKeyRing(storage.Blobs, shard.Application));
        return services;
    }
}
