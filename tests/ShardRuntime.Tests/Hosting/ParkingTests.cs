using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Hosting;

public sealed class ParkingTests
{
    private static readonly EndpointId Room = new("rooms/1"), Other = new("rooms/2");
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(15), Slice = TimeSpan.FromMinutes(1);
    private readonly FakeTimeProvider _time = new();
    private readonly HandoffMeters _meters = new();
    private readonly ShardMetrics _metrics = new(new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<IMeterFactory>());

    [Fact]
    public async Task Parked_EndpointWoken_LeavesInOrderOfArrival()
    {
        var lot = Lot(new ParkingSettings());
        var order = new List<int>();
        var stays = new List<Task>();
        for (var i = 0; i < 5; i++)
        {
            var (number, stay) = (i, lot.ParkAsync(Ticket(lot), Slice, default).AsTask());
            stays.Add(stay.ContinueWith(done => { lock (order) order.Add(number); return done.Result; }, TaskContinuationOptions.ExecuteSynchronously));
        }
        Assert.Equal(5, lot.Count);

        lot.Wake(Other);
        Assert.Equal(5, lot.Count);
        lot.Wake(Room);

        await Task.WhenAll(stays).WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(0, lot.Count);
        Assert.Equal(5, _metrics.ParkedCount);
        Assert.Equal(Enumerable.Range(0, 5), order.Order());
    }

    [Fact]
    public async Task Park_WokenBetweenDecisionAndStay_ReturnsAtOnce()
    {
        var lot = Lot(new ParkingSettings());
        var ticket = Ticket(lot);
        lot.WakeAll(); // After the decision, before the stay.

        var stay = lot.ParkAsync(ticket, Slice, default);
        Assert.True(stay.IsCompleted);
        Assert.Equal(ParkOutcome.Woken, await stay);
    }

    [Fact]
    public async Task Park_PastABound_Refuses()
    {
        var lot = Lot(new ParkingSettings { PerEndpointMax = 2, TotalMax = 3, BytesMax = 100 });
        _ = lot.ParkAsync(Ticket(lot, bytes: 60), Slice, default);
        Assert.Equal(ParkOutcome.Full, await lot.ParkAsync(Ticket(lot, bytes: 60), Slice, default));
        _ = lot.ParkAsync(Ticket(lot, bytes: 40), Slice, default);
        Assert.Equal(ParkOutcome.Full, await lot.ParkAsync(Ticket(lot), Slice, default));
        _ = lot.ParkAsync(Ticket(lot, Other), Slice, default);
        Assert.Equal(ParkOutcome.Full, await lot.ParkAsync(Ticket(lot, new EndpointId("rooms/3")), Slice, default));
    }

    [Fact]
    public async Task Park_OneHotEndpoint_LeavesRoomForOthers_OfPlacesAndOfBytes()
    {
        var lot = Lot(new ParkingSettings { PerEndpointMax = 1_000, TotalMax = 10_000, BytesMax = 100, PerEndpointBytesMax = 50 });
        _ = lot.ParkAsync(Ticket(lot, bytes: 50), Slice, default);
        Assert.Equal(ParkOutcome.Full, await lot.ParkAsync(Ticket(lot, bytes: 1), Slice, default));
        Assert.False(lot.ParkAsync(Ticket(lot, Other, bytes: 50), Slice, default).IsCompleted);
    }

    [Fact]
    public async Task Metrics_SayWhatWaits_HowLong_AndWhatWasRefusedWhy()
    {
        using var factory = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var meters = factory.GetRequiredService<IMeterFactory>();
        var lot = new Parking(new ParkingSettings { PerEndpointMax = 1, TotalMax = 2, BytesMax = 100, PerEndpointBytesMax = 90 }, Lease, _meters, new ShardMetrics(meters), _time);
        List<(string Instrument, double Value, object? Bound)> seen = [];
        using var listener = new MeterListener { InstrumentPublished = (instrument, self) => { if (ReferenceEquals(instrument.Meter.Scope, meters)) self.EnableMeasurementEvents(instrument); } };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => { lock (seen) seen.Add((instrument.Name, value, tags.Length > 0 ? tags[0].Value : null)); });
        listener.SetMeasurementEventCallback<double>((instrument, value, _, _) => { lock (seen) seen.Add((instrument.Name, value, null)); });
        listener.Start();
        double Sum(string name) => seen.Where(m => m.Instrument == name).Sum(m => m.Value);

