namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>The parking lot: bounded by count, bytes and time; wakes in order of arrival.</summary>
/// <remarks>
/// A wake-up between a request's decision and its stay must not be lost: every <see cref="WakeAll"/> advances <see cref="Round"/>, a request
/// reads it before it decides, and a stay that begins in a later round ends at once. Past a bound a request is refused, never queued elsewhere.
/// </remarks>
public sealed class Parking : IParkingLot
{
    private readonly Lock _gate = new();
    private readonly Dictionary<EndpointId, Lane> _lanes = [];
    private readonly ParkingSettings _settings;
    private readonly HandoffMeters _meters;
    private readonly ShardMetrics _metrics;
    private readonly TimeProvider _time;
    private long _round, _bytes;
    private int _count;

    /// <summary>A lot with these bounds.</summary>
    public Parking(ParkingSettings settings, TimeSpan leaseLength, HandoffMeters meters, ShardMetrics metrics, TimeProvider time)
    {
        (_settings, _meters, _metrics, _time) = (settings, meters, metrics, time);
        var least = LeastTime(leaseLength);
        TimeMax = settings.TimeMax is { } asked && asked > least ? asked : least;
    }

    /// <summary>With every wake-up, for what waits elsewhere: sockets. Handlers only note it.</summary>
    public event Action? Changed;

    /// <summary>How long a request may be parked in all.</summary>
    public TimeSpan TimeMax { get; }

    /// <summary>Requests waiting now.</summary>
    public int Count { get { lock (_gate) return _count; } }

    /// <summary>Endpoints that requests wait for now.</summary>
    public IReadOnlyList<EndpointId> Waiting { get { lock (_gate) return [.. _lanes.Keys]; } }

    /// <summary>How many times everything was woken; read it before a decision, see <see cref="ParkTicket.Seen"/>.</summary>
    public long Round => Interlocked.Read(ref _round);

    /// <summary>An unconfirmed death takes 1.1 leases plus recovery; a shorter stay would end before the endpoint has an owner again.</summary>
    public static TimeSpan LeastTime(TimeSpan leaseLength) => (leaseLength * 1.1) + TimeSpan.FromSeconds(10);

    /// <inheritdoc/>
    public async ValueTask<ParkOutcome> ParkAsync(ParkTicket ticket, TimeSpan slice, CancellationToken cancellationToken)
    {
        var now = _time.GetTimestamp();
        var isFirst = ticket.FirstParked is null;
        var left = TimeMax - _time.GetElapsedTime(ticket.FirstParked ??= now, now);
        if (left <= TimeSpan.Zero) return TooLong();

        var stay = new Stay();
        Lane? lane;
        lock (_gate)
        {
            if (_round != ticket.Seen) return ParkOutcome.Woken;
            _lanes.TryGetValue(ticket.Endpoint, out lane);
            if (BoundMet(lane, ticket.BodyBytes) is { } bound)
            {
                _metrics.ParkingRefused(bound);
                return ParkOutcome.Full;
            }
            if (lane is null) _lanes.Add(ticket.Endpoint, lane = new Lane());
            stay.Node = lane.Stays.AddLast(stay);
            lane.Bytes += ticket.BodyBytes;
            _count++;
            _bytes += ticket.BodyBytes;
        }
        _metrics.StayBegan(ticket.BodyBytes);
        if (isFirst)
        {
            _metrics.Parked();
            if (ticket.Handoff != HandoffId.None) _meters.Of(ticket.Handoff).CountPark();
        }
        try
        {
            await stay.Task.WaitAsync(left < slice ? left : slice, _time, cancellationToken);
            return ParkOutcome.Woken;
        }
        catch (TimeoutException)
        {
            return left <= slice ? TooLong() : ParkOutcome.Woken;
        }
        finally
        {
            Leave(ticket, lane, stay);
            _metrics.StayEnded(ticket.BodyBytes, _time.GetElapsedTime(now));
        }
    }

    /// <inheritdoc/>
    public void Wake(EndpointId endpoint)
    {
        Changed?.Invoke();
        Stay[] woken;
        lock (_gate)
        {
            _round++;
            if (!_lanes.TryGetValue(endpoint, out var lane)) return;
            woken = [.. lane.Stays];
        }
        foreach (var stay in woken) stay.TrySetResult();
    }

    /// <inheritdoc/>
    public void WakeAll()
    {
        Changed?.Invoke();
        Stay[] woken;
        lock (_gate)
        {
            _round++;
            if (_count == 0) return;
            woken = [.. _lanes.Values.SelectMany(lane => lane.Stays)];
        }
        foreach (var stay in woken) stay.TrySetResult();
    }

    /// <summary>The bound that one more would pass; null: there is room.</summary>
    private string? BoundMet(Lane? lane, long bytes) =>
        (lane?.Stays.Count ?? 0) >= _settings.PerEndpointMax ? "endpoint"
        : (lane?.Bytes ?? 0) + bytes > _settings.PerEndpointBytesMax ? "endpoint_bytes"
        : _count >= _settings.TotalMax ? "total"
        : _bytes + bytes > _settings.BytesMax ? "bytes" : null;

    private ParkOutcome TooLong()
    {
        _metrics.ParkingRefused("time");
        return ParkOutcome.TooLong;
    }

    private void Leave(ParkTicket ticket, Lane lane, Stay stay)
    {
        lock (_gate)
        {
            lane.Stays.Remove(stay.Node!);
            lane.Bytes -= ticket.BodyBytes;
            if (lane.Stays.Count == 0) _lanes.Remove(ticket.Endpoint);
            _count--;
            _bytes -= ticket.BodyBytes;
        }
        if (ticket.Handoff != HandoffId.None) _meters.Of(ticket.Handoff).CountStay(_time.GetElapsedTime(ticket.FirstParked!.Value));
    }

    /// <summary>What waits for one endpoint, in order of arrival.</summary>
    private sealed class Lane
    {
        public LinkedList<Stay> Stays { get; } = [];

        public long Bytes { get; set; }
    }

    /// <summary>Continuations run elsewhere: a waker never runs a request.</summary>
    private sealed class Stay() : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public LinkedListNode<Stay>? Node { get; set; }
    }
}
