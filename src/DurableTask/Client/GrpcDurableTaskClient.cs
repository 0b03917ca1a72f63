using System.Runtime.CompilerServices;
using System.Text.Json;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using ShardCloud.DurableTask.Execution;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Client;

/// <summary>The client over the gRPC endpoint that the host opens on loopback.</summary>
/// <param name="invoker">Connection to the <c>rpcBaseUrl</c> of a durableClient binding.</param>
/// <param name="taskHubName">Sent with every call when set.</param>
/// <param name="connectionName">Sent with every call when set.</param>
/// <param name="json">How payloads are written; default: <see cref="PayloadJson.Options"/>.</param>
/// <param name="version">Version that instances are started under; null: the host's default.</param>
public sealed class GrpcDurableTaskClient(
    CallInvoker invoker, string? taskHubName = null, string? connectionName = null, JsonSerializerOptions? json = null, string? version = null)
    : DurableTaskClient
{
    /// <summary>How long one waiting call lasts before it is made again: the service polls as long as the caller stays.</summary>
    private static readonly TimeSpan WaitCall = TimeSpan.FromSeconds(30);

    private readonly TaskHubSidecarService.TaskHubSidecarServiceClient _service = new(invoker);
    private readonly JsonSerializerOptions _json = json ?? PayloadJson.Options;

    /// <inheritdoc/>
    public override async Task<string> ScheduleNewOrchestrationInstanceAsync(
        TaskName orchestratorName, object? input = null, string? instanceId = null, CancellationToken cancellationToken = default)
    {
        var request = new CreateInstanceRequest { Name = orchestratorName, InstanceId = instanceId ?? Guid.NewGuid().ToString("N"), Input = Write(input), Version = version };
        try
        {
            return (await _service.StartInstanceAsync(request, Call(cancellationToken)).ConfigureAwait(false)).InstanceId;
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.AlreadyExists)
        {
            throw new OrchestrationAlreadyExistsException(request.InstanceId, e);
        }
    }

    /// <inheritdoc/>
    public override async Task<OrchestrationMetadata?> GetInstanceAsync(
        string instanceId, bool getInputsAndOutputs = false, CancellationToken cancellationToken = default)
    {
        var request = new GetInstanceRequest { InstanceId = instanceId, GetInputsAndOutputs = getInputsAndOutputs };
        var answer = await _service.GetInstanceAsync(request, Call(cancellationToken)).ConfigureAwait(false);
        return answer.Exists ? new OrchestrationMetadata(answer.OrchestrationState) : null;
    }

    /// <inheritdoc/>
    public override Task<OrchestrationMetadata> WaitForInstanceStartAsync(
        string instanceId, bool getInputsAndOutputs = false, CancellationToken cancellationToken = default) =>
        WaitAsync(instanceId, getInputsAndOutputs, _service.WaitForInstanceStartAsync, status => status != OrchestrationStatus.Pending, cancellationToken);

    /// <inheritdoc/>
    public override Task<OrchestrationMetadata> WaitForInstanceCompletionAsync(
        string instanceId, bool getInputsAndOutputs = false, CancellationToken cancellationToken = default) =>
        WaitAsync(instanceId, getInputsAndOutputs, _service.WaitForInstanceCompletionAsync, IsFinished, cancellationToken);

    /// <inheritdoc/>
    public override async Task RaiseEventAsync(string instanceId, string eventName, object? eventPayload = null, CancellationToken cancellationToken = default) =>
        await _service.RaiseEventAsync(
            new RaiseEventRequest { InstanceId = instanceId, Name = eventName, Input = Write(eventPayload) }, Call(cancellationToken)).ConfigureAwait(false);

    /// <inheritdoc/>
    public override async Task TerminateInstanceAsync(string instanceId, object? output = null, CancellationToken cancellationToken = default) =>
        await _service.TerminateInstanceAsync(
            new TerminateRequest { InstanceId = instanceId, Output = Write(output) }, Call(cancellationToken)).ConfigureAwait(false);

    /// <inheritdoc/>
    public override async Task SuspendInstanceAsync(string instanceId, string? reason = null, CancellationToken cancellationToken = default) =>
        await _service.SuspendInstanceAsync(new SuspendRequest { InstanceId = instanceId, Reason = reason }, Call(cancellationToken)).ConfigureAwait(false);

    /// <inheritdoc/>
    public override async Task ResumeInstanceAsync(string instanceId, string? reason = null, CancellationToken cancellationToken = default) =>
        await _service.ResumeInstanceAsync(new ResumeRequest { InstanceId = instanceId, Reason = reason }, Call(cancellationToken)).ConfigureAwait(false);

    /// <inheritdoc/>
    public override async IAsyncEnumerable<OrchestrationMetadata> GetAllInstancesAsync(
        OrchestrationQuery? query = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        query ??= new OrchestrationQuery();
        string? token = null;
        do
        {
            var wire = new InstanceQuery
            {
                CreatedTimeFrom = query.CreatedFrom?.ToTimestamp(),
                CreatedTimeTo = query.CreatedTo?.ToTimestamp(),
                InstanceIdPrefix = query.InstanceIdPrefix,
                MaxInstanceCount = query.PageSize,
                FetchInputsAndOutputs = query.FetchInputsAndOutputs,
                ContinuationToken = token,
            };
            wire.RuntimeStatus.Add(query.Statuses);
            var page = await _service.QueryInstancesAsync(new QueryInstancesRequest { Query = wire }, Call(cancellationToken)).ConfigureAwait(false);
            foreach (var state in page.OrchestrationState) yield return new OrchestrationMetadata(state);
            token = page.ContinuationToken;
        }
        while (!string.IsNullOrEmpty(token));
    }

    /// <inheritdoc/>
    public override async Task<int> PurgeInstanceAsync(string instanceId, CancellationToken cancellationToken = default) =>
        (await _service.PurgeInstancesAsync(new PurgeInstancesRequest { InstanceId = instanceId }, Call(cancellationToken)).ConfigureAwait(false)).DeletedInstanceCount;

    /// <inheritdoc/>
    public override async Task<int> PurgeAllInstancesAsync(PurgeInstancesFilter filter, CancellationToken cancellationToken = default)
    {
        var wire = new PurgeInstanceFilter { CreatedTimeFrom = filter.CreatedFrom.ToTimestamp(), CreatedTimeTo = filter.CreatedTo?.ToTimestamp() };
        wire.RuntimeStatus.Add(filter.Statuses ?? []);
        var request = new PurgeInstancesRequest { PurgeInstanceFilter = wire };
        return (await _service.PurgeInstancesAsync(request, Call(cancellationToken)).ConfigureAwait(false)).DeletedInstanceCount;
    }

    private async Task<OrchestrationMetadata> WaitAsync(
        string instanceId, bool getInputsAndOutputs, Func<GetInstanceRequest, CallOptions, AsyncUnaryCall<GetInstanceResponse>> wait,
        Func<OrchestrationStatus, bool> reached, CancellationToken cancellationToken)
    {
        var request = new GetInstanceRequest { InstanceId = instanceId, GetInputsAndOutputs = getInputsAndOutputs };
        while (true)
        {
            try
            {
                var answer = await wait(request, Call(cancellationToken).WithDeadline(DateTime.UtcNow + WaitCall)).ConfigureAwait(false);
                if (!answer.Exists) throw new InvalidOperationException($"No orchestration instance '{instanceId}' exists.");
                if (reached(answer.OrchestrationState.OrchestrationStatus)) return new OrchestrationMetadata(answer.OrchestrationState);
            }
            catch (RpcException e) when (e.StatusCode is StatusCode.DeadlineExceeded or StatusCode.Cancelled)
            {
                cancellationToken.ThrowIfCancellationRequested(); // else: our own deadline, wait on
            }
        }
    }

    private CallOptions Call(CancellationToken cancellationToken)
    {
        var headers = new Metadata();
        if (!string.IsNullOrEmpty(taskHubName)) headers.Add("Durable-TaskHub", taskHubName);
        if (!string.IsNullOrEmpty(connectionName)) headers.Add("Durable-ConnectionName", connectionName);
        return new CallOptions(headers, cancellationToken: cancellationToken);
    }

    private string? Write(object? value) => PayloadJson.Write(value, _json);
}
