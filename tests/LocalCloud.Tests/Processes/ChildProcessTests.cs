using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Tests.Processes;

public sealed class ChildProcessTests : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-child-").FullName;

    public ChildProcessTests() => Assert.SkipWhen(OperatingSystem.IsWindows(), "These children are Unix programs.");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Child_EndsByItself_ExitAndOutputAreReported()
    {
        var reported = new TaskCompletionSource<ChildExit>();
        await using var child = ChildProcess.Start(Shell("echo out; echo err >&2; exit 7") with { OnExit = reported.SetResult });

        var exit = await reported.Task.WaitAsync(Deadline);

        Assert.Equal(new ChildExit(child.Id, 7, WasAsked: false), exit);
        Assert.Equal(["err", "out"], child.LastLines.Order());
    }

    [Fact]
    public async Task Stop_ChildHandlesTheSignal_EndsGracefully()
    {
        var ready = new TaskCompletionSource();
        await using var child = ChildProcess.Start(Shell("trap 'exit 3' TERM; echo ready; while :; do read -r x; done") with { OnLine = _ => ready.TrySetResult() });
        await ready.Task.WaitAsync(Deadline);

        Assert.Equal(new ChildExit(child.Id, 3, WasAsked: true), await child.StopAsync().WaitAsync(Deadline));
    }

    [Fact]
    public async Task Stop_ChildIgnoresTheSignal_IsKilledAfterTheGrace()
    {
        var ready = new TaskCompletionSource();
        await using var child = ChildProcess.Start(Shell("trap '' TERM; echo ready; while :; do sleep 1; done") with { OnLine = _ => ready.TrySetResult() });
        await ready.Task.WaitAsync(Deadline);

        var exit = await child.StopAsync(TimeSpan.FromMilliseconds(50)).WaitAsync(Deadline);

        Assert.Equal(128 + 9, exit.ExitCode);
    }

    [Fact]
    public async Task Crash_LooksLikeADeathOfItsOwn()
    {
        await using var child = ChildProcess.Start(Shell("while :; do sleep 1; done"));

        child.Crash();

        Assert.Equal(new ChildExit(child.Id, 128 + 9, WasAsked: false), await child.Exited.WaitAsync(Deadline));
    }

    [Fact]
    public async Task LogFile_PastItsBound_KeepsAtMostTwiceTheBound()
    {
        var log = Path.Combine(_folder, "logs", "child.log");
        await using (var child = ChildProcess.Start(
            Shell("i=0; while [ $i -lt 2000 ]; do echo line-$i; i=$((i+1)); done") with { LogFile = log, LogBytesMax = 4096 }))
            await child.Exited.WaitAsync(Deadline);

        Assert.EndsWith("line-1999\n", File.ReadAllText(log));
        Assert.InRange(new FileInfo(log).Length + new FileInfo(log + ".1").Length, 4096, 2 * (4096 + 20));
    }

    /// <summary>Method: the death of the parent is the end of the child's input; the child is a Node program that would run for ever.</summary>
    [Fact]
    public async Task ParentWatch_NodeChild_EndsWithItsParent()
    {
        var ready = new TaskCompletionSource();
        await using var child = ChildProcess.Start(new ChildProcessOptions
        {
            FileName = "node",
            Arguments = ["-e", "process.on('SIGTERM',()=>process.exit(5));setInterval(()=>{},1000);console.log('ready')"],
            ParentWatch = ParentWatch.Node,
            OnLine = _ => ready.TrySetResult(),
        });
        await ready.Task.WaitAsync(Deadline);

        child.LoseParent();

        Assert.Equal(new ChildExit(child.Id, 5, WasAsked: false), await child.Exited.WaitAsync(Deadline));
    }

    /// <summary>Method: this test assembly is itself a program; asked to wait for a debugger, it prints a line and waits for ever.</summary>
    [Fact]
    public async Task ParentWatch_DotNetChild_EndsWithItsParent()
    {
        var ready = new TaskCompletionSource();
        await using var child = ChildProcess.Start(new ChildProcessOptions
        {
            FileName = "dotnet",
            Arguments = ["exec", typeof(ChildProcessTests).Assembly.Location, "-waitForDebugger"],
            ParentWatch = ParentWatch.DotNet,
            OnLine = line => _ = line.Contains("debugger", StringComparison.Ordinal) && ready.TrySetResult(),
        });
        await ready.Task.WaitAsync(Deadline);

        child.LoseParent();

        Assert.Equal(new ChildExit(child.Id, 0, WasAsked: false), await child.Exited.WaitAsync(Deadline));
    }

    /// <summary>Method: a program that watches nothing, with a child of its own; its parent dies, it ends by itself, or what stands between is killed.</summary>
    [Theory]
    [InlineData("parent")]
    [InlineData("program")]
    [InlineData("guard")]
    public async Task ParentWatch_AnyProgram_NothingOfItIsLeft(string whoEnds)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Looks into /proc.");
        var said = new TaskCompletionSource<int[]>();
        await using var child = ChildProcess.Start(Shell("sleep 1000 & echo $$ $!; wait") with
        {
            ParentWatch = ParentWatch.Shell,
            OnLine = line => _ = !said.Task.IsCompleted && said.TrySetResult([.. line.Split(' ').Select(int.Parse)]), // Later the shell says "Killed".
        });
        var pids = await said.Task.WaitAsync(Deadline);

        if (whoEnds == "parent") child.LoseParent();
        else if (whoEnds == "program") Assert.True(Signals.Kill(pids[0]));
        else child.Crash();

        Assert.Equal(new ChildExit(child.Id, 128 + 9, WasAsked: false), await child.Exited.WaitAsync(Deadline));
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        using var deadline = new CancellationTokenSource(Deadline);
        while (pids.Any(IsRunning)) await timer.WaitForNextTickAsync(deadline.Token);
    }

    [Fact]
    public async Task ParentWatch_AnyProgram_GetsTheSignalAndTellsItsExitCode()
    {
        var ready = new TaskCompletionSource();
        await using var child = ChildProcess.Start(Shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done") with { ParentWatch = ParentWatch.Shell, OnLine = _ => ready.TrySetResult() });
        await ready.Task.WaitAsync(Deadline);

        Assert.Equal(new ChildExit(child.Id, 3, WasAsked: true), await child.StopAsync().WaitAsync(Deadline));
    }

    /// <summary>A killed process that nobody has waited for yet is still listed, as a zombie.</summary>
    private static bool IsRunning(int pid)
    {
        try
        {
            return !File.ReadAllText($"/proc/{pid}/stat").Contains(") Z", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static ChildProcessOptions Shell(string script) => new() { FileName = "/bin/sh", Arguments = ["-c", script] };
}
