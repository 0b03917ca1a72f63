using System.Diagnostics;

namespace ShardCloud.Integration.Tests;

/// <summary>How a script ended.</summary>
/// <param name="Exit">Exit code.</param>
/// <param name="Outputs">Lines NAME=VALUE for the steps after it.</param>
/// <param name="Said">Standard output, then standard error.</param>
/// <param name="Summary">Page of the run.</param>
internal sealed record ScriptRun(int Exit, string[] Outputs, string Said, string Summary);

/// <summary>Runs the scripts of <c>.github/scripts</c> as a job would: environment in, files and an exit code out.</summary>
/// <param name="orchestrator">Address.</param>
/// <param name="token">Of an operator.</param>
/// <param name="folder">For outputs and summaries.</param>
internal sealed class WorkflowScripts(string orchestrator, string token, string folder)
{
    private static readonly string[] Programs = ["bash", "curl", "jq", "zip"];

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private int _runs;

    public static void SkipWithoutPrograms()
    {
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        foreach (var program in Programs) Assert.SkipUnless(folders.Any(folder => File.Exists(Path.Combine(folder, program))), $"There is no {program} on this machine.");
    }

    /// <summary>Runs one to its end.</summary>
    /// <param name="script">Its file.</param>
    /// <param name="environment">Beside address, token and the files of a job; a name that is given again replaces.</param>
    public async Task<ScriptRun> RunAsync(string script, params (string Name, string Value)[] environment)
    {
        var run = Interlocked.Increment(ref _runs);
        var (outputs, summary) = (Path.Combine(folder, $"outputs-{run}"), Path.Combine(folder, $"summary-{run}"));
        foreach (var file in (string[])[outputs, summary]) await File.WriteAllTextAsync(file, "", TestContext.Current.CancellationToken);
        var start = new ProcessStartInfo("bash", [Repository.File($".github/scripts/{script}")]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in ((string, string)[])[("SHARDCLOUD_ORCHESTRATOR", orchestrator), ("SHARDCLOUD_TOKEN", token), ("GITHUB_OUTPUT", outputs), ("GITHUB_STEP_SUMMARY", summary), ("POLL_SECONDS", "0"), .. environment])
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        try
        {
            var (said, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(Patience);
            return new(process.ExitCode, await File.ReadAllLinesAsync(outputs), await said + await errors, await File.ReadAllTextAsync(summary));
        }
        finally
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
        }
    }
}
