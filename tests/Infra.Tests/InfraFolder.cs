using System.ComponentModel;
using System.Diagnostics;

namespace ShardCloud.Infra.Tests;

/// <summary>The folder of the Pulumi program, its packages, and programs that run there.</summary>
internal static class InfraFolder
{
    private static readonly TimeSpan Within = TimeSpan.FromMinutes(4);
    private static readonly string Path = System.IO.Path.Combine(FindRoot(), "src", "Infra");
    private static readonly Lazy<Task> Packages = new(InstallAsync);

    /// <summary>The repository.</summary>
    public static string Repository { get; } = FindRoot();

    /// <summary>Runs Node there, after its packages are installed; answers with its exit code and what it printed.</summary>
    public static async Task<(int Exit, string Printed, string Errors)> NodeAsync(params string[] arguments)
    {
        await Packages.Value;
        return await RunAsync("node", arguments);
    }

    /// <summary>Packages as the lock file says, with none of their scripts run; npm writes what it has installed beside them.</summary>
    private static async Task InstallAsync()
    {
        var (wanted, installed) = (File("package-lock.json"), File("node_modules/.wanted-by-tests.json"));
        if (System.IO.File.Exists(installed) && await System.IO.File.ReadAllTextAsync(wanted) == await System.IO.File.ReadAllTextAsync(installed)) return;
        var (exit, printed, errors) = await RunAsync(OperatingSystem.IsWindows() ? "npm.cmd" : "npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        Assert.True(exit == 0, $"npm ci in src/Infra ended with {exit}: {printed}{errors}");
        System.IO.File.Copy(wanted, installed, overwrite: true);
    }

    private static async Task<(int Exit, string Printed, string Errors)> RunAsync(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = Path, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment.Remove("NODE_OPTIONS");
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception error)
        {
            throw new InvalidOperationException($"{program} was not found on PATH: the infrastructure is tested with Node 20 or newer, https://nodejs.org.", error);
        }
        using (process)
        {
            var (printed, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            try
            {
                await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(Within);
            }
            finally
            {
                if (!process.HasExited) process.Kill(entireProcessTree: true);
            }
            return (process.ExitCode, await printed, await errors);
        }
    }

    private static string File(string name) => System.IO.Path.Combine(Path, name);

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !System.IO.File.Exists(System.IO.Path.Combine(folder.FullName, "ShardCloud.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new DirectoryNotFoundException("ShardCloud.sln was not found above the tests.");
    }
}
