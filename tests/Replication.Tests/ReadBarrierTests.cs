namespace ShardCloud.Replication.Tests;

public sealed class ReadBarrierTests
{
    private readonly Queue<TaskCompletionSource> _rounds = new(Enumerable.Range(0, 3).Select(_ => new TaskCompletionSource()));
    private readonly List<TaskCompletionSource> _begun = [];
    private readonly SemaphoreSlim _beginning = new(0);
    private readonly ReadBarrier _barrier;

    public ReadBarrierTests() => _barrier = new ReadBarrier(() =>
    {
        var round = _rounds.Dequeue();
        _begun.Add(round);
        _beginning.Release();
        return round.Task;
    });

    /// <summary>A probe that was appended before a read says nothing about it.</summary>
    [Fact]
    public async Task Reads_DuringARound_WaitForTheNextAndShareIt()
    {
        var first = _barrier.PassAsync();
        await BegunAsync();
        Task second = _barrier.PassAsync(), third = _barrier.PassAsync();

        _begun[0].SetResult();
        await first.WaitAsync(Cluster.Deadline);
        await BegunAsync();
        Assert.False(second.IsCompleted || third.IsCompleted);

        _begun[1].SetResult();
        await Task.WhenAll(second, third).WaitAsync(Cluster.Deadline);
        Assert.Equal(2, _begun.Count);
    }

    [Fact]
    public async Task Round_ThatFails_FailsItsReadsAndNoOthers()
    {
        var first = _barrier.PassAsync();
        await BegunAsync();
        var second = _barrier.PassAsync();
        _begun[0].SetException(new InvalidOperationException("the probe was refused"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => first.WaitAsync(Cluster.Deadline));
        await BegunAsync();
        _begun[1].SetResult();
        await second.WaitAsync(Cluster.Deadline);
    }

    private async Task BegunAsync() => Assert.True(await _beginning.WaitAsync(Cluster.Deadline));
}
