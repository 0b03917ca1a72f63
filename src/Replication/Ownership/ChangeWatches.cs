namespace ShardCloud.Replication;

/// <summary>Who waits for the next change of an endpoint that is served here. Guarded by the partition's lock; an endpoint that nobody follows costs nothing.</summary>
/// <remarks>All that follow one endpoint share one task: as many entries as there are followed endpoints.</remarks>
internal sealed class ChangeWatches
{
    private readonly Dictionary<OwnedState, TaskCompletionSource<bool>> _waiting = [];

    /// <summary>Endpoints that somebody waits for.</summary>
    public int Count => _waiting.Count;

    /// <summary>Completes at the endpoint's next change (true), or when it is sealed or served here no more (false).</summary>
    public Task<bool> Next(OwnedState state)
    {
        if (!_waiting.TryGetValue(state, out var next)) _waiting[state] = next = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        return next.Task;
    }

    public void Tell(OwnedState state, bool isServed)
    {
        if (_waiting.Count > 0 && _waiting.Remove(state, out var next)) next.TrySetResult(isServed);
    }

    /// <summary>Tells those whose endpoint was sealed.</summary>
    public void TellSealed(Func<OwnedState, bool> isSealed)
    {
        foreach (var state in _waiting.Keys.Where(isSealed).ToList()) Tell(state, isServed: false);
    }
}
