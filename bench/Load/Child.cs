using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace ShardCloud.Bench.Load;

/// <summary>What a process has used since its start.</summary>
internal readonly record struct Used(long AllocatedBytes, TimeSpan ProcessorTime, TimeSpan Paused);

/// <summary>A process whose use of the machine is measured.</summary>
internal interface IMeasured
{
    /// <summary>What it wrote to its console; for the case that it does not work.</summary>
    string Said { get; }

    /// <summary>What it has used so far.</summary>
    Used Use();
}

/// <summary>A measured process of .NET. Ends with this one.</summary>
internal sealed class Child : IMeasured, IDisposable
{
    private readonly Process _process;
    private readonly BlockingCollection<string> _answers = [];
    private readonly ConcurrentQueue<string> _said = new();

    public Child(string assembly, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(assembly);
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        // The same for all: workstation garbage collector, default tiering.
        start.Environment["DOTNET_gcServer"] = "0";
        start.Environment["DOTNET_STARTUP_HOOKS"] = typeof(Child).Assembly.Location;
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        _process = Process.Start(start)!;
        _process.OutputDataReceived += (_, line) => Take(line.Data);
        _process.ErrorDataReceived += (_, line) => Take(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    public string Said => string.Join('\n', _said);

    public Used Use()
    {
        _process.StandardInput.WriteLine();
        _process.StandardInput.Flush();
        if (!_answers.TryTake(out var line, TimeSpan.FromSeconds(10))) throw new InvalidOperationException($"A measured process does not answer. It said:\n{Said}");
        var parts = line.Split(' ');
        return new(long.Parse(parts[0], CultureInfo.InvariantCulture), new TimeSpan(long.Parse(parts[1], CultureInfo.InvariantCulture)), new TimeSpan(long.Parse(parts[2], CultureInfo.InvariantCulture)));
    }

    public void Dispose()
    {
        _process.Kill(entireProcessTree: true);
        _process.WaitForExit();
        _process.Dispose();
        _answers.Dispose();
    }

    private void Take(string? line)
    {
        if (line is null) return;
        if (line.StartsWith(StartupHook.Prefix, StringComparison.Ordinal))
        {
            _answers.Add(line[StartupHook.Prefix.Length..]);
            return;
        }
        _said.Enqueue(line);
        if (_said.Count > 200) _said.TryDequeue(out _);
    }
}
