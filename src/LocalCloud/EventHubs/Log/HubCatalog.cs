using System.Text.Json;
using System.Text.RegularExpressions;

namespace ShardCloud.LocalCloud.EventHubs.Log;

/// <summary>All hubs of a data folder, held by one broker at a time.</summary>
/// <remarks>
/// <c>namespace.json</c> keeps an identity of the whole and the log identity of every hub ever seen. If a known hub comes up with another log
/// identity (its folder was deleted), the identity of the whole changes too. Clients read the latter as the cluster id; new hubs do not change it.
/// </remarks>
internal sealed partial class HubCatalog : IDisposable
{
    private const int PartitionsMax = 32; // Standard tier

    private readonly FileStream _lock;
    private readonly Dictionary<string, Hub> _hubs = new(StringComparer.Ordinal);

    public HubCatalog(LocalEventHubsOptions options, TimeProvider time)
    {
        foreach (var (name, count) in options.Hubs)
        {
            if (!HubName().IsMatch(name)) throw new ArgumentException($"'{name}' is not a hub's name: letters, digits, '.', '-' and '_', at most 256, with a letter or digit first and last.");
            if (count is < 1 or > PartitionsMax) throw new ArgumentException($"Hub '{name}' cannot have {count} partitions: 1 to {PartitionsMax}.");
        }

        var folder = Path.Combine(options.DataFolder, "hubs");
        Directory.CreateDirectory(folder);
        _lock = Lock(options.DataFolder);
        try
        {
            var found = Directory.GetDirectories(folder).Where(Hub.ExistsIn).Select(path => Path.GetFileName(path)!);
            foreach (var name in found.Union(options.Hubs.Keys).Order(StringComparer.Ordinal))
                _hubs.Add(name, Hub.Open(Path.Combine(folder, name), options.Hubs.TryGetValue(name, out var count) ? count : null, options, time));
            Identity = Register(Path.Combine(options.DataFolder, "namespace.json"));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public Guid Identity { get; }

    public IReadOnlyCollection<Hub> All => _hubs.Values;

    public Hub? Find(string name) => _hubs.GetValueOrDefault(name);

    public PartitionLog? Find(string name, int partition) =>
        _hubs.TryGetValue(name, out var hub) && (uint)partition < (uint)hub.Partitions.Length ? hub.Partitions[partition] : null;

    public void ApplyRetention()
    {
        foreach (var partition in _hubs.Values.SelectMany(hub => hub.Partitions)) partition.ApplyRetention();
    }

    public void Dispose()
    {
        foreach (var hub in _hubs.Values) hub.Dispose();
        _lock.Dispose();
    }

    private Guid Register(string path)
    {
        var known = File.Exists(path) ? JsonSerializer.Deserialize<Known>(File.ReadAllBytes(path))! : new Known(Guid.NewGuid(), []);
        var recreated = known.Hubs.Any(pair => !_hubs.TryGetValue(pair.Key, out var hub) || hub.LogIdentity != pair.Value);
        var now = new Known(recreated ? Guid.NewGuid() : known.Identity, _hubs.ToDictionary(pair => pair.Key, pair => pair.Value.LogIdentity));
        File.WriteAllBytes(path + ".new", JsonSerializer.SerializeToUtf8Bytes(now));
        File.Move(path + ".new", path, overwrite: true);
        return now.Identity;
    }

    private static FileStream Lock(string folder)
    {
        try
        {
            return new FileStream(Path.Combine(folder, "shardcloud.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException exception)
        {
            throw new ShardCloudException(
                ErrorCodes.DataInUse, $"Another broker uses the data in '{folder}'.", "Stop the other one, or choose another data folder.", exception);
        }
    }

    [GeneratedRegex("^[A-Za-z0-9]([A-Za-z0-9._-]{0,254}[A-Za-z0-9])?$", RegexOptions.CultureInvariant)]
    private static partial Regex HubName();

    private sealed record Known(Guid Identity, Dictionary<string, Guid> Hubs);
}
