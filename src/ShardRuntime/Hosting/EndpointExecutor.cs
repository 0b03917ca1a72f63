using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Affinity;
using ShardCloud.ShardRuntime.Calls;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.State;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>How a run at the owner ended.</summary>
public enum RunOutcome
{
    /// <summary>Answered, an error of the application included.</summary>
    Answered,

    /// <summary>Nothing was changed and nothing was sent: the endpoint is sealed or no longer held here. Decide anew.</summary>
    Again,

    /// <summary>The commit, or something it saw, counts for no one. The request may run at the next owner, under its id.</summary>
    Rejected,
}

/// <summary>Runs the application's handler for an endpoint that this member owns.</summary>
/// <remarks>
/// A changing request: (1) its turn in the lane, (2) the seal and ownership once more, (3) a recorded answer is replayed, (4) the handler runs
/// with its answer held, (5) changes and record are committed as one delta, (6) the turn passes on, (7) the answer leaves when everything it
/// rests on may be shown. A handler that throws or answers 5xx changes nothing. A reader skips 1, 3, 5 and 6: it sees one immutable document.
/// Not guaranteed: side effects outside the endpoint's state; a handler whose commit met a seal has run, and runs again at the next owner.
/// </remarks>
internal sealed class EndpointExecutor(
    EndpointLanes lanes, EndpointWork work, ILeaseView lease, CompletionRecords records, OutboxRules posting, ShardMetrics metrics, OwnerTraffic traffic, ShadowSampler shadows, AffinityObserver loads, RequestSettings settings)
{
    /// <summary>Source of the span that an answer waits in.</summary>
    public const string TraceSource = "ShardCloud.ShardRuntime";

    private static readonly System.Diagnostics.ActivitySource Traces = new(TraceSource);

    /// <summary>Runs one request.</summary>
    public Task<RunOutcome> RunAsync(HttpContext context, EndpointRequest request, IOwnedState owned, RequestDelegate application) =>
        request.IsSafe ? ReadAsync(context, request, owned, application) : ChangeAsync(context, request, application);

    private async Task<RunOutcome> ReadAsync(HttpContext context, EndpointRequest request, IOwnedState owned, RequestDelegate application)
    {
        var state = EndpointState.OfReader(request, owned, context.Request.Method, work.PostingOf(owned));
        context.Features.Set(state);
        context.Request.Body = request.Body.Open();
        var began = traffic.Begin(request.Endpoint);
        await using var reading = new Reading(context, request, owned, lease, traffic, began);
        await using var answer = new AnswerBuffer(context, settings.AnswerBytesMax, reading.ReleaseAsync, reading);
        try
        {
            var called = loads.Begin();
            var run = application(context);
            var cpu = loads.Paused(called);
            await run;
            await answer.EndAsync();
            loads.Ran(request.Endpoint, cpu, BytesOf(context, answer));
            if (reading.IsMoved) return Moved(request, reading);
            if (state.IsCut && !answer.HasLeft) return Discard(context, answer, RunOutcome.Again); // It waited for a change that will happen elsewhere.

            // After the last access to state, for everything that was seen (TRACES 15).
            if (!await reading.ReleaseAsync())
            {
                if (answer.HasLeft && !reading.GoesOn) context.Abort();
                return answer.HasLeft && !reading.GoesOn ? RunOutcome.Answered : Discard(context, answer, RunOutcome.Again);
            }
            var isWhole = !answer.HasLeft;
            if (isWhole) traffic.Answered(began, context.Response.StatusCode);
            await SendAsync(context, answer);
            if (isWhole && shadows.IsDue(context.Request.Method)) shadows.Offer(context, request, state, owned, answer.Held);
            return RunOutcome.Answered;
        }
        catch (Exception) when ((reading.IsMoved || state.IsCut) && (reading.GoesOn || !answer.HasLeft) && !context.RequestAborted.IsCancellationRequested)
        {
            return reading.GoesOn ? RunOutcome.Again : Discard(context, answer, RunOutcome.Again);
        }
        catch (Exception error)
        {
            if (!answer.HasLeft) traffic.Threw(began, error, context.RequestAborted);
            throw;
        }
        finally
        {
            context.Features.Set<EndpointState>(null);
        }
    }

    /// <summary>The stream goes on at the next owner: this member asks it itself, or says so to the one that asked.</summary>
    private static RunOutcome Moved(EndpointRequest request, Reading reading)
    {
        if (request.Events is not null) return RunOutcome.Again;
        reading.SayMoved();
        return RunOutcome.Answered;
    }

    private async Task<RunOutcome> ChangeAsync(HttpContext context, EndpointRequest request, RequestDelegate application)
    {
        Release release;
        AnswerBuffer? answer = null;
        CallerScope? recordedCalls = null;
        RequestRecord? recorded = null;
        var began = 0L; // Of the handler, if it runs.
        var entered = await lanes.EnterAsync(request.Endpoint, context.RequestAborted); // (1)
        if (entered is not { } turn)
        {
            await Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.QueueFull,
                $"{settings.QueueMax} requests wait for endpoint '{request.Endpoint}' already.", "Retry later; spread the load over more endpoints."),
                StatusCodes.Status503ServiceUnavailable, "Endpoint busy", TimeSpan.FromSeconds(1));
            return RunOutcome.Answered;
        }
        try
        {
            if (!work.TryOpen(request.Endpoint, out var owned)) return RunOutcome.Again; // (2) What was true at the decision may have changed in the queue.

            var current = owned.Current;
            var fingerprint = new Fingerprint(context, request);
            if (request.Outbox is { } repeated && OutboxReceipts.Has(current.Fields, repeated)) // (3)
            {
                release = owned.Seen();
            }
            else if (current.TryGetRequest(request.Id, out recorded))
            {
                if (recorded.Fingerprint != await fingerprint.EndAsync(context.RequestAborted)) return await RefuseReuseAsync(context, request.Id);
                release = owned.Seen();
            }
            else
            {
                var state = work.Begin(request.Endpoint, owned, request);
                var transaction = state.Transaction;
                if (!records.MakeRoom(request.Endpoint, transaction, current) && request.IsRecorded) return await RefuseRecordAsync(context, request.Endpoint);
                if (request.Outbox is { } incoming && !OutboxReceipts.MakeRoom(transaction, incoming, posting.Settings, posting.Time.GetUtcNow())) return await RefuseReceiptAsync(context, request.Endpoint);

                began = traffic.Begin(request.Endpoint);
                answer = await RunHandlerAsync(context, fingerprint.Open(), state, application); // (4)
                release = owned.Seen();
                if (IsCommitted(context, request, state))
                {
                    if (request.IsRecorded)
                    {
                        records.Add(transaction, request.Id, await fingerprint.EndAsync(context.RequestAborted), context.Response, answer.Held);
                        recordedCalls = state.Calls;
                    }
                    if (request.Outbox is { } message) OutboxReceipts.Add(transaction, message, posting.Settings, posting.Time.GetUtcNow());
                    if (!work.TryCommit(state, owned, out release)) return Discard(context, answer, RunOutcome.Again); // (5)
                }
            }
        }
        catch (ShardCloudException error) when (error.Code is ErrorCodes.DeltaTooLarge or ErrorCodes.DocumentTooLarge && !context.Response.HasStarted)
        {
            answer?.Detach();
            context.Response.Clear();
            await Problems.WriteAsync(context, error, StatusCodes.Status413PayloadTooLarge, "State too large");
            traffic.Answered(began, context.Response.StatusCode);
            return RunOutcome.Answered;
        }
        catch (ShardCloudException error) when (error.Code is ErrorCodes.QueueFull && !context.Response.HasStarted)
        {
            // The log is slower than the writes: nothing was changed, and the client is told when to come again.
            answer?.Detach();
            context.Response.Clear();
            await Problems.WriteAsync(context, error, StatusCodes.Status503ServiceUnavailable, "Log busy", TimeSpan.FromSeconds(1));
            traffic.Answered(began, context.Response.StatusCode);
            return RunOutcome.Answered;
        }
        catch (Exception error)
        {
            traffic.Threw(began, error, context.RequestAborted);
            throw;
        }
        finally
        {
            turn.Dispose(); // (6)
        }

        // (7) From here on a client that leaves changes nothing: the commit stands.
        using var held = Traces.StartActivity("answer held");
        if (!await release(context.RequestAborted)) return answer is null ? RunOutcome.Rejected : Discard(context, answer, RunOutcome.Rejected);
        recordedCalls?.Confirm(records);
        if (answer is not null)
        {
            traffic.Answered(began, context.Response.StatusCode);
            await SendAsync(context, answer);
        }
        else
        {
            metrics.Replayed();
            if (recorded is not null) await CompletionRecords.ReplayAsync(context, recorded);
            else context.Response.StatusCode = StatusCodes.Status204NoContent; // An outbox wants to know no more.
        }
        return RunOutcome.Answered;
    }

    private async Task<AnswerBuffer> RunHandlerAsync(HttpContext context, Stream body, EndpointState state, RequestDelegate application)
    {
        context.Features.Set(state);
        context.Request.Body = body;
        var answer = new AnswerBuffer(context, settings.AnswerBytesMax, release: null);
        try
        {
            var called = loads.Begin();
            var run = application(context);
            var cpu = loads.Paused(called);
            await run;
            await answer.EndAsync();
            loads.Ran(state.Endpoint, cpu, BytesOf(context, answer));
            return answer;
        }
        catch
        {
            answer.Detach();
            throw; // The server answers 500; nothing was committed.
        }
        finally
        {
            context.Features.Set<EndpointState>(null);
        }
    }

    /// <summary>Without changes, here or by calls, a repeat does no harm, unless the client chose the id (then it was promised the same answer) or an outbox goes on by it.</summary>
    private static bool IsCommitted(HttpContext context, EndpointRequest request, EndpointState state) =>
        context.Response.StatusCode < StatusCodes.Status500InternalServerError && !GrpcCalls.HasFailed(context) && (state.Transaction.HasChanges || state.Calls is { HasChangedOthers: true } || request.Outbox is not null || RequestIds.IsClients(request.Id));

    private static long BytesOf(HttpContext context, AnswerBuffer answer) => (context.Request.ContentLength ?? 0) + answer.Held.Length;

    private static Task SendAsync(HttpContext context, AnswerBuffer answer) => answer.SendAsync(context.RequestAborted);

    private static RunOutcome Discard(HttpContext context, AnswerBuffer answer, RunOutcome outcome)
    {
        answer.Detach();
        GrpcCalls.ClearTrailers(context);
        if (!context.Response.HasStarted) context.Response.Clear(); // An event stream that goes on elsewhere has left already.
        return outcome;
    }

    private static async Task<RunOutcome> RefuseReuseAsync(HttpContext context, string id)
    {
        await (RequestIds.IsNested(id)
            ? Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.CallDiffers,
                "An earlier run of the calling handler made another call in this place, and it took effect: method, path or body differ.",
                "Let a handler's calls depend on its request and not on state that others change meanwhile, or name each by an Idempotency-Key of its own."), StatusCodes.Status422UnprocessableEntity, "Call differs")
            : Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.IdempotencyKeyReused,
                "The Idempotency-Key was used for another request of this endpoint: method, path or body differ.", "Use a new key for a new request."),
                StatusCodes.Status422UnprocessableEntity, "Idempotency-Key reused"));
        return RunOutcome.Answered;
    }

    private async Task<RunOutcome> RefuseReceiptAsync(HttpContext context, EndpointId endpoint)
    {
        await Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.TooManySenders,
            $"Endpoint '{endpoint}' holds the receipts of {posting.Settings.SendersMax} endpoints whose outboxes sent to it lately; there is no room for another's.",
            "The message is repeated. Spread what is sent over more endpoints, or raise ShardCloud:Outbox:SendersMax."),
            StatusCodes.Status503ServiceUnavailable, "Too many senders", TimeSpan.FromSeconds(2));
        return RunOutcome.Answered;
    }

    private async Task<RunOutcome> RefuseRecordAsync(HttpContext context, EndpointId endpoint)
    {
        await Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.RequestTableFull,
            $"Endpoint '{endpoint}' holds {settings.RecordsMax} recorded answers that nobody has confirmed yet.",
            "Retry later: they are dropped when answers are confirmed, or when they expire."),
            StatusCodes.Status503ServiceUnavailable, "Too many unconfirmed requests", TimeSpan.FromSeconds(2));
        return RunOutcome.Answered;
    }
}
