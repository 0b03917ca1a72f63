using Microsoft.Extensions.Time.Testing;
using ShardCloud.DurableTask;
using ShardCloud.DurableTask.Execution;
using ShardCloud.DurableTask.Protocol;
using ShardCloud.LocalCloud.Functions.Hub;

namespace ShardCloud.LocalCloud.Tests.Functions;

/// <summary>The task hub's promise: the end of the process at any storage operation loses nothing.</summary>
public sealed class TaskHubTests
{
    private static readonly OrchestratorRegistry Orchestrators = new OrchestratorRegistry()
        .AddFunc<int, string>("Main", async (context, width) =>
        {
            var sum = 0;
            foreach (var part in await Task.WhenAll(Enumerable.Range(1, width).Select(i => context.CallActivityAsync<int>("Double", i)))) sum += part;
            await context.CreateTimer(TimeSpan.FromSeconds(5), CancellationToken.None);
            var child = await context.CallSubOrchestratorAsync<string>("Child", sum, new SubOrchestrationOptions(InstanceId: context.InstanceId + "-child"));
            var word = await context.WaitForExternalEvent<string>("Go");
            return $"{sum} {child} {word}";
        })
        .AddFunc<int, string>("Child", async (context, n) =>
        {
            var doubled = await context.CallActivityAsync<int>("Double", n);
            if (doubled > 1000) return $"child {doubled}";
            context.ContinueAsNew(doubled);
            return "";
        });

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 3, 4, 5, 6, 7, TimeSpan.Zero));
    private readonly MemoryHubTables _tables = new();
    private readonly OrchestrationExecutor _executor = new(Orchestrators);

    // Method: count the storage operations of a run without faults. Then, for each of them, run again with the host killed at it, once
    // before it takes effect and once after, start a new host over the same tables, and let it finish.
    [Theory, InlineData(3, 1), InlineData(120, 11)] // 120: one turn makes more rows than a transaction takes, so plans are carried out
    public async Task Host_KilledAtAnyOperation_TheNextOneFinishesTheWork(int width, int stride)
    {
        var operations = await new TaskHubTests().CountAsync(width);
        for (var killAt = 1; killAt <= operations; killAt += stride)
            foreach (var after in (bool[])[false, true])
                await new TaskHubTests().KillAndGoOnAsync(width, killAt, after);
    }

    [Fact]
    public async Task Start_SameExecutionTwice_IsRecognised()
    {
        var hub = await OpenAsync();

        Assert.Equal(StartResult.Started, await hub.StartAsync(Start(1), default));
        Assert.Equal(StartResult.Repeated, await hub.StartAsync(Start(1), default));
        Assert.Equal(StartResult.Exists, await hub.StartAsync(Start(1, execution: "another"), default));
    }

    [Fact]
    public async Task Change_ByASecondHost_IsRefusedAndThenSeen()
    {
        var first = await OpenAsync();
        await first.StartAsync(Start(1), default);
        var second = await OpenAsync();
        var raised = new HistoryEvent { EventRaised = new() { Name = "from the second" } };
        await second.ReceiveAsync("main", raised, default);

        await Assert.ThrowsAsync<HubConflictException>(() => first.ReceiveAsync("main", new HistoryEvent { EventRaised = new() { Name = "from the first" } }, default));
        await first.ReceiveAsync("main", new HistoryEvent { EventRaised = new() { Name = "again" } }, default);

        Assert.Equal(["from the second", "again"], first.Find("main")!.Inbox.Values.Where(e => e.EventRaised is not null).Select(e => e.EventRaised.Name));
    }

    [Fact]
    public async Task Message_LargerThanARow_SurvivesARestart()
    {
        var hub = await OpenAsync();
        await hub.StartAsync(Start(1), default);
        var text = new string('x', 5 * 1024 * 1024);
        await hub.ReceiveAsync("main", new HistoryEvent { EventRaised = new() { Name = "Large", Input = text } }, default);

        var again = await OpenAsync();

        Assert.Equal(text, Assert.Single(again.Find("main")!.Inbox.Values, e => e.EventRaised is not null).EventRaised.Input);
    }

    [Fact]
    public async Task Purge_RemovesFinishedInstancesOnly()
    {
        var hub = await OpenAsync();
        await hub.StartAsync(Start(1), default);
        Assert.False(await hub.PurgeAsync("main", default));
        await hub.ReceiveAsync("main", Go(), default);
        await RunToEndAsync(hub);

        Assert.True(await hub.PurgeAsync("main", default));
        Assert.True(await hub.PurgeAsync("main-child", default));

        Assert.All(Enum.GetValues<HubTable>(), table => Assert.Empty(_tables.Rows(table)));
    }

    [Fact]
    public async Task Instance_StartedAgainUnderItsId_IsNotTouchedByWhatWakesTheOldOne()
    {
        var hub = await OpenAsync();
        await hub.StartAsync(Start(1), default);
        await hub.ReceiveAsync("main", Go(), default);
        var old = hub.Find("main")!;
        await RunToEndAsync(hub);
        await hub.StartAsync(Start(1, execution: "another"), default);

        await hub.ProjectAsync(old, default);
        await hub.TidyAsync(old, default);

        Assert.Equal("another", (await hub.GetAsync("main", default))!.ExecutionId);
        Assert.Equal("another", (await OpenAsync()).Find("main")?.Head.ExecutionId);
    }

    private HistoryEvent Go() => TurnOutcome.At(_time.GetUtcNow().UtcDateTime, new HistoryEvent { EventRaised = new() { Name = "Go", Input = "\"went\"" } });

    private async Task<int> CountAsync(int width)
    {
        var hub = await OpenAsync();
        await hub.StartAsync(Start(width), default);
        await hub.ReceiveAsync("main", Go(), default);
        await RunToEndAsync(hub);
        await AssertDoneAsync(hub, width);
        return _tables.Operations;
    }

    private async Task KillAndGoOnAsync(int width, int killAt, bool after)
    {
        var raised = false;
        (_tables.KillAt, _tables.KillAfter) = (killAt, after);
        await Assert.ThrowsAsync<HostKilledException>(async () =>
        {
            var hub = await OpenAsync();
            await hub.StartAsync(Start(width), default);
            raised = await hub.ReceiveAsync("main", Go(), default);
            await RunToEndAsync(hub);
        });

        _tables.Revive();
        var next = await OpenAsync();
        await next.StartAsync(Start(width), default); // the client got no answer, so it asks again
        if (!raised) await next.ReceiveAsync("main", Go(), default); // an event that was answered is not sent again: it must be there
        await RunToEndAsync(next);
        await AssertDoneAsync(next, width);
    }

    private async Task AssertDoneAsync(TaskHub hub, int width)
    {
        var sum = width * (width + 1);
        var child = sum;
        do child *= 2;
        while (child <= 1000);
        var state = await hub.GetAsync("main", default);
        Assert.Equal(OrchestrationStatus.Completed, state!.OrchestrationStatus);
        Assert.Equal($"\"{sum} child {child} went\"", state.Output);
        Assert.Empty(_tables.Rows(HubTable.Work)); // nothing is left behind either
        Assert.DoesNotContain(_tables.Rows(HubTable.History), row => row.Key.StartsWith("plan|", StringComparison.Ordinal));
    }

    private async Task<TaskHub> OpenAsync()
    {
        var hub = new TaskHub(_tables, _time);
        await hub.LoadAsync(default);
        return hub;
    }

    /// <summary>Does by hand, one thing after the other, what the dispatcher does at once.</summary>
    private async Task RunToEndAsync(TaskHub hub)
    {
        while (hub.Unfinished.Any())
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            foreach (var work in hub.Unfinished.ToList())
            {
                await DeliverAsync(hub, work);
                await TurnAsync(hub, work);
                foreach (var activity in work.Activities.Values.ToList())
                    await hub.EndActivityAsync(work, activity, Ended(activity), default);
                foreach (var timer in work.Timers.Values.Where(t => t.FireAt <= hub.Now()).ToList())
                    await hub.FireTimerAsync(work, timer, default);
            }
        }
    }

    private async Task TurnAsync(TaskHub hub, InstanceWork work)
    {
        var inbox = await hub.InboxAsync(work, default);
        if (inbox.Count == 0) return;
        var history = await hub.HistoryAsync(work, default);
        HistoryEvent[] batch = [TurnOutcome.At(hub.Now(), new HistoryEvent { OrchestratorStarted = new() }), .. inbox.Select(m => m.Value)];
        var request = new OrchestratorRequest { InstanceId = work.Id };
        request.PastEvents.Add(history);
        request.NewEvents.Add(batch);
        var response = _executor.Execute(request);
        var started = history.Concat(batch).First(e => e.ExecutionStarted is not null).ExecutionStarted;
        await hub.CommitTurnAsync(work, [.. inbox.Select(m => m.Key)], TurnOutcome.Decide(work.Id, work.Head, started, batch, response, hub.Now()), default);
        await hub.ProjectAsync(work, default);
    }

    private static async Task DeliverAsync(TaskHub hub, InstanceWork work)
    {
        foreach (var message in work.Outbox.Values.ToList())
        {
            var content = HistoryEvent.Parser.ParseFrom(message.Event);
            if (message.Start) await hub.StartAsync(content, default);
            else await hub.ReceiveAsync(message.Target, content, default);
            await hub.DeliveredAsync(work, message, default);
        }

        await hub.TidyAsync(work, default);
    }

    private HistoryEvent Ended(PendingActivity activity) => TurnOutcome.At(_time.GetUtcNow().UtcDateTime, new HistoryEvent
    {
        TaskCompleted = new() { TaskScheduledId = activity.Id, Result = (2 * int.Parse(activity.Input!, System.Globalization.CultureInfo.InvariantCulture)).ToString(System.Globalization.CultureInfo.InvariantCulture) },
    });

    private HistoryEvent Start(int width, string execution = "first") => TurnOutcome.At(_time.GetUtcNow().UtcDateTime, new HistoryEvent
    {
        ExecutionStarted = new()
        {
            Name = "Main",
            Version = "",
            Input = width.ToString(System.Globalization.CultureInfo.InvariantCulture),
            OrchestrationInstance = new() { InstanceId = "main", ExecutionId = execution },
        },
    });
}
