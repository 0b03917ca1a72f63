using System.Collections.Concurrent;
using System.Diagnostics;
using ShardCloud.Tests;

namespace ShardCloud.Replication.Tests;

[Collection(AzuriteCollection.Name)] // Beside the others of the real log: one at a time.
public sealed class LogTracesTests
{
    [Fact]
    public async Task Write_OfARecordedRequest_IsFollowedToTheReplica_AndOthersAreNot()
    {
        await using var cluster = await Cluster.StartAsync();
        var (owner, backup) = (await cluster.OwnerAsync(), cluster.Start());
        await cluster.ReplicateAsync(backup);
        using var requests = new ActivitySource("requests");
        var ended = new ConcurrentQueue<Activity>();
        TaskCompletionSource<Activity> appended = new(TaskCreationOptions.RunContinuationsAsynchronously), applied = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == LogTraces.SourceName || source == requests,
            Sample = (ref ActivityCreationOptions<ActivityContext> options) => options.Name == "not recorded" ? ActivitySamplingResult.PropagationData : ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = activity =>
            {
                ended.Enqueue(activity);
                if (activity.OperationName == "log append") appended.TrySetResult(activity);
                if (activity.OperationName == "log apply") applied.TrySetResult(activity);
            },
        };
        ActivitySource.AddActivityListener(listener);

        using (requests.StartActivity("not recorded")) await cluster.AddAsync(owner);
        Assert.DoesNotContain(ended, activity => activity.Source.Name == LogTraces.SourceName);

        using var request = requests.StartActivity("recorded")!;
        await cluster.AddAsync(owner);
        Assert.Same(request, Activity.Current); // The append is not what the request goes on in.
        var apply = await applied.Task.WaitAsync(cluster.Token);
        var append = await appended.Task.WaitAsync(cluster.Token); // The record may be read, and the answer leave, before the log's ack is heard.
        Assert.Equal((request.TraceId, request.SpanId), (append.TraceId, append.ParentSpanId));
        Assert.Equal((request.TraceId, append.SpanId), (apply.TraceId, apply.ParentSpanId));
        Assert.Equal(Cluster.RoomPartition, apply.GetTagItem("shardcloud.log.partition"));
        Assert.Equal(2, await cluster.ReadAsync(backup));
    }
}
