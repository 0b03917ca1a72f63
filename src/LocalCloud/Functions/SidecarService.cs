using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using ShardCloud.DurableTask.Protocol;
using ShardCloud.LocalCloud.Functions.Hub;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>The task hub's gRPC endpoint for the handler, with the answers and errors of the real extension.</summary>
internal sealed class SidecarService(TaskHub hub, Dispatcher dispatcher, FunctionIndex functions) : TaskHubSidecarService.TaskHubSidecarServiceBase
{
    private const int IdCharsMax = 100, PageDefault = 100, PageMax = 1000;

    public override Task<Empty> Hello(Empty request, ServerCallContext context) => Task.FromResult(new Empty());

    public override async Task<CreateInstanceResponse> StartInstance(CreateInstanceRequest request, ServerCallContext context)
    {
        var id = string.IsNullOrEmpty(request.InstanceId) ? Guid.NewGuid().ToString("N") : request.InstanceId;
        if (id.Length > IdCharsMax || id[0] == '@' || id.AsSpan().IndexOfAny("/\\#?") >= 0 || id.Any(char.IsControl))
            throw Error(StatusCode.Internal, $"The instance id '{id}' is longer than {IdCharsMax} characters, begins with '@', or has one of / \\ # ? or a control character.");
        if (functions.Orchestrator(request.Name) is null)
            throw Error(StatusCode.Internal, $"The orchestrator function '{request.Name}' does not exist in this app.");

        var result = await dispatcher.StartInstanceAsync(request.Name, id, request.Version, request.Input, context.CancellationToken).ConfigureAwait(false);
        return result == StartResult.Started
            ? new CreateInstanceResponse { InstanceId = id }
            : throw Error(StatusCode.AlreadyExists, $"An orchestration instance '{id}' exists and has not finished.");
    }

    public override async Task<GetInstanceResponse> GetInstance(GetInstanceRequest request, ServerCallContext context) =>
        Answer(await hub.GetAsync(request.InstanceId, context.CancellationToken).ConfigureAwait(false), request.GetInputsAndOutputs);

    public override Task<GetInstanceResponse> WaitForInstanceStart(GetInstanceRequest request, ServerCallContext context) =>
        WaitAsync(request, status => status != OrchestrationStatus.Pending, context.CancellationToken);

    public override Task<GetInstanceResponse> WaitForInstanceCompletion(GetInstanceRequest request, ServerCallContext context) =>
        WaitAsync(request, IsFinished, context.CancellationToken);

    public override async Task<RaiseEventResponse> RaiseEvent(RaiseEventRequest request, ServerCallContext context)
    {
        await SendAsync(request.InstanceId, new HistoryEvent { EventRaised = new() { Name = request.Name, Input = request.Input } }, context).ConfigureAwait(false);
        return new();
    }

    public override async Task<TerminateResponse> TerminateInstance(TerminateRequest request, ServerCallContext context)
    {
        await SendAsync(request.InstanceId, new HistoryEvent { ExecutionTerminated = new() { Input = request.Output, Recurse = request.Recursive } }, context).ConfigureAwait(false);
        return new();
    }

    public override async Task<SuspendResponse> SuspendInstance(SuspendRequest request, ServerCallContext context)
    {
        await SendAsync(request.InstanceId, new HistoryEvent { ExecutionSuspended = new() { Input = request.Reason } }, context).ConfigureAwait(false);
        return new();
    }

    public override async Task<ResumeResponse> ResumeInstance(ResumeRequest request, ServerCallContext context)
    {
        await SendAsync(request.InstanceId, new HistoryEvent { ExecutionResumed = new() { Input = request.Reason } }, context).ConfigureAwait(false);
        return new();
    }

    public override Task<RewindInstanceResponse> RewindInstance(RewindInstanceRequest request, ServerCallContext context) =>
        throw Error(StatusCode.Unimplemented, "This host does not rewind instances; start a new one.");

