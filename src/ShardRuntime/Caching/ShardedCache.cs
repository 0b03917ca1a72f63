using Microsoft.Extensions.Caching.Distributed;
using ShardCloud.ShardRuntime.Expiring;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Caching;

/// <summary>A distributed cache: each entry is an endpoint, named by the hash of its key, with one value.</summary>
internal sealed class ShardedCache(ExpiringClient client, TimeProvider time) : IDistributedCache
{
    private const string Value = "v";

    public byte[]? Get(string key) => GetAsync(key).GetAwaiter().GetResult();

    public async Task<byte[]?> GetAsync(string key, CancellationToken token = default) => (await client.ReadAsync(EndpointOf(key), token)).Values.GetValueOrDefault(Value);

    public void Set(string key, byte[] value, DistributedCacheEntryOptions options) => SetAsync(key, value, options).GetAwaiter().GetResult();

    public Task SetAsync(string key, byte[] value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(options);
        return client.WriteAsync(EndpointOf(key), new ExpiringChanges(false, [new(Value, value)], LifetimeOf(options)), token);
    }

    public void Refresh(string key) => RefreshAsync(key).GetAwaiter().GetResult();

    public Task RefreshAsync(string key, CancellationToken token = default) => client.WriteAsync(EndpointOf(key), ExpiringChanges.Use, token);

    public void Remove(string key) => RemoveAsync(key).GetAwaiter().GetResult();

    public Task RemoveAsync(string key, CancellationToken token = default) => client.WriteAsync(EndpointOf(key), ExpiringChanges.Remove, token);

    private static EndpointId EndpointOf(string key)
    {
        ArgumentNullException.ThrowIfNull(key);
        return ExpiringEndpoints.Of(BuiltInEndpoints.Cache, key);
    }

    /// <summary>A point in time becomes what is left until it by this clock: the owner counts on from there by its own.</summary>
    private Lifetime LifetimeOf(DistributedCacheEntryOptions options)
    {
        var left = options.AbsoluteExpirationRelativeToNow ?? options.AbsoluteExpiration - time.GetUtcNow();
        if (left <= TimeSpan.Zero) throw new ArgumentOutOfRangeException(nameof(options), options.AbsoluteExpiration, "The absolute expiration must be in the future.");
        return new Lifetime(options.SlidingExpiration, left);
    }
}
