/// <summary>Runs inside every measured process, ours and the plain proxy alike (DOTNET_STARTUP_HOOKS): answers each line on standard input with what the process has used so far, and ends it when the input ends.</summary>
internal static class StartupHook
{
    public const string Prefix = "#used ";

    public static void Initialize() => new Thread(Answer) { IsBackground = true, Name = "bench" }.Start();

    private static void Answer()
    {
        while (Console.In.ReadLine() is not null)
            Console.Out.WriteLine($"{Prefix}{GC.GetTotalAllocatedBytes(precise: true)} {Environment.CpuUsage.TotalTime.Ticks} {GC.GetTotalPauseDuration().Ticks}");
        Environment.Exit(0);
    }
}
