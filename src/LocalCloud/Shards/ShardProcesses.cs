using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Shards;

/// <summary>The child processes that are shards. Nothing is persisted and nothing is restarted unasked: the Orchestrator decides what should run.</summary>
/// <remarks>Thread-safe. An operation id stands for one instance as long as this process lives; all children die with it.</remarks>
public sealed class ShardProcesses(LocalShardHostOptions options, TimeProvider time) : IAsyncDisposable
{
    private static readonly TimeSpan ProbeEvery = TimeSpan.FromMilliseconds(50), ProbeWithin = TimeSpan.FromSeconds(2);

    private readonly Lock _gate = new();
    private readonly Dictionary<string, Entry> _byHandle = new(StringComparer.Ordinal); // Bounded by RunningMax + EndedMax.
    private readonly Dictionary<string, ApplicationVersion> _versions = new(options.Versions, StringComparer.Ordinal); // Those that were published: few.
    private long _started;

    /// <summary>Makes a version known, so that it can be started: brings it here where it is not yet.</summary>
    /// <exception cref="ShardCloudException">SC5045: it was not published.</exception>
    public async Task LearnAsync(string version, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (options.Fetch is null || _versions.ContainsKey(version)) return;
        }
        var fetched = await options.Fetch(version, cancellationToken); // Twice at once is once: the second finds the folder.
        lock (_gate) _versions[version] = fetched;
    }

    /// <summary>Starts an instance, or answers with the one that the operation id stands for.</summary>
    /// <exception cref="ShardCloudException">SC5020: an unknown version. SC5008: too many run. SC7011: the program cannot be started.</exception>
    public ShardInstance Create(CreateInstanceRequest request) => Create(request, readyAt: null).Describe();

    private Entry Create(CreateInstanceRequest request, Uri? readyAt)
    {
        Entry created;
        lock (_gate) // Held while the process starts: two equal requests at once must give one process.
        {
            if (_byHandle.Values.FirstOrDefault(known => known.Operation == request.Operation) is { } before) return before;
            var shard = new ShardId(request.Shard);
            if (!_versions.TryGetValue(request.Version, out var version))
                throw new ShardCloudException(ErrorCodes.BadValue, $"This host knows no application version '{request.Version}'.",
                    $"Versions: {string.Join(", ", _versions.Keys.Order(StringComparer.Ordinal))}.");
            if (_byHandle.Values.Count(known => !known.IsOver) >= options.RunningMax)
                throw new ShardCloudException(ErrorCodes.OverLimit, $"{options.RunningMax} shards run on this machine already.", "Remove one first.");
            var handle = string.Create(CultureInfo.InvariantCulture, $"local-{shard}-{++_started}");
            var entry = new Entry(handle, request, time.GetUtcNow()) { ReadyAt = readyAt };
            if (options.CreationTime > TimeSpan.Zero) _ = StartLaterAsync(entry, shard, version);
            else entry.Process = Start(entry, shard, version);
            _byHandle[handle] = entry;
            ForgetOldest();
            created = entry;
        }
        options.Changed?.Invoke();
        return created;
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

    /// <summary>
    /// Restarts an instance without a gap: starts another of the same shard and version, waits until that one says it is ready, and only then stops the first, which has handed over what it owned by then
    /// (docs/protocol/overlap.md). The new instance has a public port of its own; null when there is none of that handle.
    /// </summary>
    /// <param name="handle">The first.</param>
    /// <param name="operation">The same id again is the same restart.</param>
    /// <param name="cancellationToken">Gives up waiting: both go on then, and a repetition takes it up.</param>
    /// <exception cref="ShardCloudException">SC7011: the new one was not ready in time, and was ended; the first goes on. SC5025: another restart of it is under way. Others as <see cref="Create(CreateInstanceRequest)"/>.</exception>
    public async Task<ShardInstance?> RestartAsync(string handle, string operation, CancellationToken cancellationToken)
    {
        Entry first, second;
        lock (_gate)
        {
            if (!_byHandle.TryGetValue(handle, out var known)) return null;
            if (known.RestartedBy is { } other && other != operation)
                throw new ShardCloudException(ErrorCodes.ShardBusy, $"'{handle}' is being restarted by '{other}', or was.", "Restart the newest instance of the shard: GET /shards lists them.");
            first = known;
            first.RestartedBy = operation;
        }
        try
        {
            second = Create(new CreateInstanceRequest(operation, first.Shard, first.Version), new Uri($"http://127.0.0.1:{Ports.Free()}/readyz"));
            await AwaitReadyAsync(second, cancellationToken);
        }
        catch (ShardCloudException)
        {
            lock (_gate) first.RestartedBy = null; // It goes on, and may be restarted anew.
            throw;
        }
        await EndAsync(handle);
        return second.Describe();
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

    private async Task AwaitReadyAsync(Entry entry, CancellationToken cancellationToken)
    {
        if (entry.ReadyAt is null) throw new ShardCloudException(ErrorCodes.BadValue, $"The operation '{entry.Operation}' made '{entry.Handle}', which was no restart.", "Give each restart an id of its own.");
        using var http = new HttpClient { Timeout = ProbeWithin };
        using var timer = new PeriodicTimer(ProbeEvery, time);
        for (var started = time.GetTimestamp(); !entry.IsOver && time.GetElapsedTime(started) < options.ReadyWithin; await timer.WaitForNextTickAsync(cancellationToken))
        {
            try
            {
                using var answer = await http.GetAsync(entry.ReadyAt, cancellationToken);
                if (answer.IsSuccessStatusCode) return;
            }
            catch (Exception error) when (error is HttpRequestException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
            {
                // Not listening yet.
            }
        }
        var ended = entry.IsOver;
        await EndAsync(entry.Handle);
        throw new ShardCloudException(ErrorCodes.ShardDidNotStart, $"The new instance '{entry.Handle}' of {entry.Shard} {(ended ? "ended before it was ready" : $"was not ready within {options.ReadyWithin.TotalSeconds:0} s")}; the old one goes on.",
            $"Its last words: {string.Join(" | ", LastLines(entry.Handle).TakeLast(5))}");
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
                entry.Process = Start(entry, shard, version);
            }
            catch (ShardCloudException)
            {
                entry.IsGivenUp = true;
            }
        }
        options.Changed?.Invoke();
    }

    private ChildProcess Start(Entry entry, ShardId shard, ApplicationVersion version)
    {
        var handle = entry.Handle;
        var environment = new Dictionary<string, string?>(options.Environment, StringComparer.Ordinal);
        foreach (var (name, value) in version.Environment) environment[name] = value;
        environment["ShardCloud__Shard"] = shard.Value;
        environment["ShardCloud__Role"] = "shard";
        environment["ShardCloud__ApplicationVersion"] = entry.Version;
        environment["ShardCloud__HostHandle"] = handle;
        environment.TryAdd("ShardCloud__FaultDomain", handle); // On one machine a process is what fails.
        foreach (var (name, value) in options.EnvironmentOf?.Invoke(shard) ?? new Dictionary<string, string?>()) environment[name] = value;
        if (entry.ReadyAt is { } readyAt) environment["ShardCloud__Public__Url"] = readyAt.GetLeftPart(UriPartial.Authority);
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
            throw new ShardCloudException(ErrorCodes.ShardDidNotStart, $"'{version.FileName}' of version '{entry.Version}' cannot be started: {error.Message}",
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

        public string Shard => request.Shard;

        public string Version => request.Version;

        /// <summary>Where it says that it is ready; null: nobody asks.</summary>
        public Uri? ReadyAt { get; init; }

        /// <summary>The operation that puts another instance in its place.</summary>
        public string? RestartedBy { get; set; }

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
