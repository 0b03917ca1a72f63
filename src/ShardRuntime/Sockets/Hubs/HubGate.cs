using Microsoft.AspNetCore.SignalR;

namespace ShardCloud.ShardRuntime.Sockets.Hubs;

/// <summary>A hub hears of a client when it comes and when it goes, and not of the legs in between.</summary>
internal sealed class HubGate : IHubFilter
{
    public Task OnConnectedAsync(HubLifetimeContext context, Func<HubLifetimeContext, Task> next) =>
        HubRun.Current is { IsResumed: true } ? Task.CompletedTask : next(context);

    public Task OnDisconnectedAsync(HubLifetimeContext context, Exception? exception, Func<HubLifetimeContext, Exception?, Task> next) =>
        HubRun.Current is { IsLeaving: false } ? Task.CompletedTask : next(context, exception);
}
