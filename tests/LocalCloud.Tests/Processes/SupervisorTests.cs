using System.Diagnostics;
using System.Threading.Channels;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Tests.Processes;

public sealed class SupervisorTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly Channel<Life> _lives = Channel.CreateUnbounded<Life>();

    public SupervisorTests() => Assert.SkipWhen(OperatingSystem.IsWindows(), "These children are Unix programs.");

    [Fact]
    public async Task Process_KilledFromOutside_IsStartedAgain()
    {
        var said = Channel.CreateUnbounded<string>();
        await using var supervisor = new Supervisor("it", StartAsync, line => said.Writer.TryWrite(line));
        var first = await NextAsync();

        Signals.Kill(first.Child.Id);

        var second = await NextAsync();
        Assert.NotEqual(first.Child.Id, second.Child.Id);
        Assert.Equal("it ended: exit code 137. It is started again in 0.1 s.", await said.Reader.ReadAsync().AsTask().WaitAsync(Deadline));
        Assert.Equal("it is ready again.", await said.Reader.ReadAsync().AsTask().WaitAsync(Deadline));
        Assert.Equal((1, second.Child.Id), (supervisor.Restarts, supervisor.Child?.Id));
    }

    [Fact]
    public async Task Disposed_EndsTheProcessAndStartsNoOther()
    {
        var supervisor = new Supervisor("it", StartAsync, _ => { });
        var life = await NextAsync();

        await supervisor.DisposeAsync();

        Assert.True((await life.Child.Exited.WaitAsync(Deadline)).WasAsked);
        Assert.False(_lives.Reader.TryRead(out _));
        Assert.Null(supervisor.Child);
    }

    [Fact]
    public async Task FirstStart_Failing_IsToldAndNotRepeated()
    {
        var starts = 0;
        await using var supervisor = new Supervisor("it", _ => throw new ShardCloudException(ErrorCodes.PortInUse, $"start {++starts}", "-"), _ => { });

        Assert.Equal(ErrorCodes.PortInUse, (await Assert.ThrowsAsync<ShardCloudException>(() => supervisor.FirstReady.WaitAsync(Deadline))).Code);
        Assert.Equal(1, starts);
    }

    /// <summary>Method: only the first life becomes ready; the clock is moved past every pause.</summary>
    [Fact]
    public async Task ShortLives_InARow_AreGivenUp()
    {
        var time = new FakeTimeProvider();
        var ended = new TaskCompletionSource();
        var lives = 0;
        await using var supervisor = new Supervisor("it", async token =>
        {
            if (lives++ > 0) throw new InvalidOperationException("cannot start");
            return await StartAsync(token);
        }, _ => ended.TrySetResult(), time: time);
        Signals.Kill((await NextAsync()).Child.Id);
        await ended.Task.WaitAsync(Deadline);

        for (var late = Stopwatch.StartNew(); !supervisor.GivenUp.IsCompleted && late.Elapsed < Deadline; await Task.Yield()) time.Advance(TimeSpan.FromSeconds(5));

        Assert.Equal(ErrorCodes.PartGivenUp, (await supervisor.GivenUp.WaitAsync(Deadline)).Code);
        Assert.Equal(Supervisor.ShortLivesMax, lives);
    }

    [Theory]
    [InlineData(0, 0.1)]
    [InlineData(1, 0.1)]
    [InlineData(3, 0.4)]
    [InlineData(9, 5)]
    public void Pause_DoublesUpToItsBound(int shortLives, double seconds) => Assert.Equal(TimeSpan.FromSeconds(seconds), Supervisor.PauseAfter(shortLives));

    private Task<ILife> StartAsync(CancellationToken cancellationToken)
    {
        var life = new Life(ChildProcess.Start(new ChildProcessOptions { FileName = "/bin/sh", Arguments = ["-c", "read -r x"] }));
        _lives.Writer.TryWrite(life);
        return Task.FromResult<ILife>(life);
    }

    private async Task<Life> NextAsync() => await _lives.Reader.ReadAsync().AsTask().WaitAsync(Deadline);

    private sealed record Life(ChildProcess Child) : ILife
    {
        public ValueTask DisposeAsync() => Child.DisposeAsync();
    }
}