        var stay = lot.ParkAsync(Ticket(lot, bytes: 60), Slice, default).AsTask();
        await lot.ParkAsync(Ticket(lot), Slice, default); // endpoint
        await lot.ParkAsync(Ticket(lot, Other, bytes: 91), Slice, default); // endpoint_bytes
        await lot.ParkAsync(Ticket(lot, Other, bytes: 50), Slice, default); // bytes
        var other = lot.ParkAsync(Ticket(lot, Other, bytes: 40), Slice, default).AsTask();
        await lot.ParkAsync(Ticket(lot, new EndpointId("rooms/3")), Slice, default); // total
        Assert.Equal((2, 100), (Sum("shardcloud.parking.requests"), Sum("shardcloud.parking.size")));

        _time.Advance(TimeSpan.FromMilliseconds(40));
        lot.WakeAll();
        await Task.WhenAll(stay, other);
        Assert.Equal((0, 0), (Sum("shardcloud.parking.requests"), Sum("shardcloud.parking.size")));
        Assert.Equal([0.04, 0.04], seen.Where(m => m.Instrument == "shardcloud.parking.duration").Select(m => m.Value));
        Assert.Equal(["endpoint", "endpoint_bytes", "bytes", "total"], seen.Where(m => m.Instrument == "shardcloud.parking.refused").Select(m => m.Bound));
    }

    [Fact]
    public async Task Park_OverSeveralStays_EndsWithTheWholeTime()
    {
        var lot = Lot(new ParkingSettings());
        Assert.Equal(TimeSpan.FromSeconds(26.5), lot.TimeMax); // TRACES 31: 1.1 leases + 10 s.
        var ticket = Ticket(lot);
        for (var second = 0; second < 26; second++)
        {
            var stay = lot.ParkAsync(ticket, TimeSpan.FromSeconds(1), default);
            Assert.False(stay.IsCompleted);
            _time.Advance(TimeSpan.FromSeconds(1));
            Assert.Equal(ParkOutcome.Woken, await stay);
        }
        var last = lot.ParkAsync(ticket, TimeSpan.FromSeconds(1), default);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(ParkOutcome.TooLong, await last);
        Assert.Equal(ParkOutcome.TooLong, await lot.ParkAsync(ticket, TimeSpan.FromSeconds(1), default));
    }

    [Fact]
    public void TimeMax_SetBelowACrash_IsRaised() =>
        Assert.Equal(Parking.LeastTime(Lease), Lot(new ParkingSettings { TimeMax = TimeSpan.FromSeconds(3) }).TimeMax);

    [Fact]
    public async Task Park_ForAHandoff_IsMetered()
    {
        var lot = Lot(new ParkingSettings());
        var ticket = Ticket(lot);
        ticket.Handoff = new HandoffId(7);
        var stay = lot.ParkAsync(ticket, Slice, default);
        _time.Advance(TimeSpan.FromMilliseconds(40));
        lot.WakeAll();
        await stay;

        Assert.Equal(1, _meters.Of(new HandoffId(7)).Parked);
        Assert.Equal(TimeSpan.FromMilliseconds(40), _meters.Of(new HandoffId(7)).LongestPark);
    }

    [Fact]
    public async Task Park_ClientLeaves_GivesItsPlaceBack()
    {
        var lot = Lot(new ParkingSettings { TotalMax = 1 });
        using var client = new CancellationTokenSource();
        var stay = lot.ParkAsync(Ticket(lot), Slice, client.Token).AsTask();
        await client.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => stay);
        Assert.Equal(0, lot.Count);
    }

    private Parking Lot(ParkingSettings settings) => new(settings, Lease, _meters, _metrics, _time);

    private static ParkTicket Ticket(Parking lot, EndpointId? endpoint = null, long bytes = 0) => new(endpoint ?? Room, bytes) { Seen = lot.Round };
}
