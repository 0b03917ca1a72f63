using System.Text;
using Grpc.Core;
using Microsoft.AspNetCore.Http;

namespace ShardCloud.ShardRuntime.Tests.Streams;

/// <summary>The base class that the generator would make of a gRPC service, of texts.</summary>
[BindServiceMethod(typeof(EchoBase), nameof(BindService))]
internal abstract class EchoBase
{
    private static readonly Marshaller<string> Text = Marshallers.Create(Encoding.UTF8.GetBytes, Encoding.UTF8.GetString);

    public static Method<string, string> Method(MethodType type, string name, string prefix = "") => new(type, $"{prefix}echo.Echo", name, Text, Text);

    public static void BindService(ServiceBinderBase binder, EchoBase? service)
    {
        binder.AddMethod(Method(MethodType.Unary, nameof(Unary)), service is null ? null : new UnaryServerMethod<string, string>(service.Unary));
        binder.AddMethod(Method(MethodType.Unary, nameof(Count)), service is null ? null : new UnaryServerMethod<string, string>(service.Count));
        binder.AddMethod(Method(MethodType.ServerStreaming, nameof(Server)), service is null ? null : new ServerStreamingServerMethod<string, string>(service.Server));
        binder.AddMethod(Method(MethodType.DuplexStreaming, nameof(Both)), service is null ? null : new DuplexStreamingServerMethod<string, string>(service.Both));
    }

    public abstract Task<string> Unary(string request, ServerCallContext context);

    public abstract Task<string> Count(string request, ServerCallContext context);

    public abstract Task Server(string request, IServerStreamWriter<string> answers, ServerCallContext context);

    public abstract Task Both(IAsyncStreamReader<string> requests, IServerStreamWriter<string> answers, ServerCallContext context);
}

/// <summary>Gives back what it got.</summary>
internal sealed class EchoService(TaskCompletionSource goOn) : EchoBase
{
    public override Task<string> Unary(string request, ServerCallContext context)
    {
        context.ResponseTrailers.Add("x-trailer", request);
        return request == "fail" ? throw new RpcException(new Status(StatusCode.FailedPrecondition, "as asked")) : Task.FromResult(request);
    }

    /// <summary>Changes the endpoint's state.</summary>
    public override Task<string> Count(string request, ServerCallContext context)
    {
        var count = context.GetHttpContext().EndpointState().Counter("count");
        count.Increment();
        return request == "fail" ? throw new RpcException(new Status(StatusCode.FailedPrecondition, "as asked")) : Task.FromResult($"{count.Value}");
    }

    public override async Task Server(string request, IServerStreamWriter<string> answers, ServerCallContext context)
    {
        await answers.WriteAsync("one");
        if (request == "wait") await goOn.Task.WaitAsync(context.CancellationToken);
        await answers.WriteAsync("two");
        context.ResponseTrailers.Add("x-trailer", "end");
    }

    public override async Task Both(IAsyncStreamReader<string> requests, IServerStreamWriter<string> answers, ServerCallContext context)
    {
        await foreach (var request in requests.ReadAllAsync(context.CancellationToken)) await answers.WriteAsync(request);
        context.ResponseTrailers.Add("x-trailer", "end");
    }
}
