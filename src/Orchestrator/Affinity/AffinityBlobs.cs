using System.Globalization;
using Azure.Storage.Blobs;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Orchestrator.Affinity;

/// <summary>The last affinity maps, in the blob container <c>affinity</c>: <c>{application}/{version}.json.gz</c>, each written once. Thread-safe.</summary>
public sealed class AffinityBlobs(BlobServiceClient blobs, string application)
{
    /// <summary>Name of the container.</summary>
    public const string Container = "affinity";

    /// <summary>Maps that are kept.</summary>
    public const int KeptMax = 5;

    private readonly PackedBlobs _maps = new(blobs, Container);

    /// <summary>Numbers of the maps that are kept, the newest first.</summary>
    public async Task<IReadOnlyList<long>> ListAsync(CancellationToken cancellationToken)
    {
        List<long> versions = [];
        foreach (var name in await _maps.ListAsync($"{application}/", cancellationToken))
        {
            if (long.TryParse(name.AsSpan(application.Length + 1).TrimEnd(".json.gz"), NumberStyles.None, CultureInfo.InvariantCulture, out var version)) versions.Add(version);
        }
        versions.Sort();
        versions.Reverse();
        return versions;
    }

    /// <summary>One map; null when it is not kept any more.</summary>
    /// <exception cref="ShardCloudException">SC5070: what is stored is none.</exception>
    public async Task<AffinityMap?> ReadAsync(long version, CancellationToken cancellationToken)
    {
        try
        {
            return await _maps.ReadAsync(NameOf(version), AffinityFile.BytesMax, cancellationToken) is { } bytes ? AffinityFile.Read(bytes) : null;
        }
        catch (InvalidDataException error)
        {
            throw new ShardCloudException(ErrorCodes.AffinityUnreadable, $"What is stored as affinity map {version} cannot be unpacked.", "Nothing: the next merge writes another; look at who writes to the container 'affinity'.", error);
        }
    }

    /// <summary>Writes a map under its version, and deletes those that are too many.</summary>
    /// <returns>False: there is one of this version already.</returns>
    public async Task<bool> TryWriteAsync(AffinityMap map, CancellationToken cancellationToken)
    {
        if (!await _maps.TryCreateAsync(NameOf(map.Version), AffinityFile.Write(map), cancellationToken)) return false;
        foreach (var version in (await ListAsync(cancellationToken)).Skip(KeptMax)) await _maps.DeleteAsync(NameOf(version), cancellationToken);
        return true;
    }

    private string NameOf(long version) => string.Create(CultureInfo.InvariantCulture, $"{application}/{version:d12}.json.gz");
}
