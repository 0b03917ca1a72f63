using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Hosting;

public sealed class EndpointLanesTests
{
    private static readonly EndpointId Room = new("rooms/1"), Other = new("rooms/2");
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task Enter_ManyAtOnce_OneAtATimeInOrder()
    {
        var lanes = new EndpointLanes(queueMax: 100);
        var first = await lanes.EnterAsync(Room, default);
        var order = new List<int>();
        var inside = 0;
        var runs = Enumerable.Range(0, 50).Select(async number =>
        {
            using var turn = (await lanes.EnterAsync(Room, default))!.Value;
            Assert.Equal(1, Interlocked.Increment(ref inside));
            order.Add(number);
            await Task.Yield();
            Interlocked.Decrement(ref inside);
        }).ToArray();

        first!.Value.Dispose();
        await Task.WhenAll(runs).WaitAsync(Soon);

        Assert.Equal(Enumerable.Range(0, 50), order);
    }

    [Fact]
    public async Task Enter_OtherEndpoint_DoesNotWait()
    {
        var lanes = new EndpointLanes(queueMax: 1);
        using var room = (await lanes.EnterAsync(Room, default))!.Value;
        using var other = (await lanes.EnterAsync(Other, default))!.Value;
    }

    [Fact]
    public async Task Enter_QueueFull_IsRefused()
    {
        var lanes = new EndpointLanes(queueMax: 1);
        using var running = (await lanes.EnterAsync(Room, default))!.Value;
        var waiting = lanes.EnterAsync(Room, default);

        Assert.Null(await lanes.EnterAsync(Room, default));
        Assert.False(waiting.IsCompleted);
    }

    [Fact]
    public async Task Enter_WaiterLeaves_TheNextGetsTheTurn()
    {
        var lanes = new EndpointLanes(queueMax: 10);
        var running = (await lanes.EnterAsync(Room, default))!.Value;
        using var client = new CancellationTokenSource();
        var gone = lanes.EnterAsync(Room, client.Token).AsTask();
        var next = lanes.EnterAsync(Room, default).AsTask();
        await client.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => gone);

        running.Dispose();
        (await next.WaitAsync(Soon))!.Value.Dispose();
    }

    [Fact]
    public async Task WaitForIdle_HandlerRuns_WaitsForCoveredOnesOnly()
    {
        var lanes = new EndpointLanes(queueMax: 10);
        var room = (await lanes.EnterAsync(Room, default))!.Value;
        using var other = (await lanes.EnterAsync(Other, default))!.Value;

        var drain = lanes.WaitForIdleAsync(endpoint => endpoint == Room, Soon, default);
        Assert.False(drain.IsCompleted);
        room.Dispose();

        Assert.True(await drain.WaitAsync(Soon));
    }

    [Fact]
    public async Task WaitForIdle_BudgetSpent_SaysSoAndLeavesNoTurnBehind()
    {
        var lanes = new EndpointLanes(queueMax: 10);
        var room = (await lanes.EnterAsync(Room, default))!.Value;

        Assert.False(await lanes.WaitForIdleAsync(_ => true, TimeSpan.FromMilliseconds(20), default).WaitAsync(Soon));

        room.Dispose();
        (await lanes.EnterAsync(Room, default).AsTask().WaitAsync(Soon))!.Value.Dispose();
    }
}
