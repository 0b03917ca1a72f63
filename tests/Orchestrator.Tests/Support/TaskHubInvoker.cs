using Grpc.Core;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.Orchestrator.Tests.Support;

/// <summary>The client's gRPC calls, answered by the hub in memory as the Durable Task extension answers them.</summary>
public sealed class TaskHubInvoker(TaskHub hub) : CallInvoker
{
    public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(Method<TRequest, TResponse> method, string? host, CallOptions options, TRequest request)
    {
        object? answer = request switch
        {
            CreateInstanceRequest start => hub.TryStart(start.InstanceId, start.Name, start.Input, start.Version)
                ? new CreateInstanceResponse { InstanceId = start.InstanceId }
                : throw new RpcException(new Status(StatusCode.AlreadyExists, "running")),
            RaiseEventRequest raise => hub.Raise(raise.InstanceId, raise.Name, raise.Input)
                ? new RaiseEventResponse()
                : throw new RpcException(new Status(StatusCode.Unknown, "not running")),
            GetInstanceRequest get => hub.Find(get.InstanceId) is { } found
                ? new GetInstanceResponse
                {
                    Exists = true,
                    OrchestrationState = new OrchestrationState { InstanceId = found.Id, Name = found.Name, OrchestrationStatus = found.Status, Output = found.Output },
                }
                : new GetInstanceResponse { Exists = false },
            _ => throw new RpcException(new Status(StatusCode.Unimplemented, method.Name)),
        };
        return new AsyncUnaryCall<TResponse>(
            Task.FromResult((TResponse)answer), Task.FromResult(new Metadata()), () => Status.DefaultSuccess, () => [], () => { });
    }

    public override TResponse BlockingUnaryCall<TRequest, TResponse>(Method<TRequest, TResponse> method, string? host, CallOptions options, TRequest request) =>
        throw new NotSupportedException();

    public override AsyncServerStreamingCall<TResponse> AsyncServerStreamingCall<TRequest, TResponse>(
        Method<TRequest, TResponse> method, string? host, CallOptions options, TRequest request) => throw new NotSupportedException();

    public override AsyncClientStreamingCall<TRequest, TResponse> AsyncClientStreamingCall<TRequest, TResponse>(
        Method<TRequest, TResponse> method, string? host, CallOptions options) => throw new NotSupportedException();

    public override AsyncDuplexStreamingCall<TRequest, TResponse> AsyncDuplexStreamingCall<TRequest, TResponse>(
        Method<TRequest, TResponse> method, string? host, CallOptions options) => throw new NotSupportedException();
}
