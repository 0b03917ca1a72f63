using System.ComponentModel;
using System.Diagnostics;

namespace ShardCloud.Cli.Demo;

/// <summary>The user's browser.</summary>
internal static class Browser
{
    /// <summary>Shows a page; where there is no browser nothing happens, the address was printed.</summary>
    public static void Open(string address)
    {
        try
        {
            using var _ = Process.Start(new ProcessStartInfo(address) { UseShellExecute = true });
        }
        catch (Exception error) when (error is Win32Exception or InvalidOperationException)
        {
            // No desktop here.
        }
    }
}
