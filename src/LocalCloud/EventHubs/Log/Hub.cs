using System.Text.Json;

namespace ShardCloud.LocalCloud.EventHubs.Log;

/// <summary>One hub: its partitions, and the identity of its log.</summary>
internal sealed class Hub : IDisposable
{
    private const string FileName = "hub.json";

    private Hub(string name, Birth birth, PartitionLog[] partitions) => (Name, LogIdentity, Partitions) = (name, birth.LogIdentity, partitions);

    public string Name { get; }

    /// <summary>Made when the hub is created and never changed: a hub that was deleted and made anew has another one.</summary>
    public Guid LogIdentity { get; }

    public PartitionLog[] Partitions { get; }

    public static bool ExistsIn(string folder) => File.Exists(Path.Combine(folder, FileName));

    /// <summary>Opens the hub, creating it if it is not there.</summary>
    /// <param name="folder">Its folder; the folder's name is the hub's.</param>
    /// <param name="partitionCount">Partitions wanted, or null to take what is there.</param>
    /// <param name="options">The broker's.</param>
    /// <param name="time">The broker's.</param>
    /// <exception cref="ShardCloudException">SC6003: it exists with another partition count. SC6002: its log is damaged.</exception>
    public static Hub Open(string folder, int? partitionCount, LocalEventHubsOptions options, TimeProvider time)
    {
        var name = Path.GetFileName(folder);
        var birth = ReadOrCreate(folder, partitionCount ?? 1);
        if (partitionCount is { } wanted && wanted != birth.PartitionCount)
        {
            throw new ShardCloudException(
                ErrorCodes.LogReplaced,
                $"Hub '{name}' was created with {birth.PartitionCount} partitions; {wanted} are asked for. The count is fixed for the life of a log.",
                $"Ask for {birth.PartitionCount}, or delete the data folder to begin with an empty log.");
        }

        var partitions = new List<PartitionLog>();
        try
        {
            for (var index = 0; index < birth.PartitionCount; index++)
                partitions.Add(new PartitionLog(Path.Combine(folder, index.ToString(System.Globalization.CultureInfo.InvariantCulture)), options, time));
            return new Hub(name, birth, [.. partitions]);
        }
        catch
        {
            partitions.ForEach(partition => partition.Dispose());
            throw;
        }
    }

    public void Dispose()
    {
        foreach (var partition in Partitions) partition.Dispose();
    }

    private static Birth ReadOrCreate(string folder, int partitionCount)
    {
        var path = Path.Combine(folder, FileName);
        if (File.Exists(path)) return JsonSerializer.Deserialize<Birth>(File.ReadAllBytes(path))!;
        Directory.CreateDirectory(folder);
        var birth = new Birth(Guid.NewGuid(), partitionCount);

        // Whole or not at all: a torn file would keep the broker from starting.
        File.WriteAllBytes(path + ".new", JsonSerializer.SerializeToUtf8Bytes(birth));
        File.Move(path + ".new", path);
        return birth;
    }

    private sealed record Birth(Guid LogIdentity, int PartitionCount);
}
