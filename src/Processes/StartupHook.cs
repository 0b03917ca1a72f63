/// <summary>Run by the .NET host before a child's Main: ends the child when its standard input ends, that is when its parent is gone.</summary>
/// <remarks>
/// Name, lack of a namespace and signature are the host's rules: https://github.com/dotnet/runtime/blob/main/docs/design/features/host-startup-hook.md.
/// Uses the base library only: nothing else of this assembly's dependencies is at hand in the child.
/// </remarks>
internal static class StartupHook
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(5);

    public static void Initialize()
    {
        // Not for the child's own children: their standard input is not this pipe.
        Environment.SetEnvironmentVariable("DOTNET_STARTUP_HOOKS", null);
        new Thread(Watch) { IsBackground = true, Name = "parent watch" }.Start();
    }

    private static void Watch()
    {
        try
        {
            using var input = Console.OpenStandardInput();
            var buffer = new byte[256];
            while (input.Read(buffer) > 0)
            {
            }
        }
        catch (IOException)
        {
            // A broken pipe says the same as its end.
        }

        // Exit runs the host's orderly stop, which may wait on requests of a parent that no longer exists.
        using var kill = new Timer(_ => System.Diagnostics.Process.GetCurrentProcess().Kill(), null, Grace, Timeout.InfiniteTimeSpan);
        Environment.Exit(0);
    }
}