    /// <summary>Pages in order of instance id; the token is the last id of the page before.</summary>
    public override async Task<QueryInstancesResponse> QueryInstances(QueryInstancesRequest request, ServerCallContext context)
    {
        var query = request.Query ?? new InstanceQuery();
        var size = query.MaxInstanceCount > 0 ? Math.Min(query.MaxInstanceCount, PageMax) : PageDefault;
        var response = new QueryInstancesResponse();
        await foreach (var state in hub.AllAsync(context.CancellationToken).ConfigureAwait(false))
        {
            if (!string.IsNullOrEmpty(query.ContinuationToken) && string.CompareOrdinal(state.InstanceId, query.ContinuationToken) <= 0) continue;
            if (!state.InstanceId.StartsWith(query.InstanceIdPrefix ?? "", StringComparison.Ordinal)) continue;
            if (!Matches(state, query.CreatedTimeFrom, query.CreatedTimeTo, query.RuntimeStatus)) continue;
            if (response.OrchestrationState.Count == size)
            {
                response.ContinuationToken = response.OrchestrationState[^1].InstanceId;
                break;
            }

            response.OrchestrationState.Add(Trim(state, query.FetchInputsAndOutputs));
        }

        return response;
    }

    public override async Task<PurgeInstancesResponse> PurgeInstances(PurgeInstancesRequest request, ServerCallContext context)
    {
        List<string> ids = [];
        if (request.RequestCase == PurgeInstancesRequest.RequestOneofCase.InstanceId)
        {
            ids.Add(request.InstanceId);
        }
        else
        {
            var filter = request.PurgeInstanceFilter;
            if (filter?.CreatedTimeFrom is null) throw Error(StatusCode.InvalidArgument, "A purge by filter needs createdTimeFrom.");
            await foreach (var state in hub.AllAsync(context.CancellationToken).ConfigureAwait(false))
                if (IsFinished(state.OrchestrationStatus) && Matches(state, filter.CreatedTimeFrom, filter.CreatedTimeTo, filter.RuntimeStatus)) ids.Add(state.InstanceId);
        }

        var deleted = 0;
        foreach (var id in ids)
            if (await hub.PurgeAsync(id, context.CancellationToken).ConfigureAwait(false)) deleted++;
        return new PurgeInstancesResponse { DeletedInstanceCount = deleted };
    }

    private async Task SendAsync(string instanceId, HistoryEvent message, ServerCallContext context)
    {
        if (!await dispatcher.SendAsync(instanceId, message, context.CancellationToken).ConfigureAwait(false))
            throw Error(StatusCode.Unknown, $"The orchestration instance '{instanceId}' does not exist or has finished.");
    }

    private async Task<GetInstanceResponse> WaitAsync(GetInstanceRequest request, Func<OrchestrationStatus, bool> reached, CancellationToken cancellationToken)
    {
        while (true)
        {
            var change = hub.NextChange(request.InstanceId);
            var state = await hub.GetAsync(request.InstanceId, cancellationToken).ConfigureAwait(false);
            if (state is null || reached(state.OrchestrationStatus)) return Answer(state, request.GetInputsAndOutputs);
            await change.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private static GetInstanceResponse Answer(OrchestrationState? state, bool withPayloads) =>
        state is null ? new GetInstanceResponse() : new GetInstanceResponse { Exists = true, OrchestrationState = Trim(state, withPayloads) };

    private static OrchestrationState Trim(OrchestrationState state, bool withPayloads)
    {
        if (!withPayloads) (state.Input, state.Output, state.CustomStatus, state.FailureDetails) = (null, null, null, null);
        else if (state.FailureDetails is { } failure) failure.InnerFailure = null;
        return state;
    }

    private static bool Matches(OrchestrationState state, Timestamp? from, Timestamp? to, ICollection<OrchestrationStatus> statuses) =>
        (from is null || state.CreatedTimestamp >= from) && (to is null || state.CreatedTimestamp <= to)
        && (statuses.Count == 0 || statuses.Contains(state.OrchestrationStatus));

    private static bool IsFinished(OrchestrationStatus status) => status is OrchestrationStatus.Completed or OrchestrationStatus.Failed
        or OrchestrationStatus.Terminated or OrchestrationStatus.Canceled;

    private static RpcException Error(StatusCode code, string message) => new(new Status(code, message));
}
