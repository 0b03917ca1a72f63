using System.Diagnostics;

namespace ShardCloud.Processes;

/// <summary>Adds to a program, from outside, that it ends when its standard input does.</summary>
internal static class ParentWatches
{
    /// <summary>Asks as SIGTERM would, so that stores are closed; a program that stays is ended after 5 s.</summary>
    /// <remarks>Azurite never answers a request that comes while it stops, and its client waits 10 s for that answer: a stop under load took as long. So a closing server's connections are ended after 1 s.</remarks>
    private const string NodeModule =
        "data:text/javascript,import http from 'node:http';" +
        "const close=http.Server.prototype.close;" +
        "http.Server.prototype.close=function(...a){setTimeout(()=>this.closeAllConnections(),1000).unref();return close.apply(this,a)};" +
        "const stop=()=>{setTimeout(()=>process.exit(1),5000).unref();if(!process.emit('SIGTERM'))process.exit(1)};" +
        "process.stdin.on('end',stop).on('error',stop).resume();" +
        "process.once('SIGTERM',()=>process.stdin.destroy())"; // Or the open pipe would keep a program running that has closed everything else.

    /// <summary>Stands between parent and program: passes SIGTERM on, ends as the program ends, and kills it when descriptor 3, the parent's pipe, ends.</summary>
    /// <remarks>
    /// In a session of its own (setsid), process id and group id are one: the program's children are killed with it, and a terminal's Ctrl-C, which is the parent's
    /// affair, does not reach the program. <c>wait</c> also returns when a signal came; a program that has ended but was not waited for still answers <c>kill -0</c>.
    /// </remarks>
    private const string ShellGuard =
        """
        exec 3<&0 </dev/null
        "$@" 3<&- & program=$!
        trap 'kill -TERM $program 2>/dev/null' TERM
        { while read -r _ <&3; do :; done; kill -KILL $GUARDED; } >/dev/null 2>&1 & watch=$!
        exec 3<&-
        while :; do wait $program; code=$?; kill -0 $program 2>/dev/null || break; done
        kill -KILL $watch 2>/dev/null
        exit $code
        """;

    private static readonly string? NewSession = ((string[])["/usr/bin/setsid", "/bin/setsid"]).FirstOrDefault(File.Exists);

    public static void Apply(ParentWatch watch, ProcessStartInfo start)
    {
        if (watch == ParentWatch.Shell && !OperatingSystem.IsWindows())
        {
            var guard = ShellGuard.Replace("$GUARDED", NewSession is null ? "$program" : "0", StringComparison.Ordinal);
            string[] command = [.. NewSession is null ? (string[])[] : [NewSession], "/bin/sh", "-c", guard, "sh", start.FileName];
            start.FileName = command[0];
            foreach (var word in command.AsSpan(1)) start.ArgumentList.Add(word);
        }
        else if (watch == ParentWatch.Node)
        {
            start.ArgumentList.Add("--import");
            start.ArgumentList.Add(NodeModule);
        }
        else if (watch == ParentWatch.DotNet)
        {
            var hook = typeof(StartupHook).Assembly.Location; // empty in a single-file program, which has no file to offer as a hook
            if (hook.Length == 0) throw new PlatformNotSupportedException("The parent watch of .NET children needs ShardCloud.Processes.dll as a file.");
            start.Environment["DOTNET_STARTUP_HOOKS"] = hook;
        }
    }
}
