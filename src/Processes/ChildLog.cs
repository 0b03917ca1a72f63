using System.Text;

namespace ShardCloud.Processes;

/// <summary>Takes a child's output: a file of bounded size, the last lines in memory, and a callback for each line.</summary>
internal sealed class ChildLog(string? path, long bytesMax, Action<string>? onLine) : IDisposable
{
    private const int LastLinesMax = 50, LineCharsMax = 8 * 1024;

    private readonly Lock _gate = new();
    private readonly Queue<string> _lastLines = new();
    private FileStream? _file = path is null ? null : Open(path);

    public IReadOnlyList<string> LastLines
    {
        get
        {
            lock (_gate) return [.. _lastLines];
        }
    }

    /// <summary>Reads to the end. A child must never block on a full pipe, so a failing disk ends the log file, not the reading.</summary>
    public async Task ReadAsync(StreamReader reader, CancellationToken cancellationToken)
    {
        var buffer = new char[4 * 1024];
        var line = new StringBuilder();
        try
        {
            while (await reader.ReadAsync(buffer, cancellationToken) is > 0 and var count)
            {
                foreach (var character in buffer.AsSpan(0, count))
                {
                    if (character != '\n') line.Append(character);
                    if (character == '\n' || line.Length >= LineCharsMax) Take(line);
                }
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException or ObjectDisposedException)
        {
            // The pipe is gone or no longer waited for.
        }

        if (line.Length > 0) Take(line);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _file?.Dispose();
            _file = null;
        }
    }

    private void Take(StringBuilder builder)
    {
        var line = builder.ToString().TrimEnd('\r');
        builder.Clear();
        lock (_gate)
        {
            _lastLines.Enqueue(line);
            if (_lastLines.Count > LastLinesMax) _lastLines.Dequeue();
            try
            {
                Write(line);
            }
            catch (IOException)
            {
                _file?.Dispose();
                _file = null;
            }

            onLine?.Invoke(line);
        }
    }

    private void Write(string line)
    {
        if (_file is null) return;
        if (_file.Length >= bytesMax)
        {
            _file.Dispose();
            File.Move(path!, path + ".1", overwrite: true);
            _file = Open(path!);
        }

        _file.Write(Encoding.UTF8.GetBytes(line + "\n"));
        _file.Flush(); // a log is read while its process runs
    }

    private static FileStream Open(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        return new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
    }
}
