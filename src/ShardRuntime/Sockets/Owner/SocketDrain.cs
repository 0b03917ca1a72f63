using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>(7, 8) What a seal drains: the lanes, and the legs, which take nothing more, let what runs end, and say Moved.</summary>
/// <remarks>The legs come late: they look at the handoffs, and the handoffs drain by this.</remarks>
internal sealed class SocketDrain(EndpointLanes lanes, Lazy<OwnedLegs> legs, TimeProvider time) : IDrain
{
    public async Task<bool> WaitForIdleAsync(Func<EndpointId, bool> covers, TimeSpan budget, CancellationToken cancellationToken)
    {
        var started = time.GetTimestamp();
        var moved = legs.Value.Move(covers);
        var isIdle = await lanes.WaitForIdleAsync(covers, budget, cancellationToken);
        if (moved.Count == 0) return isIdle;

        var left = budget - time.GetElapsedTime(started);
        try
        {
            await Task.WhenAll(moved.Select(leg => leg.Ended)).WaitAsync(left > TimeSpan.Zero ? left : TimeSpan.Zero, time, cancellationToken);
            return isIdle;
        }
        catch (TimeoutException)
        {
            foreach (var leg in moved) leg.Cut();
            return false;
        }
    }
}
