namespace ShardCloud.Replication;

/// <summary>Lets reads of one Event Hub partition pass when the log was read to a record that was appended after they asked. Thread-safe.</summary>
/// <remarks>Two rounds at most, one after the other: one under way, and one for all who asked after it had begun, so a probe serves as many reads as there are.</remarks>
/// <param name="readToAProbe">Appends a record and completes when it has been read.</param>
internal sealed class ReadBarrier(Func<Task> readToAProbe)
{
    private readonly Lock _gate = new();
    private Task _current = Task.CompletedTask;
    private Task? _next;

    /// <summary>Completes when a probe that was appended after this call has been read; fails as that probe does.</summary>
    public Task PassAsync()
    {
        lock (_gate) return _next ??= RoundAsync(_current);
    }

    private async Task RoundAsync(Task before)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ForceYielding);
        lock (_gate) (_current, _next) = (_next!, null);
        await readToAProbe().ConfigureAwait(false);
    }
}
