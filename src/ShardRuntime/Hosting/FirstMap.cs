using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>Clients that reach a member before it has its first map wait for that instead of being told that nobody is there: a router that is started again is asked as soon as it listens.</summary>
/// <remarks>As many as may be parked, and as long; past either they are answered from the empty map (503, SC4007). A platform's look at the page <c>/</c> waits for nothing.</remarks>
internal sealed class FirstMap(IMapView maps, Parking parking, ShardRuntimeOptions options)
{
    private int _waiting;

    /// <summary>True where the request has to wait.</summary>
    public bool IsAwaited(HttpContext context) => !maps.Loaded.IsCompletedSuccessfully && context.Features.Get<MemberConnection>() is null && context.Request.Path != "/";

    /// <summary>Until the map is there, or a bound is met.</summary>
    public async Task WaitAsync(CancellationToken aborted)
    {
        try
        {
            if (Interlocked.Increment(ref _waiting) <= options.Parking.TotalMax) await maps.Loaded.WaitAsync(parking.TimeMax, aborted);
        }
        catch (TimeoutException)
        {
            // The empty map has the answer.
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }
}
