using System.Diagnostics;
using System.Globalization;

namespace ShardCloud.Bench.Sockets;

/// <summary>One process of the measurement, and what Linux says of it.</summary>
internal sealed class Part : IDisposable
{
    private readonly Process _process;

    public Part(string assembly, IEnumerable<string> arguments, Dictionary<string, string> environment)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.ArgumentList.Add(assembly);
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        foreach (var (name, value) in environment) start.Environment[name] = value;
        _process = Process.Start(start)!;
    }

    public bool HasEnded => _process.HasExited;

    /// <summary>Memory that it occupies, in MB.</summary>
    public long ResidentMegabytes
    {
        get
        {
            _process.Refresh();
            return _process.WorkingSet64 / 1024 / 1024;
        }
    }

    /// <summary>Its established TCP connections to these ports of this machine.</summary>
    public int ConnectionsTo(IReadOnlyList<int> ports)
    {
        var inodes = Directory.GetFiles($"/proc/{_process.Id}/fd").Select(TargetOf)
            .Where(name => name.StartsWith("socket:[", StringComparison.Ordinal)).Select(name => name[8..^1]).ToHashSet();
        const string established = "01";
        return new[] { "tcp", "tcp6" }.SelectMany(table => File.ReadLines($"/proc/{_process.Id}/net/{table}").Skip(1))
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Count(row => row[3] == established && inodes.Contains(row[9]) && ports.Contains(int.Parse(row[2].AsSpan(row[2].IndexOf(':') + 1), NumberStyles.HexNumber, CultureInfo.InvariantCulture)));
    }

    private static string TargetOf(string descriptor)
    {
        try
        {
            return File.ResolveLinkTarget(descriptor, returnFinalTarget: false)?.Name ?? "";
        }
        catch (IOException)
        {
            return ""; // Closed meanwhile.
        }
    }

    /// <summary>Gives the clients an order and waits for its end.</summary>
    public async Task<string> DoAsync(string order)
    {
        await _process.StandardInput.WriteLineAsync(order);
        await _process.StandardInput.FlushAsync();
        return await _process.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException($"The clients ended at '{order}'.");
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        _process.WaitForExit();
        _process.Dispose();
    }
}
