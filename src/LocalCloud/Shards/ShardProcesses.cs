using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Shards;

/// <summary>The child processes that are shards. Nothing is persisted and nothing is restarted: the Orchestrator decides what should run.</summary>
/// <remarks>Thread-safe. An operation id stands for one instance as long as this process lives; all children die with it.</remarks>
public sealed class ShardProcesses(LocalShardHostOptions options, TimeProvider time) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Entry> _byHandle = new(StringComparer.Ordinal); // Bounded by RunningMax + EndedMax.
    private long _started;

    /// <summary>Starts an instance, or answers with the one that the operation id stands for.</summary>
    /// <exception cref="ShardCloudException">SC5020: an unknown version. SC5008: too many run. SC7011: the program cannot be started.</exception>
    public ShardInstance Create(CreateInstanceRequest request)
    {
        Entry created;
        lock (_gate) // Held while the process starts: two equal requests at once must give one process.
        {
            if (_byHandle.Values.FirstOrDefault(known => known.Operation == request.Operation) is { } before) return before.Describe();
            var shard = new ShardId(request.Shard);
            if (!options.Versions.TryGetValue(request.Version, out var version))
                throw new ShardCloudException(ErrorCodes.BadValue, $"This host knows no application version '{request.Version}'.",
                    $"Versions: {string.Join(", ", options.Versions.Keys.Order(StringComparer.Ordinal))}.");
            if (_byHandle.Values.Count(known => !known.IsOver) >= options.RunningMax)
                throw new ShardCloudException(ErrorCodes.OverLimit, $"{options.RunningMax} shards run on this machine already.", "Remove one first.");
            var handle = string.Create(CultureInfo.InvariantCulture, $"local-{shard}-{++_started}");
            var entry = new Entry(handle, request, time.GetUtcNow());
            if (options.CreationTime > TimeSpan.Zero) _ = StartLaterAsync(entry, shard, version);
            else entry.Process = Start(handle, shard, request.Version, version);
            _byHandle[handle] = entry;
            ForgetOldest();
            created = entry;
        }
        options.Changed?.Invoke();
        return created.Describe();
    }

    /// <summary>Every instance, oldest first.</summary>
    public IReadOnlyList<ShardInstance> List()
    {
        lock (_gate) return [.. _byHandle.Values.OrderBy(entry => entry.StartedAt).Select(entry => entry.Describe())];
    }

    /// <summary>The instances that run now.</summary>
    public IReadOnlyList<ShardInstance> Running() => [.. List().Where(instance => instance.State == InstanceState.Running)];

    /// <summary>One instance; null when it is not known (any more).</summary>
    public ShardInstance? Find(string handle)
    {
        lock (_gate) return _byHandle.GetValueOrDefault(handle)?.Describe();
    }

    /// <summary>The last lines that an instance printed; empty when it is not known.</summary>
    public IReadOnlyList<string> LastLines(string handle)
    {
        lock (_gate) return _byHandle.GetValueOrDefault(handle)?.Process?.LastLines ?? [];
    }

    /// <summary>Stops an instance gracefully, then kills it. Returns when its end was seen; null when it is not known.</summary>
    public async Task<ShardInstance?> EndAsync(string handle)
    {
        Entry? entry;
        lock (_gate) entry = _byHandle.GetValueOrDefault(handle);
        if (entry is null) return null;
        lock (_gate) entry.IsGivenUp = entry.Process is null; // It is not started any more.
        if (entry.Process is { } process) await process.StopAsync(options.StopGrace);
        return entry.Describe();
    }

    /// <summary>Kills an instance as a crash would. For fault tests.</summary>
    public bool Crash(string handle)
    {
        lock (_gate)
        {
            if (!_byHandle.TryGetValue(handle, out var entry)) return false;
            entry.Process?.Crash();
            return entry.Process is not null;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Entry[] entries;
        lock (_gate)
        {
            entries = [.. _byHandle.Values];
            foreach (var entry in entries) entry.IsGivenUp = entry.Process is null;
        }
        await Task.WhenAll(entries.Select(async entry => await (entry.Process?.DisposeAsync() ?? ValueTask.CompletedTask)));
    }

    /// <summary>The caller has its answer already: a program that cannot be started looks like one that ended.</summary>
    private async Task StartLaterAsync(Entry entry, ShardId shard, ApplicationVersion version)
    {
        await Task.Delay(options.CreationTime, time);
        lock (_gate)
        {
            if (entry.IsGivenUp) return;
            try
            {
                entry.Process = Start(entry.Handle, shard, entry.Version, version);
            }
            catch (ShardCloudException)
            {
                entry.IsGivenUp = true;
            }
        }
        options.Changed?.Invoke();
    }

    private ChildProcess Start(string handle, ShardId shard, string versionName, ApplicationVersion version)
    {
        var environment = new Dictionary<string, string?>(options.Environment, StringComparer.Ordinal);
        foreach (var (name, value) in version.Environment) environment[name] = value;
        environment["ShardCloud__Shard"] = shard.Value;
        environment["ShardCloud__Role"] = "shard";
        environment["ShardCloud__ApplicationVersion"] = versionName;
        environment["ShardCloud__HostHandle"] = handle;
        environment.TryAdd("ShardCloud__FaultDomain", handle); // On one machine a process is what fails.
        foreach (var (name, value) in options.EnvironmentOf?.Invoke(shard) ?? new Dictionary<string, string?>()) environment[name] = value;
        try
        {
            return ChildProcess.Start(new ChildProcessOptions
            {
                FileName = version.FileName,
                Arguments = version.Arguments,
                Environment = environment,
                WorkingDirectory = version.WorkingDirectory,
                ParentWatch = ParentWatch.DotNet,
                LogFile = options.LogFolder is null ? null : Path.Combine(options.LogFolder, $"{handle}.log"),
                StopGrace = options.StopGrace,
                OnExit = _ => options.Changed?.Invoke(),
            });
        }
        catch (Exception error) when (error is System.ComponentModel.Win32Exception or IOException or UnauthorizedAccessException)
        {
            throw new ShardCloudException(ErrorCodes.ShardDidNotStart, $"'{version.FileName}' of version '{versionName}' cannot be started: {error.Message}",
                "Check the command of this version.", error);
        }
    }

    private void ForgetOldest()
    {
        var ended = _byHandle.Values.Where(entry => entry.IsOver).OrderBy(entry => entry.StartedAt).ToList();
        foreach (var entry in ended.Take(Math.Max(0, ended.Count - options.EndedMax))) _byHandle.Remove(entry.Handle);
    }

    private sealed class Entry(string handle, CreateInstanceRequest request, DateTimeOffset startedAt)
    {
        public string Handle => handle;

        public string Operation => request.Operation;

        public string Version => request.Version;

        public DateTimeOffset StartedAt => startedAt;

        /// <summary>Null while it is being created.</summary>
        public ChildProcess? Process { get; set; }

        /// <summary>It was ended before it had a process, or its program could not be started.</summary>
        public bool IsGivenUp { get; set; }

        public bool IsOver => IsGivenUp || Exit is not null;

        private ChildExit? Exit => Process is { Exited: { IsCompletedSuccessfully: true } exited } ? exited.Result : null;

        public ShardInstance Describe() => new(handle, request.Operation, request.Shard, request.Version, IsOver ? InstanceState.Exited : InstanceState.Running,
            Process?.Id, Exit?.ExitCode, IsOver, startedAt);
    }
}
