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

    public static void Apply(ParentWatch watch, ProcessStartInfo start)
    {
        if (watch == ParentWatch.Node)
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
