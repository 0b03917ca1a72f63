using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Calls;

/// <summary>Sends a request of this member's own; see <see cref="OwnCalls"/>.</summary>
internal delegate Task<OwnAnswer> SendOwn(OwnCall call, CancellationToken cancellationToken);

/// <summary>Sends what lies in the outboxes of the endpoints that this member owns.</summary>
/// <remarks>
/// Level-triggered: it looks at the documents themselves, when a commit says so, soon after anything changed about who owns what, and every
/// <see cref="LookEvery"/>, so a crash or move needs no memory of its own. For each pair of sender and target one delivery runs: (1) the messages as the document has
/// them now, (2) waits until they count, (3) sends them one by one, each until its answer, (4) takes those that were answered out of the document by a change of its own,
/// (5) after one that was not, pauses and begins again. A crash between 3 and 4 sends again, and the receiver knows (<see cref="OutboxReceipts"/>).
/// </remarks>
internal sealed class OutboxSender(
    IEndpointStates states, EndpointChanges changes, SendOwn send, OutboxWakeUps wakeUps, Parking parking, OutboxSettings settings, ShardMetrics metrics, TimeProvider time, ILogger<OutboxSender> log)
    : BackgroundService
{
    /// <summary>Pairs of sender and target at work, at most; more wait for the next look.</summary>
    public const int DeliveriesMax = 10_000;

    /// <summary>Messages on their way at once, at most.</summary>
    public const int SendsMax = 256;

    /// <summary>Endpoints of an Event Hub partition that one look finds, at most; copies that this member keeps for other owners are among them.</summary>
    public const int LookMax = 10_000;

    /// <summary>A look takes about 0.1 µs an endpoint; however many there are and however often owners change, it takes no more than this part of the time.</summary>
    private const int RestFactor = 20;

    /// <summary>Messages sent before the answered ones are taken out of the document.</summary>
    private const int BatchMax = 16;

    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(30), Tick = TimeSpan.FromSeconds(1), FirstPause = TimeSpan.FromMilliseconds(100), LongestPause = TimeSpan.FromSeconds(30);

    private readonly Dictionary<(EndpointId Sender, EndpointId Target), Delivery> _deliveries = [];
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _sends = new(SendsMax);
    private bool _isFull;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await Task.WhenAll(FollowPostsAsync(stoppingToken), LookAroundAsync(stoppingToken));
        }
        finally
        {
            Task[] running;
            lock (_gate) running = [.. _deliveries.Values.Select(delivery => delivery.Run)];
            await Task.WhenAll(running);
        }
    }

    private async Task FollowPostsAsync(CancellationToken cancellationToken)
    {
        await foreach (var endpoint in wakeUps.Posted.ReadAllAsync(cancellationToken)) Begin(endpoint, cancellationToken);
    }

    private async Task LookAroundAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Tick, time);
        var (round, due, rested) = (-1L, DateTimeOffset.MinValue, DateTimeOffset.MinValue);
        do
        {
            var (now, current) = (time.GetUtcNow(), parking.Round);
            if (now < rested) continue;
            bool isFull;
            lock (_gate) (isFull, _isFull) = (_isFull, false);
            // Whatever may have made this member the owner of something has woken those who wait for it.
            if (current == round && now < due && !wakeUps.HasMissed() && !isFull) continue;
            (round, due) = (current, now + LookEvery);
            HashSet<EndpointId> atWork;
            lock (_gate) atWork = [.. _deliveries.Keys.Select(pair => pair.Sender)]; // They look by themselves.
            foreach (var endpoint in states.Where((endpoint, fields) => OutboxMessage.HasAny(fields) && !atWork.Contains(endpoint), LookMax)) Begin(endpoint, cancellationToken);
            rested = now + ((time.GetUtcNow() - now) * RestFactor);
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    /// <summary>Sees to it that a delivery runs for each target.</summary>
    private void Begin(EndpointId sender, CancellationToken cancellationToken)
    {
        try
        {
            if (!states.TryOpen(sender, out var owned)) return;
            foreach (var target in OutboxMessage.WaitingIn(owned.Current.Fields).Select(message => message.Target).Distinct()) Begin(sender, target, cancellationToken);
        }
        catch (ShardCloudException error)
        {
            OutboxLog.NotRead(log, sender.Value, error.Code, error.Message);
        }
    }

    private void Begin(EndpointId sender, EndpointId target, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_deliveries.TryGetValue((sender, target), out var running))
            {
                running.HasMore = true;
            }
            else if (_deliveries.Count >= DeliveriesMax)
            {
                _isFull = true;
            }
            else
            {
                var delivery = new Delivery(sender, target);
                _deliveries.Add((sender, target), delivery);
                delivery.Run = Task.Run(() => RunAsync(delivery, cancellationToken), CancellationToken.None);
            }
        }
    }

    private async Task RunAsync(Delivery delivery, CancellationToken cancellationToken)
    {
        try
        {
            do
            {
                for (var pause = FirstPause; await RoundAsync(delivery, cancellationToken) is var next && next is not Next.Nothing;)
                {
                    if (next is Next.More)
                    {
                        pause = FirstPause;
                        continue;
                    }
                    await Task.Delay(pause, time, cancellationToken);
                    pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
                    Begin(delivery.Sender, cancellationToken); // Its other targets, should a wake-up have been lost.
                }
            }
            while (!IsOver(delivery));
        }
        catch (OperationCanceledException)
        {
            // This member stops; whoever owns the endpoint next goes on.
        }
        catch (Exception error)
        {
            OutboxLog.DeliveryEnded(log, error, delivery.Sender.Value, delivery.Target.Value);
            lock (_gate) _deliveries.Remove((delivery.Sender, delivery.Target)); // The next look begins anew.
        }
    }

    private bool IsOver(Delivery delivery)
    {
        lock (_gate)
        {
            // Posted after the last round saw nothing.
            if (delivery.HasMore)
            {
                delivery.HasMore = false;
                return false;
            }
            return _deliveries.Remove((delivery.Sender, delivery.Target));
        }
    }

    private async Task<Next> RoundAsync(Delivery delivery, CancellationToken cancellationToken)
    {
        if (!states.TryOpen(delivery.Sender, out var owned)) return Next.Nothing; // Moved or lost: whoever has it goes on.
        OutboxMessage[] batch = [.. OutboxMessage.WaitingIn(owned.Current.Fields).Where(message => message.Target == delivery.Target).Take(BatchMax)]; // (1)
        if (batch.Length == 0) return Next.Nothing;
        if (!await owned.Seen()(cancellationToken)) return Next.Nothing; // (2) It counts for no one.

        List<OutboxMessage> over = [];
        foreach (var message in batch)
        {
            var answer = await SendAsync(delivery.Sender, message, cancellationToken); // (3)
            if (answer.IsFinal || time.GetUtcNow() - message.PostedAt > settings.RepeatFor) over.Add(message with { GivenUp = answer.Failure });
            if (!answer.IsFinal) break;
        }
        if (over.Count == 0) return Next.Pause; // (5)
        try
        {
            if (!(await changes.RunAsync(delivery.Sender, state => RemoveAsync(state, over), cancellationToken)).IsDone) return Next.Nothing; // (4)
        }
        catch (ShardCloudException busy)
        {
            OutboxLog.NotRemoved(log, delivery.Sender.Value, busy.Code, busy.Message);
            return Next.Pause; // Sent again after it, and known there.
        }
        foreach (var message in over.Where(message => message.GivenUp is not null))
        {
            metrics.OutboxSetAside();
            OutboxLog.SetAside(log, $"{message.Number}", delivery.Sender.Value, message.Path, message.GivenUp!);
        }
        return Next.More; // Also when the last was not answered: a later round finds it first, and pauses.
    }

    private async Task<Sent> SendAsync(EndpointId sender, OutboxMessage message, CancellationToken cancellationToken)
    {
        await _sends.WaitAsync(cancellationToken);
        try
        {
            using var over = new CancellationTokenSource(parking.TimeMax, time);
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(over.Token, cancellationToken);
            var call = new OwnCall(HttpMethods.Post, message.Target, message.Body) { RawTarget = message.Path, From = sender, Id = $"{OutboxId.Of(sender, message.Number)}", AnswerBytesMax = ShardCalls.BodyBytesMax };
            if (message.ContentType.Length > 0) call.Headers.ContentType = message.ContentType;
            var answer = await send(call, deadline.Token);
            if (answer.Status is >= 500 or 408 or 425 or 429) // The last three: Request Timeout, Too Early, Too Many Requests. They ask for a repeat.
            {
                metrics.OutboxRepeated();
                return new Sent(false, $"answered {answer.Status}");
            }
            if (answer.Status >= StatusCodes.Status400BadRequest) return new Sent(true, $"answered {answer.Status}");
            metrics.OutboxDelivered();
            return new Sent(true, null);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            metrics.OutboxRepeated();
            return new Sent(false, $"no answer within {parking.TimeMax.TotalSeconds:0.#} s");
        }
        finally
        {
            _sends.Release();
        }
    }

    private static ValueTask<bool> RemoveAsync(EndpointState state, List<OutboxMessage> over)
    {
        var (waiting, aside) = (state.Transaction.List(SystemFields.Outbox), state.Transaction.List(SystemFields.OutboxSetAside));
        foreach (var message in over)
        {
            if (waiting.Remove(message.Number) && message.GivenUp is not null) aside.Append(message.ToBytes());
        }
        aside.TrimTo(OutboxMessage.SetAsideMax);
        while (aside.Count > 1 && aside.Items.Sum(item => item.AsBytes().Length) > OutboxMessage.BytesMax) aside.TrimTo(aside.Count - 1);
        return new(true);
    }

    /// <summary>How one try ended.</summary>
    /// <param name="IsFinal">Answered, and not to be sent again.</param>
    /// <param name="Failure">What was answered instead of a success.</param>
    private readonly record struct Sent(bool IsFinal, string? Failure);

    private enum Next
    {
        Nothing,
        More,
        Pause,
    }

    private sealed class Delivery(EndpointId sender, EndpointId target)
    {
        public EndpointId Sender => sender;

        public EndpointId Target => target;

        /// <summary>Something was posted since it began.</summary>
        public bool HasMore { get; set; }

        public Task Run { get; set; } = Task.CompletedTask;
    }
}

/// <summary>Log lines of the outbox; event ids 4400-4499.</summary>
internal static partial class OutboxLog
{
    [LoggerMessage(4400, LogLevel.Warning, "Message {Number} of endpoint {Sender} to {Path} was set aside and is not sent again: {Failure}")]
    public static partial void SetAside(ILogger logger, string number, string sender, string path, string failure);

    [LoggerMessage(4402, LogLevel.Information, "Answered messages of endpoint {Sender} were not removed this time: {Code} {Message}")]
    public static partial void NotRemoved(ILogger logger, string sender, string code, string message);

    [LoggerMessage(4403, LogLevel.Error, "The outbox of endpoint {Sender} cannot be read: {Code} {Message}")]
    public static partial void NotRead(ILogger logger, string sender, string code, string message);

    [LoggerMessage(4404, LogLevel.Error, "A delivery from endpoint {Sender} to {Target} ended by an error; the next look begins anew")]
    public static partial void DeliveryEnded(ILogger logger, Exception error, string sender, string target);
}
