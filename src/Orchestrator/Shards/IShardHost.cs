using ShardCloud.Contracts;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Who makes instances of the application: child processes on a laptop, sites of App Service in Azure.</summary>
/// <remarks>A handle is opaque to us. Addresses are reported by the incarnation itself in its member row, never by the host.</remarks>
public interface IShardHost
{
    /// <summary>What this host can do.</summary>
    Task<ShardHostCapabilities> GetCapabilitiesAsync(CancellationToken cancellationToken);

    /// <summary>Makes an instance. The same operation id again gives the same instance.</summary>
    /// <exception cref="ShardCloudException">SC5021: the host refused, or did not answer. Those of the host: docs/errors.md.</exception>
    Task<ShardInstance> CreateAsync(string operation, ShardId shard, string version, CancellationToken cancellationToken);

    /// <summary>Every instance the host knows, ended ones too.</summary>
    /// <exception cref="ShardCloudException">SC5021: the host refused, or did not answer. Those of the host: docs/errors.md.</exception>
    Task<IReadOnlyList<ShardInstance>> ListAsync(CancellationToken cancellationToken);

    /// <summary>Ends an instance: asked first, then made to. Returns when the host has seen it end, or knows nothing of it.</summary>
    /// <exception cref="ShardCloudException">SC5021: the host refused, or did not answer. Those of the host: docs/errors.md.</exception>
    Task DeleteAsync(string handle, CancellationToken cancellationToken);
}
