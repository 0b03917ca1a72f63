using System.Collections.Concurrent;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>One unsafe handler at a time for each endpoint, in order of arrival; a bounded queue in front.</summary>
/// <remarks>
/// The lane is also the table of running requests: a repeat of a request waits here behind its original and then finds its record. And it is
/// what a seal drains: a drain takes its turn in each covered lane, and whoever comes after it sees the seal.
/// </remarks>
public sealed class EndpointLanes(int queueMax) : IDrain
{
    private readonly ConcurrentDictionary<EndpointId, Lane> _lanes = new();

    /// <summary>Endpoints with a handler that runs or waits.</summary>
    public int Count => _lanes.Count;

    /// <summary>Takes the endpoint's turn; dispose to pass it on. Null when the queue is full.</summary>
    public ValueTask<Turn?> EnterAsync(EndpointId endpoint, CancellationToken cancellationToken) => EnterAsync(endpoint, queueMax, cancellationToken);

    /// <inheritdoc/>
    public async Task<bool> WaitForIdleAsync(Func<EndpointId, bool> covers, TimeSpan budget, CancellationToken cancellationToken)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        ended.CancelAfter(budget);
        try
        {
            foreach (var (endpoint, _) in _lanes)
            {
                if (!covers(endpoint)) continue;
                (await EnterAsync(endpoint, int.MaxValue, ended.Token))!.Value.Dispose();
            }
            return true;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return false;
        }
    }

    private async ValueTask<Turn?> EnterAsync(EndpointId endpoint, int limit, CancellationToken cancellationToken)
    {
        while (true)
        {
            var lane = _lanes.GetOrAdd(endpoint, static _ => new Lane());
            Waiter waiter;
            lock (lane)
            {
                if (lane.IsGone) continue; // Emptied between look-up and lock: take the next one.
                if (!lane.IsBusy)
                {
                    lane.IsBusy = true;
                    return new Turn(this, endpoint, lane);
                }
                if (lane.Queue.Count >= limit) return null;
                waiter = new Waiter();
                lane.Queue.AddLast(waiter);
            }
            await using var gone = cancellationToken.UnsafeRegister(static state => ((Waiter)state!).TrySetCanceled(), waiter);
            await waiter.Task; // Cancelled ones stay in the queue and are passed over.
            return new Turn(this, endpoint, lane);
        }
    }

    private void Leave(EndpointId endpoint, Lane lane)
    {
        lock (lane)
        {
            while (lane.Queue.First is { } next)
            {
                lane.Queue.RemoveFirst();
                if (next.Value.TrySetResult()) return; // The turn is passed on; the lane stays busy.
            }
            lane.IsBusy = false;
            lane.IsGone = true;
            _lanes.TryRemove(endpoint, out _);
        }
    }

    /// <summary>The right to run.</summary>
    public readonly struct Turn : IDisposable
    {
        private readonly EndpointLanes _lanes;
        private readonly EndpointId _endpoint;
        private readonly Lane _lane;

        internal Turn(EndpointLanes lanes, EndpointId endpoint, Lane lane) => (_lanes, _endpoint, _lane) = (lanes, endpoint, lane);

        /// <summary>Passes the turn on. Call once.</summary>
        public void Dispose() => _lanes.Leave(_endpoint, _lane);
    }

    internal sealed class Lane
    {
        public bool IsBusy, IsGone;
        public readonly LinkedList<Waiter> Queue = [];
    }

    /// <summary>Continuations run elsewhere: a leaver never runs the next handler.</summary>
    internal sealed class Waiter() : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
}
