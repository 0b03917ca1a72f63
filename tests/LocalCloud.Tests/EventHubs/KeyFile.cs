using ShardCloud.Identity;
using ShardCloud.LocalCloud.EventHubs;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>A local key in a folder of its own, and what the broker makes of it.</summary>
internal sealed class KeyFile : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardcloud-key-");

    public string Path => System.IO.Path.Combine(_folder.FullName, "local.key");

    public SharedAccessKey Shared => SharedAccessKey.Of(LocalKey.LoadOrCreate(Path));

    public void Dispose() => _folder.Delete(recursive: true);
}
