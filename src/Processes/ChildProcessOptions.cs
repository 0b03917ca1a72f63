namespace ShardCloud.Processes;

/// <summary>How a child learns that the process that started it is gone.</summary>
/// <remarks>
/// Every child gets a pipe as standard input, and the parent never writes to it. The operating system closes the pipe when the parent ends,
/// even by kill -9, on every system. (Linux's parent-death signal is bound to the *thread* that forked, and a thread pool thread may retire.)
/// </remarks>
public enum ParentWatch
{
    /// <summary>The child's own code ends when its standard input ends.</summary>
    ByChild,

    /// <summary>A .NET program that knows nothing of it: a start-up hook in this assembly watches the pipe.</summary>
    DotNet,

    /// <summary>A Node program (18.18 or later) that knows nothing of it: a module imported before the program watches the pipe.
    /// The first argument must be the script or a Node option.</summary>
    Node,

    /// <summary>Any program: a shell of a few lines stands between, and kills the program and its children. On Windows the program must see to it.
    /// A program that cannot be started ends with exit code 127 or 126.</summary>
    Shell,
}

/// <summary>What to start, and what to do with what it prints.</summary>
public sealed record ChildProcessOptions
{
    /// <summary>Program: a path, or a name found on PATH.</summary>
    public required string FileName { get; init; }

    /// <summary>Arguments, passed one by one: no shell reads them.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Variables set on top of the parent's environment; null removes one.</summary>
    public IReadOnlyDictionary<string, string?> Environment { get; init; } = new Dictionary<string, string?>();

    /// <summary>Default: the parent's working directory.</summary>
    public string? WorkingDirectory { get; init; }

    /// <summary>How the child ends with its parent. Default: the child sees to it.</summary>
    public ParentWatch ParentWatch { get; init; }

    /// <summary>File that receives standard output and standard error, or null to keep only the last lines in memory. Its folder is created.</summary>
    public string? LogFile { get; init; }

    /// <summary>Size at which the log file becomes `LogFile.1` (replacing the previous one) and starts anew, so at most twice this is kept.</summary>
    /// <value>Bytes; default 4 MiB, at least 4 KiB.</value>
    public long LogBytesMax { get; init; } = 4 * 1024 * 1024;

    /// <summary>Called for each line of either stream, one call at a time; must not throw. A line over 8 KiB comes in pieces.</summary>
    public Action<string>? OnLine { get; init; }

    /// <summary>Called once, after the process has ended and its output was read; must not throw.</summary>
    public Action<ChildExit>? OnExit { get; init; }

    /// <summary>Time between asking the child to stop and killing it. Default 10 s.</summary>
    public TimeSpan StopGrace { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>How a child ended.</summary>
/// <param name="ProcessId">Its process id, free for reuse by now.</param>
/// <param name="ExitCode">Exit code; on Unix 128 + signal number when a signal ended it.</param>
/// <param name="WasAsked">True if the parent asked for it (stop, kill or dispose); false means it died by itself.</param>
public readonly record struct ChildExit(int ProcessId, int ExitCode, bool WasAsked);
